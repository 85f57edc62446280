#include "huggingface_weights.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include "safetensors_shards.h"
#include "tensor_pieces.h"
#include "weight_map.h"

using safetensors::Dtype;
using safetensors::Tensor;

namespace {

// Their tensor's rows: (lines, line).
size_t lines(const MappedTensor& e) { return e.transposed ? e.width : e.rows; }
size_t line(const MappedTensor& e) { return e.transposed ? e.rows : e.width; }

// Calls move(theirs, ours) with the indices of every value in `n` of their lines from `first` on, where theirs
// begins at 0, in blocks that suit both orders.
template <class Move>
void for_each_value(const MappedTensor& e, size_t first, size_t n, Move move) {
    constexpr size_t block = 32;
    const size_t r_begin = e.transposed ? 0 : first, r_end = e.transposed ? e.rows : first + n;
    const size_t i_begin = e.transposed ? first : 0, i_end = e.transposed ? first + n : e.width;
    for (size_t r0 = r_begin; r0 < r_end; r0 += block)
        for (size_t i0 = i_begin; i0 < i_end; i0 += block)
            for (size_t r = r0; r < std::min(r0 + block, r_end); r++) {
                const size_t ours = e.our_row(r) * e.width;
                for (size_t i = i0; i < std::min(i0 + block, i_end); i++)
                    move(e.transposed ? (i - first) * e.rows + r : (r - first) * e.width + i, ours + i);
            }
}

struct Source {
    MappedTensor entry;
    TensorFiles::Found found;
};

const TensorFiles::Found* find_tensor(const TensorFiles& all, const std::string& name) {
    if (const auto* found = all.find(name)) return found;
    for (const std::string prefix : {"transformer.", "model."})  // files of the bare model have none
        if (name.starts_with(prefix)) return all.find(name.substr(prefix.size()));
    return nullptr;
}

// Pairs every tensor the model needs with one in the files; names, shapes and types are then right.
std::vector<Source> match(const TensorFiles& all, const Config& c, const Layout& layout) {
    std::vector<Source> sources;
    std::set<const Tensor*> used;
    const Names names = all.find("token_embeddings.weight") ? Names::cs336 : Names::family;
    for (MappedTensor& e : mapped_tensors(c, layout, names)) {
        const TensorFiles::Found* found = find_tensor(all, e.theirs);
        if (!found && !e.parameter) continue;
        if (!found) throw Error(Exit::input, all.path(), "tensor " + e.theirs + " is missing");
        const auto& [file, tensor] = *found;
        if (tensor->shape != e.shape())
            throw Error(Exit::input, file->path(),
                        "tensor " + tensor->name + " is " + safetensors::shape_text(tensor->shape) +
                            ", config.json asks for " + safetensors::shape_text(e.shape()));
        safetensors::require_float(*tensor, file->path());
        used.insert(tensor);
        sources.push_back({std::move(e), *found});
    }
    for (const auto& [name, found] : all.tensors())
        if (!used.contains(found.tensor) && !ignorable(name, c))
            throw Error(Exit::input, found.file->path(), "tensor " + name + " has no place in this model");
    return sources;
}

// All of a tensor's values, none of them an infinity or NaN.
void read_finite(std::span<float> out, const TensorFiles::Found& found) {
    found.file->read(out, *found.tensor);
    safetensors::require_finite(out, found.file->path(), found.tensor->name);
}

void check_constant(const Source& s) {
    std::vector<float> values(s.entry.size());
    s.found.file->read(values, *s.found.tensor);
    for (size_t i = 0; i < values.size(); i++)
        if (!(std::abs(values[i] - constant(s.entry, i)) <= 4e-3f))  // bf16 rounds values up to 1 by less than that
            throw Error(Exit::input, s.found.file->path(),
                        "tensor " + s.found.tensor->name + " is not the constant that gpt_cu in config.json implies",
                        "remove gpt_cu to load it as a weight");
}

}  // namespace

WrittenFile save_weights(const std::string& directory, const ModelDescription& model, const Layout& layout,
                         const GetParameter& get) {
    std::map<std::string, MappedTensor> entries;
    std::vector<Tensor> tensors;
    for (MappedTensor& e : mapped_tensors(model.config, layout)) {
        tensors.push_back({e.theirs, model.dtype, e.shape()});
        entries[e.theirs] = std::move(e);
    }
    safetensors::Writer writer(directory + "/model.safetensors", std::move(tensors));
    TensorPieces pieces(writer);
    std::vector<float> ours;
    for (const Tensor& tensor : writer.tensors()) {
        const MappedTensor& e = entries[tensor.name];
        if (!e.parameter) {
            pieces.write(e.theirs, e.size(), 1, [&](size_t first, std::span<float> out) {
                for (size_t i = 0; i < out.size(); i++) out[i] = constant(e, first + i);
            });
        } else if (e.as_it_is()) {
            pieces.write(e.theirs, e.size(), 1, [&](size_t first, std::span<float> out) {
                get(*e.parameter, e.first * e.width + first, out);
            });
        } else {
            ours.resize(e.parameter->size());
            get(*e.parameter, 0, ours);
            pieces.write(e.theirs, lines(e), line(e), [&](size_t first, std::span<float> out) {
                for_each_value(e, first, out.size() / line(e), [&](size_t to, size_t from) { out[to] = ours[from]; });
            });
        }
    }
    pieces.finish();
    writer.close();
    return {"model.safetensors", writer.size(), writer.hash()};
}

std::vector<size_t> values_read(const ModelDescription& model, const Layout& layout) {
    std::map<const Parameter*, size_t> read;
    for (const MappedTensor& e : mapped_tensors(model.config, layout))
        if (e.parameter) read[e.parameter] += e.as_it_is() ? e.size() : e.parameter->size();
    std::vector<size_t> all;
    for (const Parameter& parameter : layout.parameters) all.push_back(read[&parameter]);
    return all;
}

namespace huggingface {

void load_weights(const std::string& directory, const Config& config, const Layout& layout, const SetParameter& set) {
    const TensorFiles all(directory);
    const std::vector<Source> sources = match(all, config, layout);
    std::map<const Parameter*, std::vector<const Source*>> by_parameter;
    for (const Source& s : sources) by_parameter[s.entry.parameter].push_back(&s);
    for (const Source* s : by_parameter[nullptr]) check_constant(*s);
    std::vector<float> ours, theirs;
    for (const Parameter& parameter : layout.parameters) {
        ours.resize(parameter.size());
        for (const Source* s : by_parameter[&parameter]) {
            const MappedTensor& e = s->entry;
            if (e.as_it_is()) {
                read_finite(std::span(ours).subspan(e.first * e.width, e.size()), s->found);
                continue;
            }
            theirs.resize(e.size());
            read_finite(theirs, s->found);
            for_each_value(e, 0, lines(e), [&](size_t from, size_t to) { ours[to] = theirs[from]; });
        }
        set(parameter, ours);
    }
}

bool has_other_head(const std::string& directory) {
    const std::string file = directory + "/model.safetensors";
    if (!files::exists(file) && !files::exists(file + ".index.json")) return false;
    const TensorFiles all(directory);
    const TensorFiles::Found *head = find_tensor(all, "lm_head.weight"), *embedding = nullptr;
    for (const char* name : {"transformer.wte.weight", "model.embed_tokens.weight", "token_embeddings.weight"})
        if (const auto* found = find_tensor(all, name)) embedding = found;
    if (!head || !embedding) return false;
    if (head->tensor->shape != embedding->tensor->shape) return true;
    std::vector<float> a(1 << 18), b(a.size());
    for (uint64_t at = 0, size = head->tensor->elements(); at < size; at += a.size()) {
        const size_t n = size_t(std::min<uint64_t>(a.size(), size - at));
        head->file->read(std::span(a).first(n), *head->tensor, at);
        embedding->file->read(std::span(b).first(n), *embedding->tensor, at);
        if (!std::equal(a.begin(), a.begin() + std::ptrdiff_t(n), b.begin())) return true;
    }
    return false;
}

void check_weights(const std::string& directory, const Config& config, const Layout& layout) {
    match(TensorFiles(directory), config, layout);
}

}  // namespace huggingface
