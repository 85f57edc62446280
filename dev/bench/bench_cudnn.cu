#include <functional>

#include "bench_cudnn.cuh"

#ifndef GPT_CUDNN
std::function<void(const Gpu<bf16>&)> cudnn_attention(BenchMemory&, Pass, const Config&, int) { return {}; }
#else
#include <cudnn_frontend.h>

namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

void check(const fe::error_t& error) {
    if (error.is_bad()) throw Error(Exit::device, "cuDNN", error.err_msg);
}
void check(cudnnStatus_t status) {
    if (status != CUDNN_STATUS_SUCCESS) throw Error(Exit::device, "cuDNN", cudnnGetErrorString(status));
}

// One causal attention over packed qkv (B,T,NH+2*NKV,HS), forward, or backward into gradients that are packed alike.
class CudnnAttention {
public:
    CudnnAttention(BenchMemory& m, Pass pass, const Config& c, int B) : c(c), B(B) {
        graph.set_io_data_type(fe::DataType_t::BFLOAT16)
            .set_intermediate_data_type(fe::DataType_t::FLOAT)
            .set_compute_data_type(fe::DataType_t::FLOAT);
        bf16* qkv = m.in<bf16>(size_t(B) * c.T * row());
        const Tensor q = heads(qkv, 0, c.NH), k = heads(qkv, c.NH, c.NKV), v = heads(qkv, c.NH + c.NKV, c.NKV);
        const float scale = 1 / std::sqrt(float(c.HS));
        const size_t out_size = size_t(B) * c.T * c.NH * c.HS, stats_size = size_t(B) * c.T * c.NH;
        if (pass == Pass::forward) {
            auto [out, stats] = graph.sdpa(q, k, v,
                                           fe::graph::SDPA_attributes()
                                               .set_name("forward")
                                               .set_generate_stats(true)
                                               .set_causal_mask(true)
                                               .set_attn_scale(scale));
            place(out, m.out<bf16>(out_size), c.NH, c.NH * c.HS)->set_output(true);
            place_stats(stats, m.out<float>(stats_size))->set_output(true);
        } else {
            const Tensor out = tensor(m.in<bf16>(out_size), c.NH, c.NH * c.HS),
                         d_out = tensor(m.in<bf16>(out_size), c.NH, c.NH * c.HS);
            const Tensor stats = place_stats(graph.tensor({}), m.in<float>(stats_size, {.low = 5, .high = 6}));
            auto [d_q, d_k, d_v] = graph.sdpa_backward(
                q, k, v, out, d_out, stats,
                fe::graph::SDPA_backward_attributes().set_name("backward").set_causal_mask(true).set_attn_scale(scale));
            bf16* d_qkv = m.out<bf16>(size_t(B) * c.T * row());
            place(d_q, d_qkv, c.NH, row())->set_output(true);
            place(d_k, at(d_qkv, c.NH), c.NKV, row())->set_output(true);
            place(d_v, at(d_qkv, c.NH + c.NKV), c.NKV, row())->set_output(true);
        }
    }

    void run(const Gpu<bf16>& on) {
        if (!handle) {
            check(cudnnCreate(&handle));
            check(graph.build(handle, {fe::HeurMode_t::A}));
            int64_t bytes = 0;
            check(graph.get_workspace_size(bytes));
            workspace = on.allocate<std::byte>(size_t(bytes));
        }
        check(cudnnSetStream(handle, on.stream));
        check(graph.execute(handle, pointers, workspace));
    }
    ~CudnnAttention() {
        if (handle) cudnnDestroy(handle);
    }

private:
    const Config c;
    const int64_t B;
    fe::graph::Graph graph;
    std::unordered_map<int64_t, void*> pointers;
    int64_t uids = 0;
    cudnnHandle_t handle = nullptr;
    std::byte* workspace = nullptr;

    int64_t row() const { return int64_t(c.NH + 2 * c.NKV) * c.HS; }
    bf16* at(bf16* qkv, int head) const { return qkv ? qkv + size_t(head) * c.HS : nullptr; }
    // (B,heads,T,HS) in memory where a token's row has `stride` elements.
    Tensor place(Tensor t, bf16* data, int heads, int64_t stride) {
        t->set_uid(++uids).set_dim({B, heads, c.T, c.HS}).set_stride({c.T * stride, c.HS, stride, 1});
        pointers[uids] = data;
        return t;
    }
    Tensor place_stats(Tensor t, float* data) {  // (B,NH,T,1), the log-sum-exp
        t->set_uid(++uids).set_dim({B, c.NH, c.T, 1}).set_stride({int64_t(c.NH) * c.T, c.T, 1, 1});
        t->set_data_type(fe::DataType_t::FLOAT);
        pointers[uids] = data;
        return t;
    }
    Tensor tensor(bf16* data, int heads, int64_t stride) { return place(graph.tensor({}), data, heads, stride); }
    Tensor heads(bf16* qkv, int first, int heads) { return tensor(at(qkv, first), heads, row()); }
};

}  // namespace

std::function<void(const Gpu<bf16>&)> cudnn_attention(BenchMemory& m, Pass pass, const Config& c, int B) {
    const auto attention = std::make_shared<CudnnAttention>(m, pass, c, B);
    return [attention](const Gpu<bf16>& on) { attention->run(on); };
}
#endif
