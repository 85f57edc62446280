// Which tensor of another program holds which rows of ours: one table per family, used in both directions.
#pragma once
#include <string>
#include <vector>
#include "host/model/config.h"
#include "host/model/layout.h"

// Hugging Face's (or our own) for the family; the CS336 course's; GGUF's, for three kinds of its architectures.
enum class Names { family, cs336, gguf_gpt2, gguf_llama, gguf_qwen };

// One foreign tensor and the slice of our parameter it maps to: `rows` rows of `width` values, from row `first` on.
struct MappedTensor {
    enum class Order { same, they_half, they_interleaved };  // of the pairs that RoPE rotates, where theirs differs

    std::string theirs;
    const Parameter* parameter = nullptr;  // null: a constant
    size_t first = 0, rows = 0, width = 1;
    bool matrix = false, transposed = false;  // transposed: (in, out) there
    Order order = Order::same;
    int heads = 1;  // whose rows are reordered

    size_t size() const { return rows * width; }
    bool as_it_is() const { return !transposed && order == Order::same; }
    std::vector<uint64_t> shape() const;
    size_t our_row(size_t r) const;  // of their row r
};

// What the files of such a model hold. Every weight has its place.
std::vector<MappedTensor> mapped_tensors(const Config& config, const Layout& layout, Names names = Names::family);

bool ignorable(const std::string& tensor, const Config& config);  // carries nothing a model needs
float constant(const MappedTensor& tensor, size_t index);         // the values of one without a parameter
