// A kernel as the machine runs it: its instructions decoded, their operands places in a warp's registers.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include "counters.h"
#include "text.h"

namespace ptx {

constexpr unsigned warp_lanes = 32;
using Mask = uint32_t;  // a bit for each lane
constexpr Mask all_lanes = ~Mask(0);

struct Warp;
struct Instruction;
using Execute = void (*)(Warp&, const Instruction&, Mask);

// A register holds 32 numbers, one for each lane, beside each other; a predicate holds a Mask. This is where, in
// bytes from the begin of the warp's registers.
using Place = uint32_t;
constexpr Place nowhere = ~Place(0);

enum class Flow : uint8_t {
    on,      // to the next instruction
    branch,  // to the target, for the lanes whose guard says so
    exit,
    wait  // as `on`, but the warp may have to wait for others of its block
};
enum class Meeting : uint8_t {
    none,
    of_members,  // all living lanes of the mask in `members` must be here
    anywhere,    // or at another such instruction with the same mask
    of_warp      // all living lanes must
};

enum class Space : uint8_t { generic, global, shared, local, parameter, constant };
enum class Counted : uint8_t { nothing, load, store, update, copy, matrices };

struct Instruction {
    Execute execute = nullptr;
    Flow flow = Flow::on;
    Meeting meeting = Meeting::none;
    bool guard_negated = false;
    bool is_strong = false;        // an access that is volatile, relaxed, acquiring or releasing
    bool reaches_cluster = false;  // its address may be in another block's shared memory
    bool reads_constant = false;   // ld.global.nc: of what nobody writes while the grid runs
    Place guard = nowhere;
    Place d = nowhere, a = nowhere, b = nowhere, c = nowhere, e = nowhere;
    Place members = nowhere;
    uint32_t target = 0;          // of a branch
    int64_t offset = 0;           // of its address, or what else is a number in the instruction itself
    int64_t number = 0;           // another
    const Place* more = nullptr;  // of lists
    unsigned count = 0;           // how many they are
    simt::At at{};
    const char* name = "";  // its opcode
    std::string_view text;
    Place result = nowhere;  // the first register it writes
    Width width = Width::word;
    // What is counted of it (counters.h).
    Kind kind = Kind::integer;
    Counted counted = Counted::nothing;
    Space space = Space::generic;
    uint8_t counted_bytes = 0;  // of each lane
    bool wide = false;          // its address is a register of 64 bits
    uint32_t operations = 0;    // of tensor cores, a warp's
};

struct Constant {
    Place place;
    uint64_t bits;
    Width width;
};
enum class Special : uint8_t {
    tid_x,
    tid_y,
    tid_z,
    ntid_x,
    ntid_y,
    ntid_z,
    ctaid_x,
    ctaid_y,
    ctaid_z,
    nctaid_x,
    nctaid_y,
    nctaid_z,
    laneid,
    warpid,
    nwarpid,
    cluster_ctarank,
    cluster_nctarank,
    cluster_ctaid_x,
    cluster_ctaid_y,
    cluster_ctaid_z,
    cluster_nctaid_x,
    cluster_nctaid_y,
    cluster_nctaid_z,
    clusterid_x,
    clusterid_y,
    clusterid_z,
    nclusterid_x,
    nclusterid_y,
    nclusterid_z,
    smid,
    nsmid,
    lanemask_lt,
    lanemask_le,
    lanemask_eq,
    lanemask_gt,
    lanemask_ge,

    count
};

struct Code {
    uint64_t number = 0;  // its own: no other Code has had it, be it at the same address
    std::string entry;
    std::vector<Instruction> instructions;
    std::vector<Constant> constants;
    Place special[size_t(Special::count)];  // nowhere: it is not read
    size_t register_bytes = 0;
    size_t parameter_bytes = 0;
    std::vector<Parameter> parameters;
    int max_threads = 1024;
    unsigned cluster[3] = {0, 0, 0};  // .reqnctapercluster; 0: as launched
    size_t static_shared_bytes = 0, local_bytes = 0;
    uint32_t static_shared_begin = 0;  // its address
    std::vector<std::unique_ptr<Place[]>> lists;
    std::vector<std::unique_ptr<std::string>> names;
};

struct ModuleVariables {
    std::map<std::string, uint64_t> addresses;  // of those in global memory
    std::map<std::string, Variable> shared;     // each block whose entry names one has its own
};

// Throws TextError for what the machine does not know.
std::unique_ptr<Code> decode(const EntryText&, const ModuleVariables&);

// Lanes' registers that are never needed at the same time share a place: for each register of the entry its place, from
// `first_free` on; gives the end through `end`.
std::vector<Place> place_registers(const EntryText&, Place first_free, size_t& end);

}  // namespace ptx
