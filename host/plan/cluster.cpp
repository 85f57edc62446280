#include "cluster.h"

namespace {
// NCCL's own model of a ring with the protocol Simple (src/graph/tuning.cc): seconds before the first byte, and of a step
// between neighbours on NVLink, on PCIe, and between nodes.
constexpr double begin = 8.4e-6, over_nvlink = 3.4e-6, over_pcie = 5.7e-6, between_nodes = 9.6e-6;
}  // namespace

double exchange_seconds(const Cluster& c, double bytes) {
    if (c.ranks == 1) return 0;
    const double inside = c.gpu->by == Inside::nvlink ? over_nvlink : over_pcie;
    const double waits = begin + (c.ranks - c.nodes) * inside + (c.nodes - 1) * between_nodes;
    return waits + bytes * (c.ranks - 1) / c.ranks / c.bus();
}

double end_of_exchanges(std::span<const Exchange> all) {
    double end = 0, from_here = 0;
    for (size_t i = all.size(); i-- > 0;) {
        from_here += all[i].seconds;
        end = std::max(end, all[i].ready + from_here);
    }
    return end;
}
