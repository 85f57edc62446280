"""Ten steps of torch.optim.Muon in float64, and how far its bfloat16 is from that: muon.safetensors (dev/test/model/muon_golden.h)."""
import sys
import types

import torch
from torch.optim import _muon as theirs

from golden import draw, save, single

# Rows of the matrices of a parameter, and its columns. PyTorch has each matrix as a parameter of its own.
PARAMETERS = {"square": ([24], 24), "wide": ([16], 40), "tall": ([72], 16), "odd": ([7], 13), "row": ([1], 5),
              "qkv": ([24, 8, 8], 32), "gate_up": ([48, 48], 24), "large": ([64], 48)}
STEPS, LR, MOMENTUM, DECAY, CLIP = 10, 0.02, 0.95, 0.1, 40.0
KINDS = {"rms": "match_rms_adamw", "original": "original"}


def in_float64(run):
    """Muon casts to bfloat16 by the name torch.bfloat16: here that name is another type's."""
    real = theirs.torch
    theirs.torch = types.SimpleNamespace(**{**vars(torch), "bfloat16": torch.float64})
    try:
        return run()
    finally:
        theirs.torch = real


def matrices(name, what):
    rows, columns = PARAMETERS[name]
    return list(draw(f"muon/{name}/{what}", sum(rows), columns).split(rows))


def gradients(name, step):
    """Of a step, with its rows of different sizes, so that singular values are far apart."""
    rows, columns = PARAMETERS[name]
    size = 2.0 ** -(torch.arange(sum(rows)) % 7).unsqueeze(1)
    return list((draw(f"muon/{name}/d_{step}", sum(rows), columns) * size).split(rows))


def train(kind):
    weights = {name: [w.clone() for w in matrices(name, "weight")] for name in PARAMETERS}
    flat = [w for name in PARAMETERS for w in weights[name]]
    muon = torch.optim.Muon(flat, lr=single(LR), momentum=single(MOMENTUM), weight_decay=single(DECAY), adjust_lr_fn=KINDS[kind])
    for step in range(STEPS):
        grads = [g for name in PARAMETERS for g in gradients(name, step)]
        norm = torch.cat([g.flatten() for g in grads]).norm().item()
        for w, g in zip(flat, grads):
            w.grad = g * min(1.0, CLIP / norm)
        muon.step()
    answers = {}
    for name in PARAMETERS:
        answers[f"{kind}/{name}/weight"] = torch.cat(weights[name])
        answers[f"m/{name}"] = torch.cat([muon.state[w]["momentum_buffer"] for w in weights[name]])
    return answers


def bf16_errors():
    """Relative error, by the Frobenius norm, of what becomes of the first step's gradients in bfloat16."""
    def orthogonal(g):
        return theirs._zeropower_via_newtonschulz(g, (theirs.DEFAULT_A, theirs.DEFAULT_B, theirs.DEFAULT_C), 5, theirs.EPS)
    answers = {}
    for name in PARAMETERS:
        exact = torch.cat(in_float64(lambda: [orthogonal(g) for g in gradients(name, 0)]))
        rounded = torch.cat([orthogonal(g).double() for g in gradients(name, 0)])
        answers[f"bf16_error/{name}"] = torch.stack([(rounded - exact).norm() / exact.norm()])
    return answers


answers = {}
for kind in KINDS:
    answers |= in_float64(lambda: train(kind))
answers |= bf16_errors()
for name, value in answers.items():
    if name.startswith("bf16"):
        print(f"{name}: {value.item():.4f}")
save(sys.argv[1], answers)
