"""RoPE as its paper writes it: a pair of channels is a complex number, turned by multiplication."""
import math

import torch


def rope_frequencies(HS, theta, scaling=None):
    """As in the papers, and as transformers computes them (in float): (factor, low, high, original context)."""
    frequency = theta ** (-torch.arange(0, HS, 2) / HS)
    if scaling is None:
        return frequency
    factor, low, high, context = scaling
    turns = context * frequency / (2 * math.pi)
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    return smooth * frequency + (1 - smooth) * frequency / factor


def rotate(heads, position, frequency, interleaved):
    """heads (..., time, head, HS), by complex multiplication."""
    x = heads.unflatten(-1, (-1, 2)) if interleaved else heads.unflatten(-1, (2, -1)).transpose(-1, -2)
    turn = torch.exp(1j * position[..., None] * frequency)[..., None, :]
    out = torch.view_as_real(torch.view_as_complex(x.contiguous()) * turn)
    return out.flatten(-2) if interleaved else out.transpose(-1, -2).flatten(-2)
