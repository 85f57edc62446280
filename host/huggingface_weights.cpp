// model.safetensors, read and written as weight_map.h says.
#include <cmath>
#include <map>
#include <set>
#include "huggingface.h"
#include "llmc.h"
#include "tensor_files.h"
#include "weight_map.h"

using safetensors::Dtype;
using safetensors::Tensor;

namespace {

// Calls move(theirs, ours) with the indices of every value of the tensor, in blocks that suit both orders.
template <class Move>
void for_each_value(const Entry& e, Move move) {
    constexpr size_t block = 32;
    for (size_t r0 = 0; r0 < e.rows; r0 += block)
        for (size_t i0 = 0; i0 < e.width; i0 += block)
            for (size_t r = r0; r < std::min(r0 + block, e.rows); r++) {
                const size_t ours = e.our_row(r) * e.width;
                for (size_t i = i0; i < std::min(i0 + block, e.width); i++)
                    move(e.turned ? i * e.rows + r : r * e.width + i, ours + i);
            }
}

void require_finite(std::span<const float> values, const std::string& name) {
    for (size_t i = 0; i < values.size(); i++)
        if (!std::isfinite(values[i]))
            throw Error(Exit::numeric, name, "element " + std::to_string(i) + " is " + std::to_string(values[i]),
                        "not saved");
}

std::vector<float> checked_row(const GetRow& get, const Row& row, const std::string& name) {
    std::vector<float> values = get(row);
    REQUIRE(values.size() == row.size());
    require_finite(values, name);
    return values;
}

struct Source { Entry entry; TensorFiles::Found found; };

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
    for (Entry& e : entries_of(c, layout, names)) {
        const TensorFiles::Found* found = find_tensor(all, e.theirs);
        if (!found && !e.row) continue;
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
                         const GetRow& get) {
    std::map<std::string, Entry> entries;
    std::vector<Tensor> tensors;
    for (Entry& e : entries_of(model.config, layout)) {
        tensors.push_back({e.theirs, model.dtype, e.shape()});
        entries[e.theirs] = std::move(e);
    }
    safetensors::Writer writer(directory + "/model.safetensors", std::move(tensors));
    for (const Tensor& tensor : writer.tensors()) {
        const Entry& e = entries[tensor.name];
        std::vector<float> ours = e.row ? checked_row(get, *e.row, e.theirs) : std::vector<float>(), theirs;
        if (e.row && e.as_it_is()) {
            writer.write(std::span(ours).subspan(e.first * e.width, e.size()));
            continue;
        }
        theirs.resize(e.size());
        if (e.row) for_each_value(e, [&](size_t to, size_t from) { theirs[to] = ours[from]; });
        else for (size_t i = 0; i < theirs.size(); i++) theirs[i] = constant(e, i);
        writer.write(theirs);
    }
    writer.close();
    return {"model.safetensors", writer.size(), writer.hash()};
}

void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetRow& set) {
    if (llmc::is_checkpoint(path)) return llmc::load_weights(path, config, layout, set);
    const TensorFiles all(path);
    const std::vector<Source> sources = match(all, config, layout);
    std::map<const Row*, std::vector<const Source*>> by_row;
    for (const Source& s : sources) by_row[s.entry.row].push_back(&s);
    for (const Source* s : by_row[nullptr]) check_constant(*s);
    std::vector<float> ours, theirs;
    for (const Row& row : layout.rows) {
        ours.resize(row.size());
        for (const Source* s : by_row[&row]) {
            const Entry& e = s->entry;
            if (e.as_it_is()) {
                s->found.file->read(std::span(ours).subspan(e.first * e.width, e.size()), *s->found.tensor);
                continue;
            }
            theirs.resize(e.size());
            s->found.file->read(theirs, *s->found.tensor);
            for_each_value(e, [&](size_t from, size_t to) { ours[to] = theirs[from]; });
        }
        set(row, ours);
    }
}

void check_weights(const std::string& path, const Config& config, const Layout& layout) {
    if (!llmc::is_checkpoint(path)) match(TensorFiles(path), config, layout);
    else llmc::check_weights(path, config);
}

WrittenFile save_rows(const std::string& path, const Layout& layout, const std::vector<NamedRows>& parts) {
    struct Which { const NamedRows* part; const Row* row; };
    std::map<std::string, Which> which;
    std::vector<Tensor> tensors;
    for (const NamedRows& part : parts)
        for (const Row& row : layout.rows) {
            tensors.push_back({part.prefix + "." + row.name, Dtype::F32, {row.shape.begin(), row.shape.end()}});
            which[tensors.back().name] = {&part, &row};
        }
    safetensors::Writer writer(path, std::move(tensors));
    for (const Tensor& tensor : writer.tensors())
        writer.write(checked_row(which[tensor.name].part->get, *which[tensor.name].row, tensor.name));
    writer.close();
    return {path.substr(path.rfind('/') + 1), writer.size(), writer.hash()};
}

void load_rows(const std::string& path, const Layout& layout, const std::vector<NamedTargets>& parts) {
    const safetensors::Reader reader(path);
    const auto tensor_of = [&](const NamedTargets& part, const Row& row) -> const Tensor& {
        const Tensor* t = reader.find(part.prefix + "." + row.name);
        if (!t) throw Error(Exit::input, path, "tensor " + part.prefix + "." + row.name + " is missing");
        if (t->dtype != Dtype::F32 || t->shape != std::vector<uint64_t>(row.shape.begin(), row.shape.end()))
            throw Error(Exit::input, path,
                        "tensor " + t->name + " is " + name(t->dtype) + " " + safetensors::shape_text(t->shape) +
                            ", which does not fit the model");
        return *t;
    };
    for (const NamedTargets& part : parts) for (const Row& row : layout.rows) tensor_of(part, row);
    if (reader.tensors().size() != parts.size() * layout.rows.size())
        throw Error(Exit::input, path, "holds tensors that have no place in this run");
    std::vector<float> values;
    for (const NamedTargets& part : parts)
        for (const Row& row : layout.rows) {
            values.resize(row.size());
            reader.read(values, tensor_of(part, row));
            part.set(row, values);
        }
}
