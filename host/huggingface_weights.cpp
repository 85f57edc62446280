// model.safetensors: one table per family says which tensor holds which rows of ours, for both directions.
#include <bit>
#include <cmath>
#include <memory>
#include "huggingface.h"
#include "reference/embedding.h"

using safetensors::Dtype;
using safetensors::Tensor;

namespace {

enum class Part { whole, q, k, v, gate, up };        // which rows of ours a tensor is

bool always(const Config&) { return true; }
bool untied(const Config& c) { return !c.tied; }
bool has_qkv_bias(const Config& c) { return c.qkv_bias || c.proj_bias; }   // Hugging Face has one switch for both
bool has_proj_bias(const Config& c) { return has_qkv_bias(c) && family_of(c) != Family::qwen2; }
bool has_ffn_bias(const Config& c) { return c.ffn_bias; }
bool has_qk_norm(const Config& c) { return c.qk_norm; }

// A tensor that Hugging Face has and we do not is constant: biases are zero, and sinusoids fill a table of positions.
struct Rule {
    const char *ours, *theirs;                       // * is the layer
    Part part = Part::whole;
    bool turned = false;                             // GPT-2 stores (in, out), everybody else (out, in)
    bool (*wanted)(const Config&) = always;          // by Hugging Face's model
};

constexpr Rule gpt2_rules[] = {
    {"wte",               "transformer.wte.weight"},
    {"wpe",               "transformer.wpe.weight"},
    {"h.*.norm1.weight",  "transformer.h.*.ln_1.weight"},
    {"h.*.norm1.bias",    "transformer.h.*.ln_1.bias"},
    {"h.*.qkv.weight",    "transformer.h.*.attn.c_attn.weight", Part::whole, true},
    {"h.*.qkv.bias",      "transformer.h.*.attn.c_attn.bias"},
    {"h.*.proj.weight",   "transformer.h.*.attn.c_proj.weight", Part::whole, true},
    {"h.*.proj.bias",     "transformer.h.*.attn.c_proj.bias"},
    {"h.*.norm2.weight",  "transformer.h.*.ln_2.weight"},
    {"h.*.norm2.bias",    "transformer.h.*.ln_2.bias"},
    {"h.*.up.weight",     "transformer.h.*.mlp.c_fc.weight",    Part::whole, true},
    {"h.*.up.bias",       "transformer.h.*.mlp.c_fc.bias"},
    {"h.*.down.weight",   "transformer.h.*.mlp.c_proj.weight",  Part::whole, true},
    {"h.*.down.bias",     "transformer.h.*.mlp.c_proj.bias"},
    {"norm_f.weight",     "transformer.ln_f.weight"},
    {"norm_f.bias",       "transformer.ln_f.bias"},
    {"head",              "lm_head.weight",                     Part::whole, false, untied}};

constexpr Rule llama_rules[] = {                     // Qwen2 and Qwen3 too: what one lacks, its `wanted` says
    {"wte",               "model.embed_tokens.weight"},
    {"h.*.norm1.weight",  "model.layers.*.input_layernorm.weight"},
    {"h.*.qkv.weight",    "model.layers.*.self_attn.q_proj.weight", Part::q},
    {"h.*.qkv.weight",    "model.layers.*.self_attn.k_proj.weight", Part::k},
    {"h.*.qkv.weight",    "model.layers.*.self_attn.v_proj.weight", Part::v},
    {"h.*.qkv.bias",      "model.layers.*.self_attn.q_proj.bias",   Part::q,     false, has_qkv_bias},
    {"h.*.qkv.bias",      "model.layers.*.self_attn.k_proj.bias",   Part::k,     false, has_qkv_bias},
    {"h.*.qkv.bias",      "model.layers.*.self_attn.v_proj.bias",   Part::v,     false, has_qkv_bias},
    {"h.*.q_norm",        "model.layers.*.self_attn.q_norm.weight", Part::whole, false, has_qk_norm},
    {"h.*.k_norm",        "model.layers.*.self_attn.k_norm.weight", Part::whole, false, has_qk_norm},
    {"h.*.proj.weight",   "model.layers.*.self_attn.o_proj.weight"},
    {"h.*.proj.bias",     "model.layers.*.self_attn.o_proj.bias",   Part::whole, false, has_proj_bias},
    {"h.*.norm2.weight",  "model.layers.*.post_attention_layernorm.weight"},
    {"h.*.up.weight",     "model.layers.*.mlp.gate_proj.weight",    Part::gate},
    {"h.*.up.weight",     "model.layers.*.mlp.up_proj.weight",      Part::up},
    {"h.*.up.bias",       "model.layers.*.mlp.gate_proj.bias",      Part::gate,  false, has_ffn_bias},
    {"h.*.up.bias",       "model.layers.*.mlp.up_proj.bias",        Part::up,    false, has_ffn_bias},
    {"h.*.down.weight",   "model.layers.*.mlp.down_proj.weight"},
    {"h.*.down.bias",     "model.layers.*.mlp.down_proj.bias",      Part::whole, false, has_ffn_bias},
    {"norm_f.weight",     "model.norm.weight"},
    {"head",              "lm_head.weight",                         Part::whole, false, untied}};

// Tensors that carry nothing: GPT-2's causal masks, RoPE's frequencies, a tied head.
bool ignorable(const std::string& name, const Config& c) {
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
           name.ends_with(".rotary_emb.inv_freq") || (c.tied && name == "lm_head.weight");
}

// A tensor of theirs and the rows of ours it holds: `rows` of `width` values from row `first` on.
struct Entry {
    std::string theirs;
    const Row* row = nullptr;                        // null: a constant
    size_t first = 0, rows = 0, width = 1;
    bool matrix = false, turned = false;
    int heads = 0;                                   // of interleaved RoPE pairs to bring apart; 0: leave the order

    size_t size() const { return rows * width; }
    std::vector<uint64_t> shape() const {
        if (!matrix) return {rows};
        return turned ? std::vector<uint64_t>{width, rows} : std::vector<uint64_t>{rows, width};
    }
    // Our row of their row r: pair i of a head is (i, i + half) there and (2i, 2i+1) here.
    size_t our_row(size_t r) const {
        if (!heads) return first + r;
        const size_t size = rows / heads, half = size / 2, within = r % size;
        return first + r - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    }
};

std::string with_layer(std::string pattern, int layer) {
    const size_t star = pattern.find('*');
    return star == pattern.npos ? pattern : pattern.replace(star, 1, std::to_string(layer));
}

using RowIndex = std::map<std::string, const Row*>;

const Row* find_row(const RowIndex& rows, const std::string& name) {
    const auto found = rows.find(name);
    return found == rows.end() ? nullptr : found->second;
}

Entry whole_row(const Row& row, const std::string& theirs) {
    Entry e{theirs, &row};
    e.matrix = row.shape.size() > 1;
    e.rows = size_t(row.shape[0]);
    e.width = row.size() / e.rows;
    return e;
}

// The rule at one layer. Of a constant we know the shape from the weight it belongs to.
Entry entry_of(const Rule& rule, const Config& c, const RowIndex& rows, int layer) {
    const std::string ours = with_layer(rule.ours, layer), theirs = with_layer(rule.theirs, layer);
    Entry e;
    if (const Row* row = find_row(rows, ours)) {
        e = whole_row(*row, theirs);
    } else if (ours == "wpe") {
        e = {theirs, nullptr, 0, size_t(c.T), size_t(c.C), true};
    } else {
        REQUIRE(ours.ends_with(".bias"));
        e = whole_row(*find_row(rows, ours.substr(0, ours.size() - 4) + "weight"), theirs);
        e.row = nullptr, e.matrix = false, e.width = 1;
    }
    const size_t q = size_t(c.NH) * c.HS, kv = size_t(c.NKV) * c.HS, F = size_t(c.F);
    switch (rule.part) {
        case Part::whole: break;
        case Part::q:    e.first = 0,      e.rows = q;  break;
        case Part::k:    e.first = q,      e.rows = kv; break;
        case Part::v:    e.first = q + kv, e.rows = kv; break;
        case Part::gate: e.first = 0,      e.rows = F;  break;
        case Part::up:   e.first = F,      e.rows = F;  break;
    }
    e.turned = rule.turned;
    if (c.rope_pairs == RopePairs::interleaved)
        e.heads = rule.part == Part::q ? c.NH : rule.part == Part::k ? c.NKV : ours.ends_with("_norm") ? 1 : 0;
    return e;
}

std::vector<Entry> entries_of(const Config& c, const Layout& layout) {
    std::vector<Entry> entries;
    const Family family = family_of(c);
    if (family == Family::native) {
        for (const Row& row : layout.rows) entries.push_back(whole_row(row, row.name));
        return entries;
    }
    RowIndex rows;
    for (const Row& row : layout.rows) rows[row.name] = &row;
    size_t covered = 0, total = 0;
    for (const Rule& rule :
         family == Family::gpt2 ? std::span<const Rule>(gpt2_rules) : std::span<const Rule>(llama_rules)) {
        const int copies = std::string(rule.ours).find('*') == std::string::npos ? 1 : c.L;
        for (int l = 0; rule.wanted(c) && l < copies; l++) {
            entries.push_back(entry_of(rule, c, rows, l));
            if (entries.back().row) covered += entries.back().size();
        }
    }
    for (const Row& row : layout.rows) total += row.size();
    REQUIRE(covered == total);                       // every weight has its place
    return entries;
}

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

float constant(const Entry& e, size_t index) {
    return e.matrix ? float(sinusoid(int(index / e.width), int(index % e.width), int(e.width))) : 0;
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

// The tensors of a directory, whether in one file or in shards.
class TensorFiles {
public:
    struct Found { const safetensors::Reader* file; const Tensor* tensor; };
    std::map<std::string, Found> tensors;
    std::string path;                                // to name in messages

    explicit TensorFiles(const std::string& directory) : path(directory + "/model.safetensors") {
        const std::string index = path + ".index.json";
        if (files::exists(path)) open(path);
        else if (files::exists(index)) open_shards(directory, path = index);
        else if (files::exists(directory + "/pytorch_model.bin"))
            throw Error(Exit::input, directory, "holds only pytorch_model.bin, a pickle, which is not read",
                        "save it with safetensors");
        else throw Error(Exit::input, path, "No such file or directory");
    }

private:
    std::vector<std::unique_ptr<safetensors::Reader>> readers;

    const safetensors::Reader& open(const std::string& file) {
        readers.push_back(std::make_unique<safetensors::Reader>(file));
        for (const Tensor& t : readers.back()->tensors())
            if (!tensors.emplace(t.name, Found{readers.back().get(), &t}).second)
                throw Error(Exit::input, file, "tensor " + t.name + " stands in another shard too");
        return *readers.back();
    }
    void open_shards(const std::string& directory, const std::string& index) {
        const Json json = read_json(index, 100 << 20);
        if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
            json["weight_map"].empty())
            throw Error(Exit::input, index, "weight_map must list the tensors");
        std::map<std::string, const safetensors::Reader*> shards;
        for (const auto& [name, file] : json["weight_map"].items()) {
            const std::string shard = file.is_string() ? file.get<std::string>() : "";
            if (shard.empty() || shard[0] == '.' || shard.find_first_of(std::string("/\\\0", 3)) != shard.npos)
                throw Error(Exit::input, index,
                            "tensor " + name + ": " + file.dump() + " is not the name of a file beside it");
            if (!shards.contains(shard)) shards[shard] = &open(directory + "/" + shard);
            if (!shards[shard]->find(name))
                throw Error(Exit::input, directory + "/" + shard, "tensor " + name + " is missing");
        }
    }
};

struct Source { Entry entry; TensorFiles::Found found; };

// Pairs every tensor the model needs with one in the files; names, shapes and types are then right.
std::vector<Source> match(const TensorFiles& all, const Config& c, const Layout& layout) {
    std::vector<Source> sources;
    std::map<std::string, bool> used;
    for (Entry& e : entries_of(c, layout)) {
        auto found = all.tensors.find(e.theirs);
        for (const char* prefix : {"transformer.", "model."})   // files of the bare model have none
            if (found == all.tensors.end() && e.theirs.starts_with(prefix))
                found = all.tensors.find(e.theirs.substr(std::string(prefix).size()));
        if (found == all.tensors.end()) {
            if (!e.row) continue;
            throw Error(Exit::input, all.path, "tensor " + e.theirs + " is missing");
        }
        const auto& [file, tensor] = found->second;
        if (tensor->shape != e.shape())
            throw Error(Exit::input, file->path(),
                        "tensor " + tensor->name + " is " + safetensors::shape_text(tensor->shape) +
                            ", config.json asks for " + safetensors::shape_text(e.shape()));
        safetensors::require_float(*tensor, file->path());
        used[tensor->name] = true;
        sources.push_back({std::move(e), found->second});
    }
    for (const auto& [name, found] : all.tensors)
        if (!used.contains(name) && !ignorable(name, c))
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
        if (e.row && !e.turned && !e.heads) {
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

void load_weights(const std::string& directory, const Config& config, const Layout& layout, const SetRow& set) {
    const TensorFiles all(directory);
    const std::vector<Source> sources = match(all, config, layout);
    std::map<const Row*, std::vector<const Source*>> by_row;
    for (const Source& s : sources) by_row[s.entry.row].push_back(&s);
    for (const Source* s : by_row[nullptr]) check_constant(*s);
    std::vector<float> ours, theirs;
    for (const Row& row : layout.rows) {
        ours.resize(row.size());
        for (const Source* s : by_row[&row]) {
            const Entry& e = s->entry;
            if (!e.turned && !e.heads) {
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

void check_weights(const std::string& directory, const Config& config, const Layout& layout) {
    match(TensorFiles(directory), config, layout);
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
