#include "optimizer_rows.h"
#include <map>
#include "tensor_pieces.h"

using safetensors::Dtype;
using safetensors::Tensor;

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
    TensorPieces pieces(writer);
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
