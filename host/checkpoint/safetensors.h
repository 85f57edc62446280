// safetensors: u64 N | N bytes of JSON: name -> {dtype, shape, data_offsets} | the tensors' bytes, without gaps.
// Little-endian, row-major. The reader trusts nothing: every size is checked before memory is taken for it.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>
#include "host/base/files.h"

namespace safetensors {

// In the format's own order, which is also the order (descending) of tensors in a file.
enum class Dtype {
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64
};
const char* name(Dtype dtype);
int bits(Dtype dtype);

struct Tensor {
    std::string name;
    Dtype dtype = Dtype::F32;
    std::vector<uint64_t> shape;
    uint64_t begin = 0, end = 0;  // bytes, from the end of the header
    uint64_t elements() const;    // Error on overflow
};
// Values of type F64, F32, F16 or BF16 that begin at byte `offset` of any file, as floats.
void read_floats(const files::Reader& file, Dtype dtype, uint64_t offset, std::span<float> out);
void require_float(const Tensor& tensor, const std::string& path);  // Error unless F64, F32, F16 or BF16
// Error{input} naming tensor and place of the first infinity or NaN.
void require_finite(std::span<const float> values, const std::string& path, const std::string& tensor);
std::string shape_text(std::span<const uint64_t> shape);  // "[2, 3]"

class Reader {
public:
    // Reads and checks the header. Throws Error{input} naming the file, the tensor and the reason.
    explicit Reader(const std::string& path);
    const std::vector<Tensor>& tensors() const { return all; }  // by offset
    const std::map<std::string, std::string>& metadata() const { return meta; }
    const Tensor* find(const std::string& name) const;  // null if absent
    // out.size() elements of the tensor as floats, from element `first` on.
    void read(std::span<float> out, const Tensor& tensor, uint64_t first = 0) const;
    const std::string& path() const { return file.path(); }

private:
    files::Reader file;
    uint64_t data = 0;  // where the tensors' bytes begin
    std::vector<Tensor> all;
    std::map<std::string, std::string> meta;
    std::map<std::string, size_t, std::less<>> index;
};

// Streams tensors into a new file: F32 or BF16 (rounded to nearest even). The values come in the order of tensors().
class Writer {
public:
    Writer(const std::string& path, std::vector<Tensor> tensors);  // begin and end need not be set
    const std::vector<Tensor>& tensors() const { return all; }     // in the order of the file
    void write(std::span<const float> values);                     // the next values; a tensor may come in pieces
    void close();                                                  // durable; needs every tensor complete
    uint64_t size() const { return file.size(); }
    uint64_t hash() const { return file.hash(); }

private:
    files::Writer file;
    std::vector<Tensor> all;
    uint64_t data = 0;
    size_t current = 0;
};

}  // namespace safetensors
