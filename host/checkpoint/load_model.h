// A model from a directory, to be used and not trained.
#pragma once
#include "host/model/batch_buffer.h"
#include "model_files.h"

// Memory for a model that is not trained, and its weights. Throws Error before memory is
// taken for weights that do not fit.
template <class Device>
void load_model(Gpt<Device>& model, const std::string& directory) {
    check_weights(directory, model.c, model.weights);
    model.allocate(Use::infer);
    load_weights(directory, model.c, model.weights, [&](const Parameter& parameter, std::span<const float> values) {
        upload_as(model.w[parameter.slot], values, model.on);
    });
}
