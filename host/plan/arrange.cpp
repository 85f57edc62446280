#include "arrange.h"
#include "host/base/error.h"

namespace {

constexpr double same = 1.001;  // costs that differ by less are equal

std::vector<Recompute> ways(const Arrange& wanted) {
    if (wanted.recompute) return {*wanted.recompute};
    return {Recompute::none, Recompute::mlp, Recompute::block};
}

// Of a rank's share, from the smallest.
std::vector<int> batches(const Arrange& wanted) {
    if (wanted.batch) return {*wanted.batch};
    const int share = wanted.sequences / wanted.ranks;
    std::vector<int> all;
    for (int n = 1; n <= share; n++)
        if (share % n == 0 && problems(wanted.config, n).empty()) all.push_back(n);
    return all;
}

Plan planned(const Arrange& wanted, int batch, Recompute recompute) {
    return make_plan(wanted.config, batch, wanted.dtype, recompute, wanted.ranks, wanted.optimizer);
}

}  // namespace

std::optional<Plan> cheapest(const Arrange& wanted, const std::function<double(const Plan&)>& cost) {
    REQUIRE(wanted.sequences % wanted.ranks == 0);
    std::optional<Plan> best;
    double least = 0;
    for (const Recompute recompute : ways(wanted)) {
        std::optional<Plan> of_this;  // the largest of those that cost the same
        double costs = 0;
        for (const int batch : batches(wanted)) {
            Plan plan = planned(wanted, batch, recompute);
            if (!fits(plan, wanted.bytes)) break;
            const double now = cost(plan);
            if (!of_this || now <= costs * same) of_this = std::move(plan), costs = now;
        }
        if (of_this && (!best || costs * same < least)) best = std::move(of_this), least = costs;
    }
    return best;
}

Plan smallest(const Arrange& wanted) { return planned(wanted, batches(wanted).at(0), ways(wanted).back()); }
