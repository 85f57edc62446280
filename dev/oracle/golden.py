"""Numbers that the C++ tests (dev/test/support/golden.h) and this oracle can both make, and the files that carry the answers."""
import numpy as np
import torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def bits(name, count):
    """`count` random 64-bit words: splitmix64 started at the FNV-1a hash of the name."""
    seed = 14695981039346656037
    for byte in name.encode():
        seed = (seed ^ byte) * 1099511628211 % 2**64
    with np.errstate(over="ignore"):
        x = np.uint64(seed) + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def draw(name, *shape):
    """Uniform in [-1, 1), in steps of 2^-15, so that float and double hold the same numbers."""
    words = bits(name, int(np.prod(shape)))
    return torch.from_numpy((words >> np.uint64(48)).astype(np.float64) / 2**15 - 1).reshape(shape)


def integers(name, limit, *shape):
    """Whole numbers in [0, limit)."""
    words = bits(name, int(np.prod(shape)))
    return torch.from_numpy(((words >> np.uint64(33)) % np.uint64(limit)).astype(np.int64)).reshape(shape)


def single(x):
    """A constant as the C++ side holds it: rounded to float."""
    return float(np.float32(x))


def save(path, tensors):
    plain = {name: torch.as_tensor(t, dtype=torch.float64).detach().contiguous() for name, t in tensors.items()}
    save_file(plain, path)
