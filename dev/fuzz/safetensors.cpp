// A safetensors file: its header, and every float in it. Half of the changes are made to a header that stays one: its
// length, its numbers, its names (dev/fuzz/structure.h).
//
// FUZZ_SAY=1 says of every file whether it is accepted; dev/oracle/safetensors_differ.py compares that with Rust's.
#include "host/checkpoint/safetensors.h"

#include "fuzz.h"
#include "structure.h"

void fuzz(std::string_view input) {
    const bool taken = accepts([&] {
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
    static const bool says = std::getenv("FUZZ_SAY") != nullptr;
    if (says) std::printf("%s %s\n", files::hex(files::hash(input)).c_str(), taken ? "accepted" : "refused");
}

// u64 length | JSON | data.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
    return change_structured(data, size, most, seed, [](std::string_view whole, Dice& dice) -> std::string {
        constexpr size_t head = 8;
        if (whole.size() < head) return "";
        uint64_t length;
        std::memcpy(&length, whole.data(), head);
        length = std::min<uint64_t>(length, whole.size() - head);
        std::string json(whole.substr(head, length)), rest(whole.substr(head + length));
        change_json(json, dice);
        if (dice.one_in(4)) rest.resize(dice.below(2 * rest.size() + 9));
        length = json.size() + (dice.one_in(16) ? dice.below(3) - 1 : 0);
        std::string out(head, '\0');
        std::memcpy(out.data(), &length, head);
        return out + json + rest;
    });
}
