// model.safetensors, read and written as weight_map.h says.
#include <cmath>
#include <future>
#include <map>
#include <set>
#include "huggingface.h"
#include "llmc.h"
#include "safetensors_shards.h"
#include "weight_map.h"

using safetensors::Dtype;
using safetensors::Tensor;

namespace {

// Their tensor's rows: (lines, line).
size_t lines(const Entry& e) { return e.turned ? e.width : e.rows; }
size_t line(const Entry& e) { return e.turned ? e.rows : e.width; }

// Calls move(theirs, ours) with the indices of every value in `n` of their lines from `first` on, where theirs
// begins at 0, in blocks that suit both orders.
template <class Move>
void for_each_value(const Entry& e, size_t first, size_t n, Move move) {
    constexpr size_t block = 32;
    const size_t r_begin = e.turned ? 0 : first, r_end = e.turned ? e.rows : first + n;
    const size_t i_begin = e.turned ? first : 0, i_end = e.turned ? first + n : e.width;
    for (size_t r0 = r_begin; r0 < r_end; r0 += block)
        for (size_t i0 = i_begin; i0 < i_end; i0 += block)
            for (size_t r = r0; r < std::min(r0 + block, r_end); r++) {
                const size_t ours = e.our_row(r) * e.width;
                for (size_t i = i0; i < std::min(i0 + block, i_end); i++)
                    move(e.turned ? (i - first) * e.rows + r : (r - first) * e.width + i, ours + i);
            }
}

void require_finite(std::span<const float> values, size_t first, const std::string& name) {
    const auto bad = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
    if (bad == values.end()) return;
    const size_t at = first + size_t(bad - values.begin());
    throw Error(Exit::numeric, name, "element " + std::to_string(at) + " is " + std::to_string(*bad), "not saved");
}

// Writes tensors to a file in pieces: while one is written, the next is prepared.
class Pieces {
public:
    explicit Pieces(safetensors::Writer& writer) : writer(writer), made(limit), written(limit) {}
    ~Pieces() {
        if (writing.valid()) writing.wait();
    }

    // The writer's next tensor: `lines` of `width` values; make(first, out) gives the lines from `first` on.
    template <class Make>
    void write(const std::string& name, size_t lines, size_t width, Make make) {
        const size_t most = std::max<size_t>(limit / width, 1);
        for (size_t first = 0; first < lines; first += most) {
            const size_t n = std::min(most, lines - first) * width;
            if (made.size() < n) made.resize(n);
            make(first, std::span(made).first(n));
            require_finite(std::span(made).first(n), first * width, name);
            finish();
            made.swap(written);
            writing = std::async(std::launch::async, [this, n] { writer.write(std::span(written).first(n)); });
        }
    }
    void finish() {
        if (writing.valid()) writing.get();
    }

private:
    static constexpr size_t limit = 1 << 20;
    safetensors::Writer& writer;
    std::vector<float> made, written;
    std::future<void> writing;
};

struct Source {
    Entry entry;
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
    Pieces pieces(writer);
    std::vector<float> ours;
    for (const Tensor& tensor : writer.tensors()) {
        const Entry& e = entries[tensor.name];
        if (!e.row) {
            pieces.write(e.theirs, e.size(), 1, [&](size_t first, std::span<float> out) {
                for (size_t i = 0; i < out.size(); i++) out[i] = constant(e, first + i);
            });
        } else if (e.as_it_is()) {
            pieces.write(e.theirs, e.size(), 1,
                         [&](size_t first, std::span<float> out) { get(*e.row, e.first * e.width + first, out); });
        } else {
            ours.resize(e.row->size());
            get(*e.row, 0, ours);
            pieces.write(e.theirs, lines(e), line(e), [&](size_t first, std::span<float> out) {
                for_each_value(e, first, out.size() / line(e), [&](size_t to, size_t from) { out[to] = ours[from]; });
            });
        }
    }
    pieces.finish();
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
            for_each_value(e, 0, lines(e), [&](size_t from, size_t to) { ours[to] = theirs[from]; });
        }
        set(row, ours);
    }
}

void check_weights(const std::string& path, const Config& config, const Layout& layout) {
    if (!llmc::is_checkpoint(path)) match(TensorFiles(path), config, layout);
    else llmc::check_weights(path, config);
}

WrittenFile save_rows(const std::string& path, const Layout& layout, const std::vector<NamedRows>& parts) {
    struct Which {
        const NamedRows* part;
        const Row* row;
    };
    std::map<std::string, Which> which;
    std::vector<Tensor> tensors;
    for (const NamedRows& part : parts)
        for (const Row& row : layout.rows) {
            tensors.push_back({part.prefix + "." + row.name, Dtype::F32, {row.shape.begin(), row.shape.end()}});
            which[tensors.back().name] = {&part, &row};
        }
    safetensors::Writer writer(path, std::move(tensors));
    Pieces pieces(writer);
    for (const Tensor& tensor : writer.tensors()) {
        const Which& from = which[tensor.name];
        pieces.write(tensor.name, from.row->size(), 1,
                     [&](size_t first, std::span<float> out) { from.part->get(*from.row, first, out); });
    }
    pieces.finish();
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
    for (const NamedTargets& part : parts)
        for (const Row& row : layout.rows) tensor_of(part, row);
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
