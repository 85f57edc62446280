"""A plain GPT in PyTorch on the CPU, eager and compiled, at the shapes of `./test_gpt --bench train_step_cpu`: ms a step,
tokens/s.

    python dev/rivals/pytorch_cpu.py [threads]

Fused AdamW, scaled_dot_product_attention, fp32, clipping: what a careful user would write. `torch.compile` compiles
forward, loss and backward; it needs a C++ compiler and Python's headers, and takes a minute a shape. To compare on AVX2
where there is AVX-512: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2."""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, C, NH, bias):
        super().__init__()
        self.NH = NH
        self.norm1, self.norm2 = nn.LayerNorm(C, bias=bias), nn.LayerNorm(C, bias=bias)
        self.qkv, self.proj = nn.Linear(C, 3 * C, bias=bias), nn.Linear(C, C, bias=bias)
        self.up, self.down = nn.Linear(C, 4 * C, bias=bias), nn.Linear(4 * C, C, bias=bias)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.NH, C // self.NH).permute(2, 0, 3, 1, 4)
        att = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(att.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, V, T, L, C, NH, bias):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, C), nn.Embedding(T, C)
        self.blocks = nn.Sequential(*[Block(C, NH, bias) for _ in range(L)])
        self.norm = nn.LayerNorm(C, bias=bias)

    def forward(self, token, target):
        x = self.wte(token) + self.wpe.weight[:token.shape[1]]
        logits = F.linear(self.norm(self.blocks(x)), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def shortest_step(model, run, B, T, V, rounds=8):
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    adamw = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                              lr=1e-4, betas=(0.9, 0.95), fused=True)
    token, target = torch.randint(V, (2, B, T)).unbind()
    best = float("inf")
    for _ in range(rounds + 2):
        start = time.perf_counter()
        run(token, target).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        best = min(best, time.perf_counter() - start)
    return best


def measure(name, B, T, **sizes):
    model = GPT(T=T, **sizes)
    for how, run in ("eager", model), ("compiled", torch.compile(model)):
        seconds = shortest_step(model, run, B, T, sizes["V"])
        print(f"{name:<28} {how:<9} {seconds * 1e3:9.1f} ms {B * T / seconds:11.0f} tokens/s", flush=True)


torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
measure("gpt2 (124M) B4 T64", 4, 64, V=50257, L=12, C=768, NH=12, bias=True)
measure("baby L6 C384 B8 T256 V256", 8, 256, V=256, L=6, C=384, NH=6, bias=False)
measure("L4 C128 B12 T64 V65", 12, 64, V=65, L=4, C=128, NH=4, bias=False)
