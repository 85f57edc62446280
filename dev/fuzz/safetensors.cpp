// A safetensors file: its header, and every float in it.
#include "host/checkpoint/safetensors.h"

#include "fuzz.h"

void fuzz(std::string_view input) {
    accepts([&] {
        const safetensors::Reader reader(file_of(input));
        for (const safetensors::Tensor& t : reader.tensors()) {
            expect(reader.find(t.name) && t.end <= input.size(), "a tensor lies in the file");
            accepts([&] {
                safetensors::require_float(t, "input");
                std::vector<float> values(t.elements());
                reader.read(values, t);
            });
        }
    });
}
