#include "optimizer_state.h"
#include <map>
#include "tensor_pieces.h"

using safetensors::Dtype;
using safetensors::Tensor;

WrittenFile save_parameters(const std::string& path, const Layout& layout, const std::vector<NamedParameters>& parts) {
    struct Which {
        const NamedParameters* part;
        const Parameter* parameter;
    };
    std::map<std::string, Which> which;
    std::vector<Tensor> tensors;
    for (const NamedParameters& part : parts)
        for (const Parameter& parameter : layout.parameters) {
            if (!part.has(parameter)) continue;
            tensors.push_back(
                {part.prefix + "." + parameter.name, Dtype::F32, {parameter.shape.begin(), parameter.shape.end()}});
            which[tensors.back().name] = {&part, &parameter};
        }
    safetensors::Writer writer(path, std::move(tensors));
    TensorPieces pieces(writer);
    for (const Tensor& tensor : writer.tensors()) {
        const Which& from = which[tensor.name];
        pieces.write(tensor.name, from.parameter->size(), 1,
                     [&](size_t first, std::span<float> out) { from.part->get(*from.parameter, first, out); });
    }
    pieces.finish();
    writer.close();
    return {path.substr(path.rfind('/') + 1), writer.size(), writer.hash()};
}

void load_parameters(const std::string& path, const Layout& layout, const std::vector<NamedTargets>& parts) {
    const safetensors::Reader reader(path);
    const auto tensor_of = [&](const NamedTargets& part, const Parameter& parameter) -> const Tensor& {
        const Tensor* t = reader.find(part.prefix + "." + parameter.name);
        if (!t) throw Error(Exit::input, path, "tensor " + part.prefix + "." + parameter.name + " is missing");
        if (t->dtype != Dtype::F32 || t->shape != std::vector<uint64_t>(parameter.shape.begin(), parameter.shape.end()))
            throw Error(Exit::input, path,
                        "tensor " + t->name + " is " + name(t->dtype) + " " + safetensors::shape_text(t->shape) +
                            ", which does not fit the model");
        return *t;
    };
    size_t wanted = 0;
    for (const NamedTargets& part : parts)
        for (const Parameter& parameter : layout.parameters)
            if (part.has(parameter)) tensor_of(part, parameter), wanted++;
    if (reader.tensors().size() != wanted)
        throw Error(Exit::input, path, "holds tensors that have no place in this run");
    std::vector<float> values;
    for (const NamedTargets& part : parts)
        for (const Parameter& parameter : layout.parameters) {
            if (!part.has(parameter)) continue;
            values.resize(parameter.size());
            reader.read(values, tensor_of(part, parameter));
            part.set(parameter, values);
        }
}
