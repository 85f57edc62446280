// The model's tensors: a table of weights, one of activations, one of statistics, and where each stands in them.
//
//   B batch   T time   N = B*T tokens   C channels   V vocabulary   P = V padded   L layers   F feed-forward width
//   NH query heads   NKV key/value heads   HS head size   QKV = (NH + 2*NKV) * HS
#pragma once
#include "config.h"
#include "layout.h"

// How many of N rows of P logits are kept at a time. If all of them need more memory than this, the head processes the
// batch in parts.
constexpr size_t most_logits_bytes = size_t(8) << 30;
constexpr int rows_of_logits(int N, int P, size_t element_bytes) {
    const size_t fit = std::max<size_t>(most_logits_bytes / (size_t(P) * element_bytes) / 128, 1) * 128;
    return int(std::min<size_t>(fit, size_t(N)));
}
static_assert(rows_of_logits(64 * 1024, 50304, 2) == 64 * 1024 && rows_of_logits(64 * 1024, 151936, 2) == 28160);

struct NormWeights {
    Slot weight, bias;
};
struct LinearWeights {
    Slot weight, bias;
    int C, OC;
};
struct BlockWeights {
    NormWeights norm1, norm2;
    LinearWeights qkv, proj, up, down;
    Slot q_norm, k_norm;
};

struct NormActs {
    Slot out, mean, rstd;
};
struct BlockActs {
    Slot in, qkv_raw, qk_rstd, qkv, att, lse, mid, up, act;
    NormActs norm1, norm2;
};

struct GptTables {
    // What the storage type decides: rows of logits are padded to a multiple of vocab_multiple, and as many are kept at
    // a time as `rows` says (0: rows_of_logits).
    struct Storage {
        int vocab_multiple;
        size_t element_bytes;
        int rows = 0;
    };

    const Config c;
    const int T = c.T, C = c.C, V = c.V, NH = c.NH, NKV = c.NKV, HS = c.HS, F = c.F, QKV = (NH + 2 * NKV) * HS;
    const int up_width = c.activation == Activation::swiglu ? 2 * F : F;
    const int P;
    const int N_max;      // tokens that fit: every forward may use fewer
    const int head_rows;  // rows of logits kept at a time
    const Recompute recompute;

    Layout weights, acts, stats;
    std::vector<BlockWeights> wb;
    std::vector<BlockActs> ab;
    Slot wte, wpe, head;  // weights outside the blocks
    NormWeights norm_f;
    Slot out, logits, lse_out, losses, sinusoids, cos, sin;  // activations outside the blocks, and constants
    NormActs norm_out;
    Slot branch, d_x, d_c, d_att, d_wide;  // scratch: one tensor each, reused by every block

    // N: the most tokens a forward will see.
    GptTables(const Config& config, int N, Recompute recompute, Storage storage);

    size_t parameters() const;

    // What flows into block l, the bias that was added to it last, and its norm; those of "block" L go to the head.
    Slot block_in(int l) const { return l < c.L ? ab[l].in : out; }
    Slot block_in_bias(int l) const { return l > 0 ? wb[l - 1].down.bias : Slot{}; }
    const NormActs& block_norm(int l) const { return l < c.L ? ab[l].norm1 : norm_out; }
    const NormWeights& block_norm_weights(int l) const { return l < c.L ? wb[l].norm1 : norm_f; }

private:
    NormWeights norm_weights(const std::string& name);
    LinearWeights linear_weights(const std::string& name, int in, std::vector<int> parts, Init init, bool bias);
    BlockWeights block_weights(const std::string& h);
    NormActs norm_acts();
    BlockActs block_acts();
    void lay_out_activations();
};
