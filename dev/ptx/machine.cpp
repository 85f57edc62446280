// Runs a kernel's blocks, each on an OS thread of dev/simt's: a Warp for each 32 of its threads.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include "approximate.h"
#include "dev/simt/shared_memory.h"
#include "memory.h"
#include "module.h"
#include "module_memory.h"
#include "products.h"
#include "shadow.h"
#include "tally.h"
#include "trace.h"

namespace ptx {

struct Kernel {
    std::string entry;
    const Code& code() const;

private:
    friend class LoadedModule;
    const ModuleText* text = nullptr;
    const ModuleVariables* variables = nullptr;
    mutable std::mutex mutex;
    mutable std::unique_ptr<Code> decoded;
};

const Code& Kernel::code() const {
    const std::lock_guard lock(mutex);
    if (!decoded) decoded = decode(text->read(entry), *variables);
    return *decoded;
}

class LoadedModule : public Module {
public:
    LoadedModule(std::string content, const std::string& origin) : text(std::move(content), origin) {
        for (const Variable& v : text.variables) {
            if (v.space == "shared") variables.shared[v.name] = v;
            else variables.addresses[v.name] = make_module_variable(v);
        }
        for (const std::string& name : text.entries()) {
            Kernel& k = kernels[name];
            k.entry = name;
            k.text = &text;
            k.variables = &variables;
        }
    }
    const Kernel* find_kernel(const std::string& entry) const {
        const auto it = kernels.find(entry);
        return it == kernels.end() ? nullptr : &it->second;
    }

private:
    ModuleText text;
    ModuleVariables variables;
    std::map<std::string, Kernel> kernels;
};

std::shared_ptr<Module> Module::load(std::string text, const std::string& origin) {
    return std::make_shared<LoadedModule>(std::move(text), origin);
}
const Kernel* Module::find(const std::string& entry) const {
    return static_cast<const LoadedModule*>(this)->find_kernel(entry);
}
size_t static_shared_bytes(const Kernel& k) { return k.code().static_shared_bytes; }
int max_threads(const Kernel& k) { return k.code().max_threads; }
simt::KernelCode kernel_code(const Kernel& k, const std::string& name) {
    const unsigned* c = k.code().cluster;
    return {name, static_shared_bytes(k), max_threads(k), {c[0], c[1], c[2]}};
}

namespace {

// PTX_COUNT=1: how fast kernels run, at the end of the program.
std::atomic<uint64_t> lane_instructions = 0;
void count_executed(uint64_t executed) {
    static const bool wanted = [] {
        const char* text = std::getenv("PTX_COUNT");
        if (!text || std::strcmp(text, "1")) return false;
        std::atexit([] {
            const double n = double(lane_instructions), seconds = double(std::clock()) / CLOCKS_PER_SEC;
            std::fprintf(stderr, "%.4g instructions of lanes, %.3g each second of processor time\n", n, n / seconds);
        });
        return true;
    }();
    if (wanted) lane_instructions += executed;
}

struct Arguments {
    const Code* code;
    std::unique_ptr<char[]> storage;
    char* parameters;
};

struct FreeAligned {
    void operator()(char* p) const { std::free(p); }
};
using Bytes = std::unique_ptr<char[], FreeAligned>;
Bytes aligned_bytes(size_t n) {
    constexpr size_t line = 64;
    return Bytes(static_cast<char*>(std::aligned_alloc(line, (n + line) / line * line)));
}

// The warps of the block that an OS thread runs. Registers keep their constants from one block to the next.
class Machine {
public:
    static Machine& mine() {
        static thread_local Machine* m = new Machine;  // as long as the OS thread's fibers
        return *m;
    }
    void begin(const Arguments&);
    void run_lane() {
        const unsigned n = simt::running->linear;
        warps[n / warp_lanes]->run_lane(n % warp_lanes);
    }

private:
    struct Room {
        Warp warp;
        Products products;
        Bytes registers, local, local_written;
    };
    void prepare(const Code&, unsigned count);
    void set_special(Warp& w, Special s, auto value) {
        const Place p = code->special[size_t(s)];
        for (unsigned l = 0; p != nowhere && l < warp_lanes; l++) w.at<uint32_t>(p)[l] = value(l);
    }
    void set_place(Warp&, const simt::Block&, uint64_t number);

    const Code* code = nullptr;
    uint64_t prepared_for = 0;  // the code's number: others may come to be at the same address
    dim3 block_size;
    std::vector<std::unique_ptr<Room>> rooms;
    std::vector<Warp*> warps;
};

void fill(char* registers, const Constant& c) {
    for (unsigned l = 0; l < warp_lanes; l++) switch (c.width) {
            case Width::predicate: *reinterpret_cast<Mask*>(registers + c.place) = c.bits ? all_lanes : 0; break;
            case Width::half: reinterpret_cast<uint16_t*>(registers + c.place)[l] = uint16_t(c.bits); break;
            case Width::word: reinterpret_cast<uint32_t*>(registers + c.place)[l] = uint32_t(c.bits); break;
            case Width::double_word: reinterpret_cast<uint64_t*>(registers + c.place)[l] = c.bits; break;
        }
}

void Machine::prepare(const Code& c, unsigned count) {
    code = &c;
    prepared_for = c.number;
    block_size = blockDim;
    const unsigned n = (count + warp_lanes - 1) / warp_lanes;
    while (rooms.size() < n) rooms.push_back(std::make_unique<Room>());
    warps.clear();
    for (unsigned i = 0; i < n; i++) {
        Room& room = *rooms[i];
        room.registers = aligned_bytes(c.register_bytes);
        room.local = aligned_bytes(std::max<size_t>(c.local_bytes * warp_lanes, 64));
        room.local_written = aligned_bytes(std::max<size_t>(c.local_bytes * warp_lanes, 64));
        Warp& w = room.warp;
        w.code = code;
        w.registers = room.registers.get();
        w.local = room.local.get();
        w.local_written = room.local_written.get();
        w.products = &room.products;
        w.number = i;
        w.lanes = i * warp_lanes + warp_lanes <= count ? all_lanes : (Mask(1) << count % warp_lanes) - 1;
        std::memset(w.registers, 0xff, c.register_bytes);
        for (const Constant& constant : c.constants) fill(w.registers, constant);
        const dim3 b = blockDim;
        const auto linear = [&](unsigned l) { return i * warp_lanes + l; };
        set_special(w, Special::tid_x, [&](unsigned l) { return linear(l) % b.x; });
        set_special(w, Special::tid_y, [&](unsigned l) { return linear(l) / b.x % b.y; });
        set_special(w, Special::tid_z, [&](unsigned l) { return linear(l) / (b.x * b.y); });
        set_special(w, Special::ntid_x, [&](unsigned) { return b.x; });
        set_special(w, Special::ntid_y, [&](unsigned) { return b.y; });
        set_special(w, Special::ntid_z, [&](unsigned) { return b.z; });
        set_special(w, Special::laneid, [&](unsigned l) { return l; });
        set_special(w, Special::warpid, [&](unsigned) { return i; });
        set_special(w, Special::nwarpid, [&](unsigned) { return n; });
        set_special(w, Special::lanemask_eq, [](unsigned l) { return 1u << l; });
        set_special(w, Special::lanemask_lt, [](unsigned l) { return (1u << l) - 1; });
        set_special(w, Special::lanemask_le, [](unsigned l) { return (2u << l) - 1; });
        set_special(w, Special::lanemask_gt, [](unsigned l) { return ~((2u << l) - 1); });
        set_special(w, Special::lanemask_ge, [](unsigned l) { return ~((1u << l) - 1); });
        warps.push_back(&w);
    }
}

void Machine::begin(const Arguments& a) {
    simt::Block& block = simt::Block::mine();
    const unsigned count = blockDim.x * blockDim.y * blockDim.z;
    if (prepared_for != a.code->number || block_size.x != blockDim.x || block_size.y != blockDim.y ||
        block_size.z != blockDim.z)
        prepare(*a.code, count);
    block.by_warps = true;
    block.of_owner = &shared_window();
    SharedWindow& window = shared_window();
    char* const shared = simt::SharedMemory::dynamic();
    window = {shared,
              shared + code->static_shared_begin,
              block.launch->shared_bytes,
              code->static_shared_bytes,
              code->static_shared_begin,
              nullptr};
    std::memset(window.fixed, 0xff, window.fixed_bytes);
    simt::SharedMemory::mine().also(window.fixed_begin, window.fixed_bytes);
    forget_ranges();
    const simt::Order& order = block.launch->order;
    static const char* const checks = std::getenv("PTX_CHECKS");
    Shadow* const shadow = checks && !std::strcmp(checks, "0") ? nullptr : &Shadow::mine();
    const uint64_t number = blockIdx.x + uint64_t(gridDim.x) * (blockIdx.y + uint64_t(gridDim.y) * blockIdx.z);
    if (shadow)
        shadow->begin(unsigned(warps.size()), window.dynamic_bytes, window.fixed_bytes, block.launch->run,
                      uint32_t(number));
    window.shadow = shadow;
    block.strict = shadow;
    Tally* const tally = Tally::of(*code, block.launch->run, number == 0);
    for (unsigned i = 0; i < warps.size(); i++) {
        Warp& w = *warps[i];
        count_executed(std::exchange(w.executed, 0));
        w.shadow = shadow;
        std::memset(w.local_written, 0, code->local_bytes * warp_lanes);
        w.traced = number || i ? 0 : traced_lanes(block.launch->kernel);
        w.trace = trace;
        w.tally = tally;
        w.count = [](Warp& its, const Instruction& what, Mask lanes, Mask active) {
            its.tally->note(its, what, lanes, active);
        };
        w.block = &block;
        w.threads = block.thread(i * warp_lanes);
        w.parameters = a.parameters;
        w.living = w.lanes;
        w.started = 0;
        w.cluster_arrived = 0;
        w.leader = nobody;
        w.paths.clear();
        w.products->forget();
        w.shuffled = order.kind == simt::Order::Kind::shuffled;
        w.random_state = order.seed + number * 0x9e3779b97f4a7c15 + i;
        w.backwards = order.kind == simt::Order::Kind::reverse || (w.shuffled && w.random_state % 2);
        set_place(w, block, number);
    }
}

// Where the block is: in the grid, in its cluster, on the device.
void Machine::set_place(Warp& w, const simt::Block& block, uint64_t number) {
    const dim3 &c = block.launch->cluster, &at = blockIdx, &n = gridDim;
    const unsigned rank = block.rank;
    const auto set = [&](Special s, unsigned value) { set_special(w, s, [=](unsigned) { return value; }); };
    set(Special::ctaid_x, at.x), set(Special::ctaid_y, at.y), set(Special::ctaid_z, at.z);
    set(Special::nctaid_x, n.x), set(Special::nctaid_y, n.y), set(Special::nctaid_z, n.z);
    set(Special::cluster_ctarank, rank), set(Special::cluster_nctarank, c.x * c.y * c.z);
    set(Special::cluster_ctaid_x, rank % c.x), set(Special::cluster_ctaid_y, rank / c.x % c.y);
    set(Special::cluster_ctaid_z, rank / (c.x * c.y));
    set(Special::cluster_nctaid_x, c.x), set(Special::cluster_nctaid_y, c.y), set(Special::cluster_nctaid_z, c.z);
    set(Special::clusterid_x, at.x / c.x), set(Special::clusterid_y, at.y / c.y), set(Special::clusterid_z, at.z / c.z);
    set(Special::nclusterid_x, n.x / c.x), set(Special::nclusterid_y, n.y / c.y), set(Special::nclusterid_z, n.z / c.z);
    set(Special::smid, unsigned(number % simt::multiprocessors)), set(Special::nsmid, simt::multiprocessors);
}

Error error_of(const simt::Order& order) {
    switch (order.kind) {
        case simt::Order::Kind::forward: return Error::exact;
        case simt::Order::Kind::reverse: return Error::up;
        case simt::Order::Kind::shuffled: break;
    }
    return order.seed % 2 ? Error::scattered : Error::down;
}

}  // namespace

simt::Call call(const Kernel& kernel, void** arguments) {
    constexpr size_t alignment = 128;  // a tensor map's is 64
    const Code& code = kernel.code();
    auto a = std::make_shared<Arguments>();
    a->code = &code;
    a->storage = std::make_unique<char[]>(code.parameter_bytes + alignment);
    const uintptr_t begin = reinterpret_cast<uintptr_t>(a->storage.get());
    a->parameters = reinterpret_cast<char*>((begin + alignment - 1) / alignment * alignment);
    for (size_t i = 0; i < code.parameters.size(); i++)
        std::memcpy(a->parameters + code.parameters[i].offset, arguments[i], code.parameters[i].bytes);
    simt::Call c{a, [](const void*) { Machine::mine().run_lane(); }, {}};
    c.begin = [](const void* p) {
        approximation = error_of(simt::Block::mine().launch->order);
        Machine::mine().begin(*static_cast<const Arguments*>(p));
    };
    return c;
}

}  // namespace ptx
