// What signals ask for, as all ranks know it: they must stop after the same step and save at the same time. One rank
// alone reads signals at any moment; several read what they have told each other at the end of the last step.
#pragma once
#include "host/base/signals.h"
#include "host/world/world.h"

class Wishes {
public:
    explicit Wishes(const World& world) : world(world) {}

    bool stop() const { return world.alone() ? stop_requested.load() : told.stop; }
    bool save() const { return world.alone() ? save_requested.load() : told.save; }
    // The wish to save is fulfilled.
    bool take_save() {
        if (world.alone()) return save_requested.exchange(false);
        return std::exchange(told.save, false);
    }

    // The ranks tell each other theirs, and their part of a sum, which is returned.
    double agree(double mine) {
        if (world.alone()) return mine;
        double sum = 0;
        for (const Told& other : world.of_all(Told{mine, stop_requested, save_requested.exchange(false)})) {
            sum += other.part;
            told.stop |= other.stop;
            told.save |= other.save;
        }
        return sum;
    }

    struct Told {
        double part = 0;
        bool stop = false, save = false;
    };

private:
    World world;
    Told told;
};
