// The values of a model at one moment, for a thread that writes them while training goes on.
//
// Until the weights are about to change they are read where they are. Then those that were not read yet are copied, and
// each copy goes as soon as it was read: what a save takes of memory is what its first step left unwritten. Where there
// is no memory for that, the change waits until all is read.
//
// Where training itself runs on these processors, the thread that writes takes little of them at a time, until somebody
// waits for it: a save lasts longer so, and training is to lose less than 5% of that time (./test_gpt --bench saving).
#pragma once
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
#include "host/base/progress.h"
#include "host/checkpoint/optimizer_state.h"
#include "host/checkpoint/parameter_values.h"

class Snapshot {
public:
    enum class Copying { by_this_thread, by_all_threads };  // the latter: training is on the CPU
    struct Part {
        GetParameter live;
        std::vector<size_t> reads;  // of each parameter: how many values a save reads, some more than once
    };
    Snapshot(const Layout& layout, std::vector<Part> parts, Copying copying);

    GetParameter part(size_t i);  // for the thread that writes; it must not outlive this
    void detach();                // nothing is read from the model after this returns
    bool detach_now();            // the same, without waiting for a reader; false: there is no memory for copies
    void end();                   // nobody will read more
    void hurry();                 // somebody waits: as fast as it goes
    bool all_read();
    size_t most_copied() const { return most; }  // bytes, so far

private:
    struct Values {
        size_t left;                    // elements to be read
        std::unique_ptr<float[]> copy;  // null: they are read where they are
    };
    void read(size_t part, const Parameter& parameter, size_t first, std::span<float> out);
    void read_piece(size_t part, const Parameter& parameter, size_t first, std::span<float> out);
    void let_training_go_on();
    bool take_memory();
    void copy();
    bool nothing_left() const;

    const Layout& layout;
    std::vector<Part> parts;
    const Copying copying;
    std::mutex mutex;
    std::condition_variable was_read, is_hurried;
    std::vector<std::map<size_t, Values>> values;  // of each part, by the parameter's offset
    bool detached = false, ended = false, hurried = false;
    const double begun = seconds();
    size_t most = 0;
};
