#include "kernel_rates.h"
#include <algorithm>
#include "host/base/error.h"

const std::vector<KernelRate>& kernel_rates() {
    static const std::vector<KernelRate> table = {
        {"embedding_forward", KernelRate::memory, 0.804},
        {"embedding_backward", KernelRate::memory, 0.432},
        {"layernorm_forward", KernelRate::memory, 0.869},
        {"layernorm_backward", KernelRate::memory, 0.705},
        {"residual_layernorm_forward", KernelRate::memory, 0.895},
        {"rmsnorm_forward", KernelRate::memory, 0.908},
        {"rmsnorm_backward", KernelRate::memory, 0.853},
        {"residual_rmsnorm_forward", KernelRate::memory, 0.902},
        {"rope_forward", KernelRate::memory, 0.853},
        {"rope_backward", KernelRate::memory, 0.853},
        {"qk_norm_forward", KernelRate::memory, 0.895},
        {"qk_norm_backward", KernelRate::memory, 0.847},
        {"qk_norm_rope_forward", KernelRate::memory, 0.791},
        {"qk_norm_rope_backward", KernelRate::memory, 0.842},
        {"residual_forward", KernelRate::memory, 0.950},
        {"gelu_forward", KernelRate::memory, 0.915},
        {"gelu_backward", KernelRate::memory, 0.927},
        {"cross_entropy_fused", KernelRate::memory, 0.833},
        {"global_norm", KernelRate::memory, 0.919},
        {"adamw", KernelRate::memory, 0.830},
        {"linear_forward", KernelRate::products, 0.684},
        {"linear_backward", KernelRate::products, 0.652},
        {"linear_gelu_forward", KernelRate::products, 0.596},
        {"gelu_linear_backward", KernelRate::products, 0.573},
        {"linear_swiglu_forward", KernelRate::products, 0.698},
        {"swiglu_linear_backward", KernelRate::products, 0.547},
        {"attention_forward HS64", KernelRate::products, 0.543, 663},
        {"attention_backward HS64", KernelRate::products, 0.386, 329},
        {"attention_forward HS128", KernelRate::products, 0.729, 461},
        {"attention_backward HS128", KernelRate::products, 0.436, 125},
        {"attention_forward dropout HS64", KernelRate::products, 0.115},
        {"attention_backward dropout HS64", KernelRate::products, 0.097},
        {"attention_forward dropout HS128", KernelRate::products, 0.199},
        {"attention_backward dropout HS128", KernelRate::products, 0.133},
    };
    return table;
}

KernelSeconds seconds_of(const StepKernel& kernel, const Peaks& gpu) {
    const auto& rates = kernel_rates();
    const auto found = std::ranges::find_if(rates, [&](const KernelRate& r) { return kernel.rate == r.kernel; });
    REQUIRE(found != rates.end());
    const Work& w = kernel.work;
    const bool products = found->of == KernelRate::products;
    const double beside = kernel.length > 0 ? 1 + found->beside / kernel.length : 1,
                 as_measured = products ? w.products * beside / (found->share * gpu.products)
                                        : w.bytes / (found->share * gpu.memory),
                 limit = limit_seconds(w, gpu.products, gpu.memory, gpu.exponentials),
                 seconds = std::max(as_measured, limit), least = kernel.launches * least_kernel_seconds;
    if (least > seconds) return {least, Bound::launch};
    const bool by_memory = !products || (limit > as_measured && limit == w.bytes / gpu.memory);
    return {seconds, by_memory ? Bound::memory : Bound::products};
}
