"""How far PyTorch's own gradients in bfloat16 are from those in float64, at the sizes of dev/test/model/gpt_gpu.cu, whose bounds these are.

    python dev/oracle/bf16_errors.py         prints the worst relative error of any weight's gradient, over 24 draws of a family
"""
import torch
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)

V, T, B = 70, 16, 2
GPT2 = dict(vocab_size=V, n_positions=T, n_embd=32, n_layer=2, n_head=4, n_inner=72, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
            bos_token_id=None, eos_token_id=None, attn_implementation="eager")
LLAMA = dict(vocab_size=V, hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             head_dim=16, max_position_embeddings=T, tie_word_embeddings=False, attn_implementation="eager")
FAMILIES = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**GPT2)),
    "gpt2, relu": lambda: GPT2LMHeadModel(GPT2Config(**GPT2, activation_function="relu")),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA)),
    "llama, 64": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA | dict(head_dim=64))),
    "mistral, 64": lambda: MistralForCausalLM(MistralConfig(**LLAMA | dict(head_dim=64), sliding_window=5)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**LLAMA)),
}


def gradients(make, weights, dtype, tokens, targets):
    model = make()
    model.load_state_dict(weights)
    model.to(dtype)
    logits = model(tokens).logits
    logits = logits.float() if dtype == torch.bfloat16 else logits
    torch.nn.functional.cross_entropy(logits.view(-1, V), targets.view(-1)).backward()
    return {name: p.grad.double() for name, p in model.named_parameters() if "c_attn.bias" not in name}   # keys' biases move nothing


def worst_error(make, seed):
    torch.manual_seed(seed)
    weights = make().state_dict()
    for name, w in weights.items():
        drawn = torch.randn_like(w) * 0.15 + (1 if w.dim() == 1 and name.endswith("weight") else 0)
        weights[name] = drawn.bfloat16().float()
    if "lm_head.weight" in weights and "transformer.wte.weight" in weights:
        weights["lm_head.weight"] = weights["transformer.wte.weight"]
    tokens, targets = torch.randint(0, V, (2, B, T))
    exact = gradients(make, weights, torch.float64, tokens, targets)
    rounded = gradients(make, weights, torch.bfloat16, tokens, targets)
    return max(((rounded[name] - g).norm() / g.norm()).item() for name, g in exact.items())


for family, make in FAMILIES.items():
    print(f"{family:12} {max(worst_error(make, seed) for seed in range(24)):.3f}")
