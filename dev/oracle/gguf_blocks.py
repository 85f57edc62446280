"""What the gguf package makes of numbers: goldens of GGUF's types F16, BF16 and Q8_0.

    gguf_blocks.py gguf_blocks.json

The numbers are drawn from their place by a rule that the test repeats; some blocks hold what rounds badly: halves, zeros,
numbers that f16 has no more, one large among small ones."""
import json
import sys
from importlib.metadata import version

import gguf
import numpy as np


def numbers(block):
    """32 values. Only exact operations in float32: the test computes the same bits."""
    i = np.arange(32, dtype=np.int64) + 32 * block
    x = ((i * 2654435761 >> 7) % 4001 - 2000).astype(np.float32) * np.float32(2.0 ** -10)
    if block == 1:
        x[:] = 0
    if block == 2:                                    # values over the scale that end in a half
        x = (np.arange(32) - 16).astype(np.float32) + np.float32(0.5)
        x[31] = 127
    if block == 3:
        x *= np.float32(2.0 ** -24)                   # the scale is a subnormal f16
    if block == 4:
        x[7] = 1000
    if block == 5:
        x *= np.float32(2.0 ** -40)                   # the scale is 0 in f16
    if block == 6:
        x = (1 + (np.arange(32) * 2 + 1) * np.float32(2.0 ** -11)).astype(np.float32)      # halfway between two f16
    if block == 7:
        x *= np.float32(2.0 ** -13)                   # subnormal f16
    return x


values = np.stack([numbers(block) for block in range(10)])
types = gguf.GGMLQuantizationType
golden = dict(made_by=f"gguf {version('gguf')}")
for name in ("F16", "BF16", "Q8_0"):
    golden[name] = gguf.quants.quantize(values, types[name]).tobytes().hex()
with open(sys.argv[1], "w") as file:
    json.dump(golden, file, indent=0)
    file.write("\n")
print(f"gguf {version('gguf')}: {len(values)} blocks")
