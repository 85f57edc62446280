#include "cluster.h"

namespace {
// NCCL's own model of a ring with the protocol Simple (src/graph/tuning.cc): seconds before the first byte, and of a
// step between neighbours on NVLink, on PCIe, and between nodes.
constexpr double begin = 8.4e-6, over_nvlink = 3.4e-6, over_pcie = 5.7e-6, between_nodes = 9.6e-6;
}  // namespace

double exchange_seconds(const Cluster& c, double bytes) {
    if (c.ranks == 1) return 0;
    const bool one_machine = c.nodes == 1;
    const double part = bytes / c.ranks, wait = c.gpu->by == Inside::nvlink ? over_nvlink : over_pcie;
    const int steps = c.ranks - 1, outside = one_machine ? 0 : std::min(steps, c.nodes), inside = steps - outside;
    const double of_step = wait + part / c.gpu->inside;
    if (one_machine) return begin + steps * of_step;
    const double way = inside * of_step + outside * (between_nodes + part / c.link);
    return begin + std::max(way, between_nodes + steps * part / c.bus());
}

double end_of_exchanges(std::span<const Exchange> all) {
    double end = 0, from_here = 0;
    for (size_t i = all.size(); i-- > 0;) {
        from_here += all[i].seconds;
        end = std::max(end, all[i].ready + from_here);
    }
    return end;
}
