"""Whole tiny models: made, saved and trained by transformers and PyTorch in float32, one directory each.

    models/NAME/config.json, model.safetensors    as save_pretrained leaves them, but for what `Model` says
    models/NAME/answers.safetensors               logits and losses of one batch; ten steps' rates, losses, gradient norms
    models/NAME/gradients/model.safetensors       every gradient of that batch, under the weights' names
    models/NAME/trained/model.safetensors         the weights after ten steps of AdamW with clipping, warm-up and cosine decay

dev/test/model/golden_models.h has the other side, with the same table of names."""
import json
import math
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

from course import CourseModel
from golden import integers, single

torch.set_default_dtype(torch.float32)
B, STEPS, PEAK, LOWEST, WARMUP = 2, 10, 1e-3, 1e-4, 3


@dataclass
class Model:
    name: str
    kind: str                   # of transformers, or "Course"
    sizes: dict
    documents: bool = False     # several in a sequence: positions start again and nothing before is seen
    frozen: str = ""            # weights that contain this stay what they are: biases 0, positions sinusoids
    shards: bool = False        # several files and their index
    hub: bool = False           # names without prefix, and masks among the weights, as OpenAI's files have them
    mixed: bool = False         # BF16, F16 and F32 in one file


def gpt2(**change):
    return dict(n_positions=12, vocab_size=29, n_layer=2, n_embd=24, n_head=3, n_inner=40, resid_pdrop=0.0, embd_pdrop=0.0,
                attn_pdrop=0.0) | change


def llama(theta=10000.0, scaling=None, **change):
    rope = dict(rope_type="default", rope_theta=theta)
    if scaling:
        factor, low, high, context = scaling
        rope = dict(rope_type="llama3", rope_theta=theta, factor=factor, low_freq_factor=low, high_freq_factor=high,
                    original_max_position_embeddings=context)
    return dict(max_position_embeddings=12, vocab_size=29, num_hidden_layers=2, hidden_size=24, num_attention_heads=4,
                num_key_value_heads=4, head_dim=6, intermediate_size=40, rope_parameters=rope) | change


models = [
    Model("gpt2", "GPT2", gpt2(), hub=True),
    Model("gpt2-odd", "GPT2", gpt2(n_positions=11, vocab_size=53, n_embd=15, n_inner=37, n_layer=3, tie_word_embeddings=False),
          documents=True),
    Model("gpt2-no-bias", "GPT2", gpt2(), documents=True, frozen="bias"),
    Model("gpt2-sinusoidal", "GPT2", gpt2(activation_function="relu"), frozen="wpe"),
    Model("gpt2-by-layer", "GPT2", gpt2(n_layer=3, scale_attn_by_inverse_layer_idx=True)),
    Model("llama-2", "Llama", llama(), shards=True),
    Model("llama-3.1", "Llama", llama(max_position_embeddings=20, num_key_value_heads=2, head_dim=16, theta=500000.0,
                                      scaling=(8.0, 1.0, 4.0, 16))),
    Model("llama-3.2", "Llama", llama(max_position_embeddings=20, num_key_value_heads=1, theta=500000.0,
                                      scaling=(32.0, 1.0, 4.0, 16), tie_word_embeddings=True), mixed=True),
    Model("llama-bias-odd", "Llama", llama(vocab_size=31, hidden_size=21, num_attention_heads=3, num_key_value_heads=3,
                                           intermediate_size=33, attention_bias=True, mlp_bias=True, head_dim=10)),
    Model("qwen2", "Qwen2", llama(num_attention_heads=6, num_key_value_heads=3, head_dim=4, theta=1e6,
                                  tie_word_embeddings=True), documents=True),
    # With a larger theta the slowest pair hardly turns, and its keys' biases have no gradient but rounding errors.
    Model("qwen2-untied", "Qwen2", llama(num_key_value_heads=1), shards=True),
    Model("qwen3", "Qwen3", llama(num_key_value_heads=2, head_dim=10, theta=1e6, tie_word_embeddings=True)),
    Model("qwen3-odd", "Qwen3", llama(max_position_embeddings=13, vocab_size=37, hidden_size=19, num_attention_heads=8,
                                      num_key_value_heads=2, attention_bias=True, theta=1e6), documents=True),
    Model("mistral", "Mistral", llama(sliding_window=4, num_key_value_heads=2)),
    Model("qwen2-sliding", "Qwen2", llama(num_hidden_layers=3, num_key_value_heads=2, use_sliding_window=True, sliding_window=5,
                                          max_window_layers=1)),
    # Windows and documents in the same sequences; every second layer sees all.
    Model("qwen3-sliding", "Qwen3", llama(num_hidden_layers=4, num_key_value_heads=2, use_sliding_window=True, sliding_window=3,
                                          layer_types=2 * ["sliding_attention", "full_attention"]), documents=True),
    Model("cs336", "Course", dict(vocab_size=29, context_length=12, d_model=24, num_layers=2, num_heads=3, d_ff=40,
                                  rope_theta=10000.0)),
]


def make(m):
    """The model with random weights: gains near 1, everything else far enough from 0 to matter."""
    if m.kind == "Course":
        model = CourseModel(**m.sizes)
    else:
        config = getattr(transformers, m.kind + "Config")(bos_token_id=0, eos_token_id=0, attn_implementation="eager",
                                                          dtype="float32", **m.sizes)
        model = getattr(transformers, m.kind + ("LMHeadModel" if m.kind == "GPT2" else "ForCausalLM"))(config)
    random = torch.Generator().manual_seed(sum(m.name.encode()))
    with torch.no_grad():
        for i, (name, w) in enumerate(model.named_parameters()):
            gain = w.dim() == 1 and name.endswith("weight")
            w.copy_(float(gain) + (0.2 if w.dim() > 1 else 0.1) * torch.randn(w.shape, generator=random))
            if m.mixed and i % 3:
                w.copy_(w.to(torch.bfloat16 if i % 3 == 1 else torch.float16))
            if m.frozen and m.frozen in name:
                w.requires_grad_(False)
                w.copy_(sinusoids(*w.shape) if m.frozen == "wpe" else torch.zeros(w.shape))
    return model.eval()


def sinusoids(T, C):
    angle = torch.arange(T, dtype=torch.float64)[:, None] / 10000 ** (torch.arange(0, C, 2, dtype=torch.float64) / C)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2).to(torch.float32)


def save(m, model, path):
    path.mkdir(parents=True)
    if m.kind == "Course":
        (path / "model_config.json").write_text(json.dumps(m.sizes, indent=2) + "\n")
        return save_file(dict(model.named_parameters()), path / "model.safetensors", {"format": "pt"})
    model.save_pretrained(path, max_shard_size="24KB" if m.shards else "1GB")
    (path / "generation_config.json").unlink(missing_ok=True)
    weights = {name: w.detach() for name, w in model.named_parameters()}
    if m.hub:
        weights = {name.removeprefix("transformer."): w for name, w in weights.items()}
        T = model.config.n_positions
        weights |= {f"h.{l}.attn.bias": torch.ones(T, T).tril()[None, None].clone() for l in range(model.config.n_layer)}
    if m.mixed:
        types = (torch.float32, torch.bfloat16, torch.float16)
        weights = {name: w.to(types[i % 3]) for i, (name, w) in enumerate(weights.items())}
    if m.hub or m.mixed:
        save_file(weights, path / "model.safetensors", {"format": "pt"})


def make_batch(m):
    V = m.sizes["vocab_size"]
    T = next(m.sizes[key] for key in ("n_positions", "max_position_embeddings", "context_length") if key in m.sizes)
    token, target = integers(f"{m.name}/token", V, B, T), integers(f"{m.name}/target", V, B, T)
    target[integers(f"{m.name}/ignored", 5, B, T) == 0] = -100
    starts = m.documents * (integers(f"{m.name}/starts", 5, B, T) == 0)
    t = torch.arange(T)
    first = torch.where(starts > 0, t, 0).cummax(1).values
    return token, target, t - first, first


def logits_of(m, model, token, position, first):
    if m.kind == "Course":
        return model(token)
    if not m.documents:
        return model(token).logits
    t = torch.arange(token.shape[1])
    sees = ((t <= t[:, None]) & (t >= first[..., None]))[:, None]
    hidden = torch.where(sees, 0.0, torch.finfo(torch.float32).min)
    if m.sizes.get("sliding_window"):
        near = torch.where(sees & (t > t[:, None] - m.sizes["sliding_window"]), 0.0, torch.finfo(torch.float32).min)
        hidden = dict(full_attention=hidden, sliding_attention=near)
    return model(token, position_ids=position, attention_mask=hidden).logits


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    return LOWEST + (PEAK - LOWEST) * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2


def run(m, root):
    model, path = make(m), root / m.name
    save(m, model, path)
    token, target, position, first = make_batch(m)
    weights = {name: w for name, w in model.named_parameters() if w.requires_grad}
    groups = [dict(params=[w for w in weights.values() if (w.dim() > 1) == matrix], weight_decay=0.1 * matrix)
              for matrix in (True, False)]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    answers, losses, norms, rates = {}, [], [], []
    for step in range(STEPS + 1):
        logits = logits_of(m, model, token, position, first)
        each = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100, reduction="none")
        loss = each.sum() / (target >= 0).sum()
        losses.append(loss.item())
        if step == STEPS:
            break
        adamw.zero_grad()
        loss.backward()
        if step == 0:
            answers |= dict(logits=logits, losses=each)
            (path / "gradients").mkdir()
            save_file({name: w.grad.clone() for name, w in weights.items()}, path / "gradients/model.safetensors")
        clip = single(0.9 * torch.nn.utils.get_total_norm([w.grad for w in weights.values()]).item()) if step == 0 else clip
        norms.append(torch.nn.utils.clip_grad_norm_(weights.values(), clip).item())
        rates.append(single(learning_rate(step)))
        for group in adamw.param_groups:
            group["lr"] = rates[-1]
        adamw.step()
    assert min(norms) < clip < max(norms), f"{m.name}: steps with and without clipping must be seen, {norms}"
    (path / "trained").mkdir()
    save_file({name: w.detach() for name, w in weights.items()}, path / "trained/model.safetensors")
    answers |= dict(loss=torch.tensor(losses), norm=torch.tensor(norms), learning_rate=torch.tensor(rates),
                    clip=torch.tensor([clip]))
    save_file({name: x.detach().to(torch.float32).contiguous() for name, x in answers.items()}, path / "answers.safetensors")
    print(f"{m.name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, gradient norms {min(norms):.2f} to {max(norms):.2f}")


root = Path(sys.argv[1])
shutil.rmtree(root, ignore_errors=True)
for model in models:
    run(model, root)
