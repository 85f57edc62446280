"""The Transformer of Stanford's course CS336 from its description: RMSNorm before each half, RoPE on neighbouring channels,
SwiGLU, no biases, a head of its own. The parameters have the course's names."""
import torch
import torch.nn.functional as F
from torch import nn

from rope import rope_frequencies, rotate

EPS = 1e-5


class Table(nn.Module):
    """Just a parameter called `weight`."""
    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))


class Attention(nn.Module):
    def __init__(self, d_model):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.output_proj = (Table(d_model, d_model) for _ in range(4))


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.w1, self.w2, self.w3 = Table(d_ff, d_model), Table(d_model, d_ff), Table(d_ff, d_model)


class Block(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.attn, self.ffn = Attention(d_model), FeedForward(d_model, d_ff)
        self.ln1, self.ln2 = Table(d_model), Table(d_model)


class CourseModel(nn.Module):
    def __init__(self, vocab_size, context_length, d_model, num_layers, num_heads, d_ff, rope_theta):
        super().__init__()
        self.heads, self.theta = num_heads, rope_theta
        self.token_embeddings, self.lm_head = Table(vocab_size, d_model), Table(vocab_size, d_model)
        self.layers = nn.ModuleList(Block(d_model, d_ff) for _ in range(num_layers))
        self.ln_final = Table(d_model)

    def forward(self, token):
        norm = lambda x, gain: F.rms_norm(x, x.shape[-1:], gain.weight, EPS)
        x = self.token_embeddings.weight[token]
        position = torch.arange(token.shape[1])[None]
        for block in self.layers:
            h = norm(x, block.ln1)
            q, k, v = (F.linear(h, getattr(block.attn, name + "_proj").weight).unflatten(-1, (self.heads, -1)) for name in "qkv")
            frequency = rope_frequencies(q.shape[-1], self.theta, None)
            q, k = (rotate(y, position, frequency, True).to(x.dtype) for y in (q, k))
            att = F.scaled_dot_product_attention(*[y.transpose(1, 2) for y in (q, k, v)], is_causal=True)
            x = x + F.linear(att.transpose(1, 2).flatten(2), block.attn.output_proj.weight)
            h = norm(x, block.ln2)
            f = block.ffn
            x = x + F.linear(F.silu(F.linear(h, f.w1.weight)) * F.linear(h, f.w3.weight), f.w2.weight)
        return F.linear(norm(x, self.ln_final), self.lm_head.weight)
