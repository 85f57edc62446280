"""Forward and backward of every layer in float64, by PyTorch: layers.safetensors. Shapes: as in dev/test/reference/layers*.cpp."""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from transformers.generation import logits_process as filters

from adamw import AdamW
from golden import draw, integers, save, single
from rope import rope_frequencies, rotate

answers = {}


class Case:
    """One layer at one shape. `leaf` tensors are inputs that need a gradient; backward starts from drawn d_<output>."""

    def __init__(self, layer, *sizes):
        self.name = layer + "/" + "x".join(map(str, sizes)) + "/"

    def draw(self, name, *shape):
        return draw(self.name + name, *shape)

    def leaf(self, name, *shape, scale=1):
        return (scale * self.draw(name, *shape)).requires_grad_()

    def integers(self, name, limit, *shape):
        return integers(self.name + name, limit, *shape)

    def answer(self, **tensors):
        for name, t in tensors.items():
            answers[self.name + name] = t

    def backward(self, out, assigned={}, accumulated={}):
        """Gradients of `out` from a drawn d_out; an accumulated one is added to the drawn value that was there."""
        out.backward(self.draw("d_out", *out.shape))
        for name, t in assigned.items():
            self.answer(**{"d_" + name: t.grad})
        for name, t in accumulated.items():
            self.answer(**{"d_" + name: t.grad + self.draw("d_" + name, *t.shape)})


def embedding():
    for N, C, V, T in [(1, 1, 2, 1), (7, 20, 11, 5), (33, 70, 17, 9)]:
        case = Case("embedding", N, C, V, T)
        wte, wpe = case.leaf("wte", V, C), case.leaf("wpe", T, C)
        token, position = case.integers("token", V, N), case.integers("position", T, N)
        out = F.embedding(token, wte) + F.embedding(position, wpe)
        case.answer(out=out, out_without_position=F.embedding(token, wte))
        case.backward(out, accumulated={"wte": wte, "wpe": wpe})


def linear():
    for N, C, OC in [(1, 1, 1), (5, 7, 3), (37, 66, 50)]:
        case = Case("linear", N, C, OC)
        inp, weight, bias = case.leaf("inp", N, C), case.leaf("weight", OC, C), case.leaf("bias", OC)
        out = F.linear(inp, weight, bias)
        case.answer(out=out, out_without_bias=F.linear(inp, weight))
        case.backward(out, assigned={"inp": inp}, accumulated={"weight": weight, "bias": bias})


def norms():
    eps = single(1e-5)
    for N, C in [(1, 2), (3, 64), (17, 67)]:
        for with_bias in (0, 1):
            case = Case("layernorm", N, C, with_bias)
            inp, weight = case.leaf("inp", N, C), case.leaf("weight", C)
            bias = case.leaf("bias", C) if with_bias else None
            out = F.layer_norm(inp, (C,), weight, bias, eps)
            case.answer(out=out, mean=inp.mean(-1), rstd=(inp.var(-1, unbiased=False) + eps).rsqrt())
            case.backward(out, accumulated={"inp": inp, "weight": weight} | ({"bias": bias} if with_bias else {}))

        case = Case("rmsnorm", N, C)
        inp, weight = case.leaf("inp", N, C), case.leaf("weight", C)
        out = F.rms_norm(inp, (C,), weight, eps)
        case.answer(out=out, rstd=(inp.square().mean(-1) + eps).rsqrt())
        case.backward(out, accumulated={"inp": inp, "weight": weight})


def qk_norm():
    eps = single(1e-6)
    for N, NH, NKV, HS in [(1, 1, 1, 2), (5, 3, 1, 16), (9, 4, 2, 10)]:
        case = Case("qk_norm", N, NH, NKV, HS)
        inp = case.leaf("inp", N, NH + 2 * NKV, HS)
        q_weight, k_weight = case.leaf("q_weight", HS), case.leaf("k_weight", HS)
        q, k, v = inp.split([NH, NKV, NKV], 1)
        out = torch.cat([F.rms_norm(q, (HS,), q_weight, eps), F.rms_norm(k, (HS,), k_weight, eps), v], 1)
        case.answer(out=out, rstd=(inp[:, :NH + NKV].square().mean(-1) + eps).rsqrt())
        case.backward(out, assigned={"inp": inp}, accumulated={"q_weight": q_weight, "k_weight": k_weight})


def rope():
    shapes = [(1, 1, 1, 2, 0, 0), (6, 3, 1, 10, 0, 0), (6, 3, 1, 10, 1, 0), (9, 4, 2, 16, 0, 1)]
    for N, NH, NKV, HS, interleaved, scaled in shapes:
        case = Case("rope", N, NH, NKV, HS, interleaved, scaled)
        inp, position = case.leaf("inp", N, NH + 2 * NKV, HS), case.integers("position", 40, N)
        frequency = rope_frequencies(HS, 500000.0 if scaled else 10000.0, (8.0, 1.0, 4.0, 64.0) if scaled else None)
        out = torch.cat([rotate(inp[:, :NH + NKV], position, frequency, interleaved), inp[:, NH + NKV:]], 1)
        case.answer(out=out)
        case.backward(out, assigned={"inp": inp})


def attention():
    shapes = [(1, 1, 1, 1, 4, 0), (2, 7, 3, 3, 5, 0), (2, 9, 6, 1, 8, 1), (1, 70, 4, 2, 6, 0), (1, 70, 4, 2, 6, 1)]
    for B, T, NH, NKV, HS, intervals in shapes:
        case = Case("attention", B, T, NH, NKV, HS, intervals)
        qkv = case.leaf("qkv", B, T, NH + 2 * NKV, HS)
        q, k, v = [x.transpose(1, 2) for x in qkv.split([NH, NKV, NKV], 2)]
        t = torch.arange(T)
        sees = (t <= t[:, None]).expand(B, T, T)
        if intervals:  # first[b,t] is anywhere in 0..t
            first = torch.stack([case.integers("first", 1 << 30, B, T)[:, i] % (i + 1) for i in range(T)], 1)
            sees = sees & (t >= first[..., None])
        out = F.scaled_dot_product_attention(q, k, v, sees[:, None], enable_gqa=True).transpose(1, 2)
        score = q @ k.repeat_interleave(NH // NKV, 1).mT / HS**0.5
        case.answer(out=out, lse=score.masked_fill(~sees[:, None], -torch.inf).logsumexp(-1))
        case.backward(out, assigned={"qkv": qkv})


def sdpa():
    for B, T, S, HS, VS, masked in [(1, 1, 1, 1, 1, 0), (2, 5, 7, 6, 3, 0), (3, 6, 9, 8, 8, 1)]:
        case = Case("sdpa", B, T, S, HS, VS, masked)
        q, k, v = case.leaf("q", B, T, HS), case.leaf("k", B, S, HS), case.leaf("v", B, S, VS)
        score = q @ k.mT / HS**0.5
        if masked:  # row 2 sees nothing
            mask = (case.integers("mask", 2, T, S) == 1) & (torch.arange(T) != 2)[:, None]
            score = score.masked_fill(~mask, -torch.inf)
            prob = torch.where(mask.any(1)[:, None], score, 0.0).softmax(-1) * mask
        else:
            prob = score.softmax(-1)
        out = prob @ v
        case.answer(out=out, prob=prob)
        case.backward(out, assigned={"q": q, "k": k, "v": v})


def activations():
    for n in [1, 67, 500]:
        for name, function in [("gelu", lambda x: F.gelu(x, approximate="tanh")), ("relu", F.relu)]:
            case = Case(name, n)
            inp = case.leaf("inp", n, scale=8)
            out = function(inp)
            case.answer(out=out)
            case.backward(out, assigned={"inp": inp})
        case = Case("residual", n)
        case.answer(out=case.draw("inp", n) + case.draw("branch", n))
    for N, width in [(1, 1), (5, 33), (9, 64)]:
        case = Case("swiglu", N, width)
        inp = case.leaf("inp", N, 2 * width, scale=8)
        gate, up = inp.chunk(2, -1)
        out = F.silu(gate) * up
        case.answer(out=out)
        case.backward(out, assigned={"inp": inp})


def probabilities():
    for N, V in [(1, 1), (5, 19), (7, 301)]:
        case = Case("softmax", N, V)
        inp = case.leaf("inp", N, V, scale=16)
        out = inp.softmax(-1)
        case.answer(out=out)
        case.backward(out, assigned={"inp": inp})
    for N, V, P in [(1, 1, 1), (6, 29, 32), (9, 300, 300)]:
        case = Case("cross_entropy", N, V, P)
        logits = (16 * case.draw("logits", N, P)[:, :V]).requires_grad_()
        target = case.integers("target", V, N)
        target[case.integers("ignored", 3, N) == 0] = -1
        loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="none")
        (loss.sum() / 4).backward()
        case.answer(loss=loss, lse=logits.logsumexp(-1), d_logits=F.pad(logits.grad, (0, P - V)))


def optimizer():
    for n in [1, 1000, 140000]:
        case = Case("global_norm", n)
        case.answer(norm=case.draw("x", n).norm())
    # Two decaying rows and one that does not; the gradient is large enough to be clipped in the second of four steps.
    sizes = [300, 77, 130]
    case = Case("adamw", *sizes)
    weights = [case.draw(f"weight{s}", n) for s, n in enumerate(sizes)]
    adamw = AdamW(weights, decays=[0.1, 0.0, 0.1], clip=9.0)
    for step in range(1, 5):
        gradients = [case.draw(f"d_weight{s}_{step}", n) * (2 if step == 2 else 0.5) for s, n in enumerate(sizes)]
        norm = adamw.step(gradients, lr=single(1e-2))
        assert (norm > adamw.clip) == (step == 2)
        case.answer(**{f"norm_{step}": norm})
    case.answer(weight=torch.cat(weights), m=torch.cat(adamw.m), v=torch.cat(adamw.v))


def sampling():
    """The token for every u, from transformers' filters: temperature, top_k, top_p, min_p as in dev/test/reference/philox.cpp."""
    V, draws = 50, 40
    settings = [(1, 0, 1, 0), (0.5, 0, 1, 0), (1, 5, 1, 0), (1.5, 0, 0.7, 0), (1, 0, 1, 0.2), (2, 30, 0.9, 0.1)]
    for row, (temperature, top_k, top_p, min_p) in enumerate(settings):
        case = Case("sampling", V, row)
        chain = [filters.TemperatureLogitsWarper(float(temperature))]
        chain += [filters.TopKLogitsWarper(top_k)] if top_k else []
        chain += [filters.TopPLogitsWarper(single(top_p))] if top_p < 1 else []
        chain += [filters.MinPLogitsWarper(single(min_p))] if min_p > 0 else []
        scores = 4 * case.draw("logits", 1, V)
        for link in chain:
            scores = link(None, scores)
        prob, token = scores[0].softmax(-1).sort(descending=True)
        u = case.integers("u", 1 << 20, draws) / 2**20
        picked = torch.searchsorted(prob.cumsum(0), u, right=True)
        assert (prob.cumsum(0)[None, :] - u[:, None]).abs().min() > 1e-7
        case.answer(token=token[picked], kept=torch.isfinite(scores).sum())


layers = [embedding, linear, norms, qk_norm, rope, attention, sdpa, activations, probabilities, optimizer, sampling]
for layer in layers:
    layer()
save(sys.argv[1], answers)
