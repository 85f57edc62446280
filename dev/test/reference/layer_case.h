// One layer at one shape: draws its inputs as dev/oracle/layers.py does, and compares with what PyTorch made of them.
#pragma once
#include <array>
#include <string>
#include <vector>
#include "dev/test/support/golden.h"
#include "host/reference/cpu.h"

template <class T>
struct LayerCase {
    // The name is layer/size x size .../ on both sides.
    LayerCase(const std::string& layer, const std::vector<int>& sizes) : check(goldens(), join(layer, sizes)) {}

    std::vector<T> draw(const std::string& name, size_t n, double scale = 1) const {
        return drawn<T>(check.prefix + name, n, scale);
    }
    std::vector<int> integers(const std::string& name, size_t n, int limit) const {
        return drawn_integers(check.prefix + name, n, limit);
    }
    void expect(const std::string& name, const std::vector<T>& got, double terms) {
        check.expect(name, got, tolerance<T>(terms));
    }

    GoldenCheck check;

private:
    static const GoldenFile& goldens() {
        static const GoldenFile file("dev/oracle/layers.safetensors");
        return file;
    }
    static std::string join(std::string name, const std::vector<int>& sizes) {
        for (size_t i = 0; i < sizes.size(); i++) name.append(i ? "x" : "/").append(std::to_string(sizes[i]));
        return name + "/";
    }
};

template <class Test>
void in_float_and_double(Test test) {
    test(Cpu<double>());
    test(Cpu<float>());
}
