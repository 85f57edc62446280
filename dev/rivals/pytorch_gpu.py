"""GPT-2 124M, GPT-2 1558M and Qwen3 0.6B in PyTorch on one GPU, at the shapes of `./test_gpt --bench end_to_end`.

    python3 dev/rivals/pytorch_gpu.py [--models gpt2,qwen3-0.6b] [--ways eager,blocks] [--json pytorch.json]

Random weights and random tokens: nothing is downloaded. A step is forward, backward, clipping and fused AdamW; the
figure is the median of --steps steps after --warmup, with the most memory that tensors took. Attention is
scaled_dot_product_attention. The loss is taken in chunks of tokens, as the logits of all of them would fill the GPU. A
batch that does not fit is halved, and the row says so. `--help` lists the rest."""
import argparse
import gc
import json
import os
import statistics
import sys
import time

os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")     # before PyTorch starts

import torch
import torch.nn as nn
import torch.nn.functional as F


class RMSNorm(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(C))

    def forward(self, x):                       # PyTorch's fused kernel wants a weight of the same type
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-6)


class GPT2Block(nn.Module):
    def __init__(self, C, NH):
        super().__init__()
        self.NH = NH
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.qkv, self.proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.up, self.down = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)

    def forward(self, x, rope):
        B, T, C = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.NH, C // self.NH).permute(2, 0, 3, 1, 4)
        att = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(att.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Qwen3Block(nn.Module):
    def __init__(self, C, NH, NKV, HS, FF):
        super().__init__()
        self.NH, self.NKV, self.HS = NH, NKV, HS
        self.norm1, self.norm2, self.q_norm, self.k_norm = RMSNorm(C), RMSNorm(C), RMSNorm(HS), RMSNorm(HS)
        self.qkv, self.proj = nn.Linear(C, (NH + 2 * NKV) * HS, bias=False), nn.Linear(NH * HS, C, bias=False)
        self.up, self.down = nn.Linear(C, 2 * FF, bias=False), nn.Linear(FF, C, bias=False)

    @staticmethod
    def rotate(x, rope):
        cos, sin = rope
        a, b = x.float().chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)

    def forward(self, x, rope):
        B, T, C = x.shape
        qkv = self.qkv(self.norm1(x)).view(B, T, self.NH + 2 * self.NKV, self.HS).transpose(1, 2)
        q, k, v = qkv.split((self.NH, self.NKV, self.NKV), dim=1)
        q, k = self.rotate(self.q_norm(q), rope), self.rotate(self.k_norm(k), rope)
        q, k = q.to(v.dtype), k.to(v.dtype)     # where autocast made the norms fp32
        att = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.NH != self.NKV)
        x = x + self.proj(att.transpose(1, 2).reshape(B, T, self.NH * self.HS))
        gate, up = self.up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, V, T, C, blocks, norm, rotated=0):
        super().__init__()
        self.wte = nn.Embedding(V, C)
        self.wpe = None if rotated else nn.Embedding(T, C)
        self.blocks, self.norm, self.rope = nn.ModuleList(blocks), norm, None
        if rotated:
            angles = torch.outer(torch.arange(T).float(), 1e6 ** (-torch.arange(0, rotated, 2) / rotated))
            self.rope = angles.cos(), angles.sin()
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, token):
        x = self.wte(token)
        if self.wpe is not None:
            x = x + self.wpe.weight[: token.shape[1]]
        for block in self.blocks:
            x = block(x, self.rope)
        return self.norm(x)


def gpt2(V, T, L, C, NH):
    return Model(V, T, C, [GPT2Block(C, NH) for _ in range(L)], nn.LayerNorm(C))


def qwen3(V, T, L, C, NH, NKV, HS, FF):
    return Model(V, T, C, [Qwen3Block(C, NH, NKV, HS, FF) for _ in range(L)], RMSNorm(C), rotated=HS)


class HuggingFace(nn.Module):
    """The same sizes in the code of transformers, which needs no network to make a model of a configuration."""

    def __init__(self, V, T, L, C, NH, NKV=None, HS=None, FF=None):
        super().__init__()
        import transformers
        if NKV is None:
            config = transformers.GPT2Config(
                vocab_size=V, n_positions=T, n_layer=L, n_embd=C, n_head=NH, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
        else:
            config = transformers.Qwen3Config(
                vocab_size=V, max_position_embeddings=T, num_hidden_layers=L, hidden_size=C, num_attention_heads=NH,
                num_key_value_heads=NKV, head_dim=HS, intermediate_size=FF,
                rope_parameters={"rope_type": "default", "rope_theta": 1e6})
        config.use_cache = False
        self.inner = transformers.AutoModel.from_config(config, attn_implementation="sdpa").float()
        self.blocks = self.inner.h if NKV is None else self.inner.layers
        self.wte = self.inner.get_input_embeddings()

    def forward(self, token):
        return self.inner(input_ids=token).last_hidden_state


class ChunkedLoss(torch.autograd.Function):
    """Mean cross-entropy of the tied head. Its gradients are made with it, a chunk of tokens at a time: no product is
    done twice, and the logits of one chunk are the most that is ever kept."""

    @staticmethod
    def forward(ctx, x, weight, target, part, chunk):
        w = weight.to(torch.bfloat16)
        total, d_x = torch.zeros((), device=x.device), torch.empty_like(x)
        d_weight = torch.zeros_like(weight, dtype=torch.float32)
        for xs, ts, d_xs in zip(x.split(part), target.split(part), d_x.split(part)):
            xs = xs.to(torch.bfloat16)
            loss, d_logits = chunk(xs @ w.t(), ts, 1 / len(target))
            total += loss
            d_xs.copy_(d_logits @ w)
            d_weight += d_logits.t() @ xs
        ctx.save_for_backward(d_x, d_weight.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx, d_loss):
        d_x, d_weight = ctx.saved_tensors
        return d_x * d_loss, d_weight * d_loss, None, None, None


# The loss of a chunk and the gradient of its logits.
def loss_of_chunk(logits, target, scale):
    p = logits.float()
    lse = p.logsumexp(1, keepdim=True)
    loss = (lse - p.gather(1, target[:, None])).sum() * scale
    hot = torch.arange(p.shape[1], device=p.device) == target[:, None]
    return loss, (((p - lse).exp() - hot.float()) * scale).to(logits.dtype)


MODELS = {                                      # batch, context, sizes, of the plain code
    "gpt2": (64, 1024, dict(V=50304, L=12, C=768, NH=12), gpt2),
    "gpt2-xl": (16, 1024, dict(V=50304, L=48, C=1600, NH=25), gpt2),
    "qwen3-0.6b": (32, 2048, dict(V=151936, L=28, C=1024, NH=16, NKV=8, HS=128, FF=3072), qwen3),
    "toy": (2, 64, dict(V=512, L=2, C=64, NH=2, NKV=1, HS=32, FF=128), qwen3),      # shows that the script runs
}
WAYS = {
    "eager": "no compiler",
    "blocks": "torch.compile of one block, for all of them, and of the loss: starts in seconds",
    "compile": "torch.compile of the model and of the loss: up to minutes",
}


def measure(name, B, way, options):
    device = options.device
    _, T, sizes, make = MODELS[name]
    with torch.device(device):
        model = (HuggingFace if options.code == "transformers" else make)(T=T, **sizes).train()
    if options.dtype == "bf16":
        model.to(torch.bfloat16)
    run, chunk = model, loss_of_chunk if way == "eager" else torch.compile(loss_of_chunk)
    if way == "compile":
        run = torch.compile(model)
    elif way == "blocks":
        for block in model.blocks:
            block.compile()
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=True)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, began = [], time.perf_counter()
    for _ in range(options.warmup + options.steps):
        token, target = torch.randint(sizes["V"], (2, B, T), device=device).unbind()
        wait()
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=options.dtype == "autocast"):
            x = run(token).flatten(0, 1)
        loss = ChunkedLoss.apply(x, model.wte.weight, target.flatten(), options.chunk, chunk)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        wait()
        times.append(time.perf_counter() - start)
    step = statistics.median(times[options.warmup :])
    return {"model": name, "batch": B, "context": T, "code": options.code, "way": way, "dtype": options.dtype,
            "milliseconds": step * 1e3, "fastest_milliseconds": min(times[options.warmup :]) * 1e3,
            "tokens_per_second": B * T / step,
            "memory_gib": torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None,
            "first_step_seconds": times[0], "seconds": time.perf_counter() - began, "loss": loss.item()}


def forget():
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


# The row of the largest batch that fits, from B down; None and the batch 0: not even one sequence does.
def largest(name, B, way, options):
    while B > 0:
        try:
            return measure(name, B, way, options), B
        except torch.OutOfMemoryError:
            pass                                # the exception holds the tensors of the frames it went through
        forget()
        B //= 2
    return None, 0


def of(table):
    def parse(text):
        for name in text.split(","):
            if name not in table:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(table)}")
        return text.split(",")
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     epilog="; ".join(f"{way}: {text}" for way, text in WAYS.items()))
    add = parser.add_argument
    add("--models", type=of(MODELS), default=["gpt2", "gpt2-xl", "qwen3-0.6b"], help=", ".join(MODELS))
    add("--ways", type=of(WAYS), default=list(WAYS), help=", ".join(WAYS))
    add("--code", choices=["plain", "transformers"], default="plain", help="whose model")
    add("--dtype", choices=["autocast", "bf16"], default="autocast",
        help="autocast: weights and moments fp32, products and attention bf16; bf16: everything but the loss")
    add("--steps", type=int, default=10, help="timed")
    add("--warmup", type=int, default=5, help="steps before them")
    add("--batch", type=int, help="sequences, instead of the model's")
    add("--chunk", type=int, default=8192, help="tokens whose logits are there at the same time")
    add("--seconds", type=float, default=1e9, help="no row begins after so many")
    add("--json", help="a file for the rows")
    add("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no GPU")
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else "none"
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, {gpu}; {options.code}, {options.dtype}", flush=True)
    began, rows = time.perf_counter(), []
    for name in options.models:
        wanted = B = options.batch or MODELS[name][0]
        for way in options.ways:
            label, row, problem = f"{name:<11} {way:<8}", None, ""
            if time.perf_counter() - began > options.seconds:
                problem = f"left out: {options.seconds:g} s are over"
            else:
                try:
                    row, B = largest(name, B, way, options)
                    problem = "not even one sequence fits"
                except Exception as error:      # no C compiler for torch.compile, say; the other rows count
                    problem = f"failed: {type(error).__name__}: " + (str(error).strip().splitlines() or [""])[0]
                forget()
            if row:
                print(f"{label} {B:3} x {row['context']} {row['milliseconds']:9.2f} ms",
                      f"{row['tokens_per_second']:9.0f} tokens/s {row['memory_gib'] or 0:6.1f} GiB",
                      f"{row['seconds']:4.0f} s",
                      "" if B == wanted else f"(batch {wanted} does not fit)", flush=True)
            else:
                print(label, problem, flush=True)
                B = B or wanted
            rows.append(row or {"model": name, "way": way, "problem": problem})
            if options.json:                    # after each row: who stops the script keeps what there is
                with open(options.json, "w") as file:
                    json.dump({"torch": torch.__version__, "cuda": torch.version.cuda, "gpu": gpu,
                               "steps": options.steps, "warmup": options.warmup, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
