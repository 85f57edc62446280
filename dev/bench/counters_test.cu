// What kernels move is what their rows claim, in whole sectors, without bank conflicts in their main loops; exceptions
// are listed, each with its reason.      ./test_gpt_ptx --gtest_filter='counters.*'
#include <gtest/gtest.h>
#include <algorithm>
#include <set>
#include "bench_counters.h"
#include "kernels/tools/tensor_map.cuh"

namespace {

// clang-format off
struct OfBytes { const char* row; double least, most; const char* reason; };
constexpr OfBytes bytes_beside[] = {
    {"embedding_forward", 0.85, 1.0, "random tokens repeat; a row claims each one's vector"},
    {"embedding_backward", 0.78, 1.06, "the same, and positions are gathered by a second launch"},
    {"attention_backward", 1.48, 1.52, "two kernels, of queries and of keys, each read q, k, v and d_out"},
    {"linear_backward", 1.0, 1.31, "both products read d_out, and so does the bias' sum"},
    {"gelu_linear_backward", 1.0, 1.17, "the same; before Hopper, the bias' sum reads what was written"},
    {"swiglu_linear_backward", 1.0, 1.06, "both products read d_out"},
};
struct OfKernel { const char* kernel; double least; const char* reason; };
constexpr OfKernel useful_beside[] = {
    {"adamw_kernel", 0.51, "8 numbers of 4 bytes a thread, in two halves, of which L1 or L2 joins the sectors"},
    {"attention_hopper_forward_kernel", 0.72, "rows of the result leave as they lie in registers, 16 bytes at a time"},
    {"attention_tensor_query_kernel<128", 0.85, "with dropout: rows are read as registers want them, 16 bytes at a time"},
    {"cross_entropy_backward_kernel", 0.90, "a row's target and statistics, beside few logits here"},
    {"cross_entropy_forward_kernel", 0.88, "the same"},
    {"cross_entropy_fused_kernel", 0.90, "the same"},
    {"embedding_chunk_kernel", 0.50, "sums in fp32, in halves as in adamw"},
    {"embedding_heads_kernel", 0.12, "a number here and there of a sorted list"},
    {"global_norm_kernel", 0.70, "one block adds what others left, and writes one number"},
    {"global_norm_partial_kernel", 0.49, "fp32 in halves, as in adamw"},
    {"linear_bias_kernel", 0.93, "its few sums are fp32, in halves"},
    {"linear_kernel", 0.13, "the plain one, for what has no tensor cores"},
    {"linear_tensor_kernel", 0.63, "gradients of weights are fp32, in halves"},
    {"qk_norm_rope_backward_kernel", 0.85, "the table of angles is fp32, in halves, and read by every head"},
    {"qk_norm_rope_forward_kernel", 0.83, "the same"},
    {"rope_kernel", 0.79, "the same"},
    {"sort_count_kernel", 0.50, "256 tokens and their digits: a few numbers a block"},
    {"sort_scatter_kernel", 0.42, "goes where the order says"},
};
struct Conflicts { const char* kernel; const char* reason; };
constexpr Conflicts conflicts_beside[] = {
    {"layernorm_backward_kernel", "sums of columns, once a block, when its rows are done"},
    {"linear_kernel", "the plain one, for what has no tensor cores"},
    {"qk_norm_backward_kernel", "sums of columns, as in layernorm"},
    {"qk_norm_rope_backward_kernel", "the same"},
    {"sort_count_kernel", "a histogram: its addresses are the tokens"},
    {"sort_scatter_kernel", "the same"},
};
// clang-format on

const std::vector<CountedRow>& rows() {
    static const std::vector<CountedRow> all = [] {
        std::vector<CountedRow> sum;
        for (const BenchModel& model : counted_models())
            for (CountedRow& row : count_rows(model)) sum.push_back(std::move(row));
        return sum;
    }();
    return all;
}
std::string name_in(const std::string& kernel) { return kernel.substr(0, kernel.find('(')); }

// The first entry whose name begins that of the row or kernel.
template <class Table, class Name>
auto find_in(const Table& table, const std::string& name, Name name_of) {
    const auto it =
        std::find_if(std::begin(table), std::end(table), [&](const auto& e) { return name.rfind(name_of(e), 0) == 0; });
    return it == std::end(table) ? nullptr : &*it;
}

struct Counters : testing::Test {
    void SetUp() override {
        if (!can_count()) GTEST_SKIP() << "skipped: only test_gpt_ptx counts";
    }
};
using counters = Counters;

TEST_F(counters, bytes_are_what_rows_claim) {
    std::set<const void*> needed;
    for (const CountedRow& row : rows()) {
        const double share = row.bytes() / row.claimed.bytes;
        const OfBytes* e = find_in(bytes_beside, row.kernel, [](const OfBytes& o) { return o.row; });
        EXPECT_GE(share, e ? e->least : 0.98) << row.kernel << ' ' << row.shape;
        EXPECT_LE(share, e ? e->most : 1.02) << row.kernel << ' ' << row.shape;
        if (share < 0.98 || share > 1.02) needed.insert(e);
    }
    for (const OfBytes& e : bytes_beside) EXPECT_TRUE(needed.count(&e)) << e.row << " needs no exception";
}

// Of rows with products no more is multiplied than tiles need, and no less than is claimed.
TEST_F(counters, products_are_what_rows_claim) {
    for (const CountedRow& row : rows()) {
        if (row.claimed.products == 0 || row.kernel.find("no tensor cores") != row.kernel.npos) continue;
        const double share = double(row.all.operations) / row.claimed.products;
        EXPECT_GE(share, 1.0) << row.kernel << ' ' << row.shape;
        EXPECT_LE(share, 2.5) << row.kernel << ' ' << row.shape;  // at two tiles a row, half of the diagonal is unused
    }
}

TEST_F(counters, sectors_are_used) {
    std::set<const void*> needed;
    const bool hopper = has_hopper(Gpu<bf16>());
    for (const CountedRow& row : rows())
        for (const ptx::KernelCounts& k : row.kernels) {
            const std::string name = name_in(k.kernel);
            const double moved = double(k.all.read.bytes() + k.all.written.bytes());
            if (moved == 0) continue;
            const double share = double(k.all.read.useful + k.all.written.useful) / moved;
            const OfKernel* e = find_in(useful_beside, k.kernel, [](const OfKernel& o) { return o.kernel; });
            EXPECT_GE(share, e ? e->least : 0.95) << row.kernel << ' ' << row.shape << ": " << name;
            if (share < 0.95) needed.insert(e);
        }
    for (const OfKernel& e : useful_beside) {
        const std::string_view kernel = e.kernel;
        if (!hopper && kernel.find("hopper") != kernel.npos) continue;
        // Whose place Hopper's kernels take.
        if (hopper && (kernel == "linear_tensor_kernel" || kernel == "linear_bias_kernel")) continue;
        EXPECT_TRUE(needed.count(&e)) << kernel << " needs no exception";
    }
}

TEST_F(counters, main_loops_have_no_bank_conflicts) {
    std::set<const void*> needed;
    for (const CountedRow& row : rows())
        for (const ptx::KernelCounts& k : row.kernels) {
            const Conflicts* e = find_in(conflicts_beside, k.kernel, [](const Conflicts& c) { return c.kernel; });
            if (!e) { EXPECT_EQ(k.main_loops.conflicts(), 0u) << row.kernel << ": " << name_in(k.kernel); }
            if (k.main_loops.conflicts()) needed.insert(e);
        }
    for (const Conflicts& e : conflicts_beside) EXPECT_TRUE(needed.count(&e)) << e.kernel << " needs no exception";
}

}  // namespace
