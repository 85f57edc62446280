"""Whole tiny models in float64 PyTorch, their gradients and ten AdamW steps: models.safetensors.
Families: as in dev/golden_models.cpp.

The model below is written from the papers with PyTorch's own functions; where transformers has the architecture, its
logits are compared with this model's before anything is saved."""
import math
import sys
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import transformers

from adamw import AdamW
from golden import draw, integers, save, single
from rope import rope_frequencies, rotate


@dataclass
class Family:
    name: str
    B: int = 2
    T: int = 12
    V: int = 29
    L: int = 2
    C: int = 24
    NH: int = 3
    NKV: int = 3
    HS: int = 8
    F: int = 40
    norm: str = "layernorm"
    position: str = "learned"
    interleaved: bool = False
    activation: str = "gelu"
    theta: float = 10000.0
    scaling: tuple = None
    qkv_bias: bool = True
    bias: bool = True
    norm_bias: bool = True
    qk_norm: bool = False
    tied: bool = True
    documents: bool = False  # several documents in a sequence: positions start again and nothing before is seen
    eps: float = single(1e-5)


modern = dict(norm="rmsnorm", position="rope", activation="swiglu", qkv_bias=False, bias=False, norm_bias=False,
              eps=single(1e-6))
families = [
    Family("gpt2"),
    Family("nanogpt", qkv_bias=False, bias=False, norm_bias=False, documents=True),
    Family("cs336", **modern, interleaved=True, tied=False),
    Family("llama", **modern, NH=4, NKV=2, HS=16, T=20, theta=500000.0, scaling=(8.0, 1.0, 4.0, 64.0), tied=False),
    Family("qwen2", **modern | dict(qkv_bias=True), NH=6, NKV=2, HS=4, theta=1e6),
    Family("qwen3", **modern, NH=4, NKV=1, HS=10, qk_norm=True, documents=True),
    Family("sinusoidal", position="sinusoidal", activation="relu"),
]


def weight_shapes(c):
    rows = {"wte": (c.V, c.C)}
    if c.position == "learned":
        rows["wpe"] = (c.T, c.C)
    up = 2 * c.F if c.activation == "swiglu" else c.F
    for l in range(c.L):
        linears = [("qkv", (c.NH + 2 * c.NKV) * c.HS, c.C, c.qkv_bias), ("proj", c.C, c.NH * c.HS, c.bias),
                   ("up", up, c.C, c.bias), ("down", c.C, c.F, c.bias)]
        for name, out, inp, bias in linears:
            rows[f"h.{l}.{name}.weight"] = (out, inp)
            if bias:
                rows[f"h.{l}.{name}.bias"] = (out,)
        for norm in ("norm1", "norm2"):
            rows[f"h.{l}.{norm}.weight"] = (c.C,)
            if c.norm_bias:
                rows[f"h.{l}.{norm}.bias"] = (c.C,)
        if c.qk_norm:
            rows[f"h.{l}.q_norm"] = rows[f"h.{l}.k_norm"] = (c.HS,)
    rows["norm_f.weight"] = (c.C,)
    if c.norm_bias:
        rows["norm_f.bias"] = (c.C,)
    if not c.tied:
        rows["head"] = (c.V, c.C)
    return rows


def initial(c, row, shape):
    """Gains near 1, biases near 0, matrices of about unit gain: multiples of a power of two, exact in float."""
    gain = "norm" in row and not row.endswith("bias")
    return (1 if gain else 0) + draw(f"{c.name}/{row}", *shape) / (4 if len(shape) > 1 else 8)


def make_batch(c):
    token = integers(f"{c.name}/token", c.V, c.B, c.T)
    target = integers(f"{c.name}/target", c.V, c.B, c.T)
    target[integers(f"{c.name}/ignored", 5, c.B, c.T) == 0] = -1
    starts = c.documents * (integers(f"{c.name}/starts", 5, c.B, c.T) == 0)
    t = torch.arange(c.T)
    first = torch.where(starts > 0, t, 0).cummax(1).values
    return token, target, t - first, first


def logits_of(c, w, token, position, first):
    def norm(x, name):
        if c.norm == "rmsnorm":
            return F.rms_norm(x, (c.C,), w[name + ".weight"], c.eps)
        return F.layer_norm(x, (c.C,), w[name + ".weight"], w.get(name + ".bias"), c.eps)

    def linear(x, name):
        return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))

    t = torch.arange(c.T)
    sees = ((t <= t[:, None]) & (t >= first[..., None]))[:, None]
    x = w["wte"][token]
    if c.position == "learned":
        x = x + w["wpe"][position]
    if c.position == "sinusoidal":
        angle = position[..., None] / 10000 ** (torch.arange(0, c.C, 2) / c.C)
        x = x + torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
    for l in range(c.L):
        h = f"h.{l}."
        q, k, v = linear(norm(x, h + "norm1"), h + "qkv").unflatten(-1, (-1, c.HS)).split([c.NH, c.NKV, c.NKV], -2)
        if c.qk_norm:
            q, k = F.rms_norm(q, (c.HS,), w[h + "q_norm"], c.eps), F.rms_norm(k, (c.HS,), w[h + "k_norm"], c.eps)
        if c.position == "rope":
            frequency = rope_frequencies(c.HS, c.theta, c.scaling)
            q, k = rotate(q, position, frequency, c.interleaved), rotate(k, position, frequency, c.interleaved)
        att = F.scaled_dot_product_attention(*[y.transpose(1, 2) for y in (q, k, v)], sees, enable_gqa=True)
        x = x + linear(att.transpose(1, 2).flatten(2), h + "proj")
        up = linear(norm(x, h + "norm2"), h + "up")
        if c.activation == "swiglu":
            gate, up = up.chunk(2, -1)
            up = F.silu(gate) * up
        else:
            up = F.gelu(up, approximate="tanh") if c.activation == "gelu" else F.relu(up)
        x = x + linear(up, h + "down")
    return F.linear(norm(x, "norm_f"), w["wte" if c.tied else "head"])


def gpt2_peer(c, w, common):
    config = transformers.GPT2Config(n_positions=c.T, n_embd=c.C, n_layer=c.L, n_head=c.NH, n_inner=c.F, resid_pdrop=0,
                                     embd_pdrop=0, attn_pdrop=0, layer_norm_epsilon=c.eps, **common)
    theirs = {"transformer.wte.weight": w["wte"], "transformer.wpe.weight": w["wpe"]}
    names = {"norm1": "ln_1", "qkv": "attn.c_attn", "proj": "attn.c_proj", "norm2": "ln_2", "up": "mlp.c_fc",
             "down": "mlp.c_proj"}
    for row, tensor in w.items():
        if row.startswith("h."):
            h, l, name, kind = row.split(".")
            theirs[f"transformer.h.{l}.{names[name]}.{kind}"] = tensor.T if tensor.dim() == 2 else tensor
        elif row.startswith("norm_f"):
            theirs["transformer.ln_f." + row.split(".")[1]] = tensor
    return transformers.GPT2LMHeadModel(config), theirs


def llama_like_peer(c, w, common, kind):
    rope = dict(rope_type="default", rope_theta=c.theta)
    if c.scaling:
        factor, low, high, context = c.scaling
        rope.update(rope_type="llama3", factor=factor, low_freq_factor=low, high_freq_factor=high,
                    original_max_position_embeddings=int(context))
    config = getattr(transformers, kind + "Config")(
        hidden_size=c.C, intermediate_size=c.F, num_hidden_layers=c.L, num_attention_heads=c.NH,
        num_key_value_heads=c.NKV, head_dim=c.HS, rms_norm_eps=c.eps, max_position_embeddings=256, rope_parameters=rope,
        **common)
    theirs = {"model.embed_tokens.weight": w["wte"], "model.norm.weight": w["norm_f.weight"]}
    for l in range(c.L):
        h, to = f"h.{l}.", f"model.layers.{l}."
        for part in ("weight", "bias"):
            if h + "qkv." + part in w:
                split = w[h + "qkv." + part].split([c.NH * c.HS, c.NKV * c.HS, c.NKV * c.HS])
                theirs |= {f"{to}self_attn.{x}_proj.{part}": tensor for x, tensor in zip("qkv", split)}
        gate, up = w[h + "up.weight"].chunk(2)
        theirs |= {to + "self_attn.o_proj.weight": w[h + "proj.weight"], to + "mlp.gate_proj.weight": gate,
                   to + "mlp.up_proj.weight": up, to + "mlp.down_proj.weight": w[h + "down.weight"],
                   to + "input_layernorm.weight": w[h + "norm1.weight"],
                   to + "post_attention_layernorm.weight": w[h + "norm2.weight"]}
        if c.qk_norm:
            theirs |= {to + f"self_attn.{x}_norm.weight": w[h + x + "_norm"] for x in "qk"}
    if not c.tied:
        theirs["lm_head.weight"] = w["head"]
    return getattr(transformers, kind + "ForCausalLM")(config), theirs


def peer_logits(c, w, token):
    """The same weights in transformers' own model, where it has this architecture; else None."""
    common = dict(vocab_size=c.V, attn_implementation="eager", tie_word_embeddings=c.tied, bos_token_id=0,
                  eos_token_id=0)
    kind = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}.get(c.name)
    if c.name != "gpt2" and kind is None:
        return None
    model, theirs = llama_like_peer(c, w, common, kind) if kind else gpt2_peer(c, w, common)
    left = model.load_state_dict({name: t.detach() for name, t in theirs.items()}, strict=False)
    assert not left.unexpected_keys and set(left.missing_keys) <= {"lm_head.weight"}, left
    return model.double().eval()(token).logits


def signature(c, row, t):
    """Two numbers that a wrong tensor cannot keep: its length, and its product with a drawn direction.
    Softmax ignores what all keys share: without RoPE only rounding errors move the keys' biases, which are left out."""
    if row.endswith("qkv.bias") and c.position != "rope":
        t = t.detach().clone()
        t[c.NH * c.HS:(c.NH + c.NKV) * c.HS] = 0
    return torch.stack([t.norm(), (t * draw("direction/" + row, *t.shape)).sum()])


def learning_rate(step, steps, warmup, peak, lowest):
    if step < warmup:
        return peak * (step + 1) / warmup
    return lowest + (peak - lowest) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def answers_of(c, steps=10):
    w = {row: initial(c, row, shape).requires_grad_() for row, shape in weight_shapes(c).items()}
    token, target, position, first = make_batch(c)
    plain = torch.arange(c.T).expand(c.B, c.T)
    peer = peer_logits(c, w, token)
    if peer is not None:  # transformers rounds RoPE's angles to float
        difference = (peer - logits_of(c, w, token, plain, torch.zeros_like(first))).abs().max()
        print(f"{c.name}: largest difference from transformers' logits {difference:.1e}")
        assert difference < (1e-10 if c.position != "rope" else 1e-5)

    def losses_now():
        logits = logits_of(c, w, token, position, first)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-1, reduction="none")

    answers, losses, norms, rates = {}, [], [], []
    adamw = AdamW(list(w.values()), decays=[0.1 if t.dim() > 1 else 0.0 for t in w.values()], clip=1.5)
    for step in range(steps):
        rates.append(single(learning_rate(step, steps, warmup=3, peak=1e-2, lowest=1e-3)))
        each = losses_now()
        loss = each.sum() / (target >= 0).sum()
        gradients = torch.autograd.grad(loss, w.values())
        if step == 0:
            answers["losses"] = each
            answers |= {"gradient/" + row: signature(c, row, g) for row, g in zip(w, gradients)}
        losses.append(loss.item())
        norms.append(adamw.step(gradients, rates[-1]).item())
    assert min(norms) < adamw.clip < max(norms), "steps with and without clipping must be seen"
    answers |= {"weight/" + row: signature(c, row, t) for row, t in w.items()}
    answers |= {"loss": torch.tensor(losses), "norm": torch.tensor(norms), "learning_rate": torch.tensor(rates)}
    answers["last_loss"] = losses_now().sum() / (target >= 0).sum()
    print(f"{c.name}: loss {losses[0]:.4f} -> {answers['last_loss'].item():.4f}, gradient norms {min(norms):.2f} to "
          f"{max(norms):.2f}")
    return {f"{c.name}/{name}": t for name, t in answers.items()}


everything = {}
for family in families:
    everything |= answers_of(family)
save(sys.argv[1], everything)
