// How the lanes of a warp go their ways and meet again.
//
// Lanes at the same instruction go on together. Of several paths the one that is furthest behind runs first, so that
// paths join again where the compiler's code lets them; in a shuffled order any may. Each lane has a fiber of
// dev/simt's; the warp runs on that of its leader, the others' sleep. What waits for other warps must wait on the
// fiber of a lane that does.
#include "warp.h"
#include <algorithm>

namespace ptx {
namespace {

constexpr uint32_t nowhere_near = ~uint32_t(0);
constexpr unsigned patience = 1 << 16;  // instructions until others get their turn
constexpr unsigned short_turn = 64;     // the same in a shuffled order

unsigned lowest(Mask m) { return unsigned(__builtin_ctz(m)); }
bool is_one_at(uint32_t pc, const std::vector<Path>& paths) {
    return std::any_of(paths.begin(), paths.end(), [&](const Path& p) { return p.pc == pc; });
}

}  // namespace

void fail(Warp& w, unsigned lane, const Instruction& i, int error, const std::string& what) {
    simt::running = w.threads + lane;
    simt::fail(error, "%s: %s; %s:%d", i.name, what.c_str(), i.at.file, i.at.line);
}

void Warp::run_lane(unsigned lane) {
    const Mask bit = Mask(1) << lane;
    started |= bit;
    if (started == lanes) leader = lane, add({0, lanes, false});
    while (living & bit) {
        if (leader == lane) lead();
        else block->sleep();
    }
    if (leader == lane) hand_over();
}

void Warp::lead() {
    const unsigned lane = leader;
    for (Path path; leader == lane && living >> lane & 1;) {
        if (!pick(path)) return void(leader = nobody);
        run(path);
    }
}

// The lead goes to a lane that can go on, if there is one.
void Warp::hand_over() {
    leader = nobody;
    Path path;
    if (!pick(path)) return;
    add(path);
    leader = lowest(path.lanes);
    block->wake(threads + leader);
}

void Warp::add(Path path) {
    for (Path& other : paths) {
        if (other.pc != path.pc) continue;
        other.lanes |= path.lanes;
        other.waits = false;
        return;
    }
    paths.push_back(path);
}

bool Warp::pick(Path& path) {
    size_t best = paths.size(), ready = 0;
    for (size_t i = 0; i < paths.size(); i++) {
        if (paths[i].waits) continue;
        ready++;
        const bool better =
            shuffled || tired ? random() % ready == 0 : best == paths.size() || paths[i].pc < paths[best].pc;
        if (better) best = i;
    }
    tired = false;
    if (!ready) return false;
    path = paths[best];
    paths.erase(paths.begin() + ptrdiff_t(best));
    return true;
}

// Where the running path would come upon another one.
uint32_t Warp::next_of_others(uint32_t pc) const {
    uint32_t next = nowhere_near;
    for (const Path& p : paths)
        if (p.pc > pc || !p.waits) next = std::min(next, p.pc);
    return next;
}

void Warp::exit(Mask m) {
    living &= ~m;
    for (Path& p : paths) p.waits = false;
    for (Mask rest = m; rest; rest &= rest - 1)
        if (lowest(rest) != leader) block->wake(threads + lowest(rest));
}

// The lanes that wait at other instructions, which all lanes of this mask may meet at.
Mask Warp::at_other_meetings(Mask members) const {
    Mask waiting = 0;
    for (const Path& p : paths) {
        const Instruction& i = code->instructions[p.pc];
        for (Mask m = p.waits && i.meeting == Meeting::anywhere ? p.lanes : 0; m; m &= m - 1)
            if (reinterpret_cast<const uint32_t*>(registers + i.members)[lowest(m)] == members)
                waiting |= Mask(1) << lowest(m);
    }
    return waiting;
}
void Warp::release_from_other_meetings(Mask lanes) {
    std::vector<Path> released;
    for (Path& p : paths) {
        if (!p.waits || !(p.lanes & lanes)) continue;
        released.push_back({p.pc + 1, p.lanes & lanes, false});
        p.lanes &= ~lanes;
    }
    std::erase_if(paths, [](const Path& p) { return !p.lanes; });
    for (const Path& p : released) add(p);
}

// The lanes that need not wait for others here.
Mask Warp::ready_to_meet(const Instruction& i, Mask active) {
    if (i.meeting == Meeting::of_warp) return active == living ? active : 0;
    const uint32_t* members = at<uint32_t>(i.members);
    Mask ready = 0;
    for (Mask rest = active; rest;) {
        const unsigned lane = lowest(rest);
        Mask same = 0;
        for (Mask m = rest; m; m &= m - 1)
            if (members[lowest(m)] == members[lane]) same |= Mask(1) << lowest(m);
        if (same & ~members[lane])
            fail(*this, lowest(same & ~members[lane]), i, 719, "the lane is not in its own mask");
        const Mask others = i.meeting == Meeting::anywhere ? at_other_meetings(members[lane]) : 0;
        if ((members[lane] & living) == (same | others)) ready |= same, release_from_other_meetings(others);
        rest &= ~same;
    }
    return ready;
}

void Warp::execute(const Instruction& i, Mask m) {
    if (tally) count(*this, i, m, m);
    i.execute(*this, i, m);
    if (traced) trace(*this, i, m);
}

// For the message of a deadlock.
void Warp::note_waiting(const Instruction& i, Mask m) {
    for (; m; m &= m - 1) threads[lowest(m)].waits_in = i.name, threads[lowest(m)].waits_at = i.at;
}

// The lanes that need not wait for others here; the rest leave the path, and wait.
Mask Warp::meet(const Instruction& i, Path& path, Mask active) {
    const Mask ready = ready_to_meet(i, active), late = active & ~ready;
    if (!late) return ready;
    note_waiting(i, late);
    paths.push_back({path.pc, late, true});
    path.lanes &= ~late;
    return ready;
}

// The lanes that jump become a path of their own, unless all do or none.
void Warp::branch(const Instruction& i, Path& path, Mask jumping) {
    if (jumping == path.lanes) return void(path.pc = i.target);
    if (jumping) add({i.target, jumping, false});
    path.lanes &= ~jumping;
    path.pc++;
}

// Runs a path until it ends, must wait, or comes upon another.
void Warp::run(Path path) {
    uint32_t stop = next_of_others(path.pc);
    for (unsigned turn = shuffled && !paths.empty() ? short_turn : patience;; turn--) {
        const Instruction& i = code->instructions[path.pc];
        Mask active = guarded(i, path.lanes);
        executed += unsigned(__builtin_popcount(active));
        if (i.flow == Flow::wait && active && active != path.lanes) {  // the others need not wait
            add({path.pc + 1, path.lanes & ~active, false});
            path.lanes = active;
        }
        if (i.meeting != Meeting::none && active) {
            if (is_one_at(path.pc, paths)) return add(path);  // after a jump back, which `stop` does not know of
            active = meet(i, path, active);
            if (!path.lanes) return;
        }
        switch (i.flow) {
            case Flow::on:
                if (active) execute(i, active);
                path.pc++;
                break;
            case Flow::branch:
                if (traced) trace(*this, i, active);
                if (tally) count(*this, i, path.lanes, active);
                branch(i, path, active);
                break;
            case Flow::exit:
                if (tally && active) count(*this, i, path.lanes, active);
                if (active) exit(active);
                path.lanes &= ~active;
                path.pc++;
                if (!path.lanes) return;
                break;
            case Flow::wait:
                if (!active) path.pc++;
                else if (!run_waiting(i, path, active)) return;
                break;
        }
        if (i.flow != Flow::on || i.meeting != Meeting::none) stop = next_of_others(path.pc);
        if (path.pc == stop || (i.flow == Flow::branch && path.pc > stop && !shuffled)) return add(path);
        if (turn) continue;
        tired = true;
        add(path);
        if (!shuffled || random() % 16 == 0) block->yield();
        return;
    }
}

// An instruction that may have to wait for other warps. False: the path was added, and another lane leads.
bool Warp::run_waiting(const Instruction& i, Path& path, Mask active) {
    const unsigned lane = leader;
    if (!(active >> lane & 1)) {
        add(path);
        leader = lowest(active);
        block->wake(threads + leader);
        return false;
    }
    note_waiting(i, active);
    execute(i, active);
    path.pc++;
    if (leader == lane) return true;
    add(path);
    return false;
}

}  // namespace ptx
