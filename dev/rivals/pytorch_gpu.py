"""GPT-2 124M, GPT-2 1558M and Qwen3 0.6B in plain PyTorch on a GPU, at the shapes of `./test_gpt --bench end_to_end`.

    python3 dev/rivals/pytorch_gpu.py [eager|compile] [gpt2|gpt2-xl|qwen3-0.6b]...

autocast: weights, embedding, residual stream, norms' outputs and loss are fp32; each step casts the products' weights to
bf16, and products and attention are bf16. scaled_dot_product_attention, fused AdamW, clipping; random tokens; the median
of 10 steps after 5."""
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


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
        self.norm1, self.norm2 = nn.RMSNorm(C, eps=1e-6), nn.RMSNorm(C, eps=1e-6)
        self.q_norm, self.k_norm = nn.RMSNorm(HS, eps=1e-6), nn.RMSNorm(HS, eps=1e-6)
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
        q, k = q.to(v.dtype), k.to(v.dtype)
        att = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.proj(att.transpose(1, 2).reshape(B, T, self.NH * self.HS))
        gate, up = self.up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, V, T, C, blocks, norm, rope=None):
        super().__init__()
        self.wte = nn.Embedding(V, C)
        self.wpe = nn.Embedding(T, C) if rope is None else None
        self.blocks, self.norm, self.rope = nn.ModuleList(blocks), norm, rope
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, token, target):
        x = self.wte(token)
        if self.wpe is not None:
            x = x + self.wpe.weight[: token.shape[1]]
        for block in self.blocks:
            x = block(x, self.rope)
        logits = F.linear(self.norm(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def gpt2(L, C, NH):
    return Model(50304, 1024, C, [GPT2Block(C, NH) for _ in range(L)], nn.LayerNorm(C))


def qwen3(T):
    angles = torch.outer(torch.arange(T), 1e6 ** (-torch.arange(0, 128, 2) / 128)).float()
    rope = angles.cos().cuda(), angles.sin().cuda()
    return Model(151936, T, 1024, [Qwen3Block(1024, 16, 8, 128, 3072) for _ in range(28)], nn.RMSNorm(1024, eps=1e-6), rope)


MODELS = {
    "gpt2": (64, 1024, lambda: gpt2(12, 768, 12)),
    "gpt2-xl": (16, 1024, lambda: gpt2(48, 1600, 25)),
    "qwen3-0.6b": (32, 2048, lambda: qwen3(2048)),
}


def measure(name, compiled):
    B, T, make = MODELS[name]
    with torch.device("cuda"):
        model = make()
    V = model.wte.num_embeddings
    run = torch.compile(model) if compiled else model
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=True)
    times = []
    for _ in range(15):
        token, target = torch.randint(V, (2, B, T), device="cuda").unbind()
        torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16):
            loss = run(token, target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    step = statistics.median(times[5:])
    print(f"{name:<12} {B} x {T} {'compile' if compiled else 'eager':<8} {step * 1e3:9.2f} ms {B * T / step:10.0f} tokens/s"
          "  (autocast: fp32 weights, residual stream and norms)", flush=True)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    ways = [w for w in ("eager", "compile") if w in sys.argv] or ["eager", "compile"]
    for name in [m for m in MODELS if m in sys.argv] or list(MODELS):
        for way in ways:
            try:
                measure(name, way == "compile")
            except torch.OutOfMemoryError:
                print(f"{name:<12} {way}: out of memory")
            torch.cuda.empty_cache()
            torch._dynamo.reset()
