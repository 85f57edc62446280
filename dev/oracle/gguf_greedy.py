"""Lets llama.cpp open what `train_gpt export` writes, and compares it with our own program.

    gguf_greedy.py ./train_gpt [GPT2_DIRECTORY/] [NAME...]     from the repository's root; needs gguf and xllamacpp

Small models of the four architectures are trained for a moment, with tokenizers of every kind that a GGUF file has, and
the golden models of models/ with RoPE's other settings are given a tokenizer of characters. Of each:

    the file     as the gguf package reads it: so many tensors, each aligned and dequantized, matrices of the type
    tokens       of a mixed text, equal to ours
    greedy       texts of f32, equal to ours token by token
    perplexity   of held-out text in f32 equal to ours to 1e-3 of it, in f16 and bf16 to 1%, in q8_0 to 0.5% of f32's

GPT2_DIRECTORY holds GPT-2's tokenizer, vocab.json and merges.txt or tokenizer.json; NAMEs choose among the models.
llama.cpp is the one that the wheel of xllamacpp bundles: its server answers."""
import json
import math
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from importlib.metadata import version
from pathlib import Path

import gguf
import xllamacpp

program, gpt2 = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 and "/" in sys.argv[2] else None
only = [a for a in sys.argv[2:] if "/" not in a]
work = Path(tempfile.mkdtemp())
failures = 0

stories = Path("dev/oracle/evaluating.py").read_text() + Path("README.md").read_text()
chinese = Path("README.zh.md").read_text()
mixed = "Hello world!  It's 12345 o'clock,\n\n\tdon't   WE'LL see: f(x) = x**2; caf\u00e9 na\u00efve \u4e2d\u6587 \u8bad\u7ec3 \U0001f600 end. \n"


def ours(*args):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, f"{args}: {done.stderr}"
    return done.stdout


def check(what, holds, detail=""):
    global failures
    failures += not holds
    return what if holds else f"{what} DIFFERS {detail}"


class Llama:
    """A server of llama.cpp with a model in it; keys and values in f32, so that nothing but the weights is rounded."""

    def __init__(self, path, context):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.n_gpu_layers, params.warmup = context, 1, 0, False
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.verbosity, params.port, params.ctx_shift = -1, 0, False
        self.server = xllamacpp.Server(params)

    def ask(self, what, **body):
        request = urllib.request.Request(f"{self.server.listening_address}/{what}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        return json.loads(urllib.request.urlopen(request).read())

    def tokens(self, text, special):
        return self.ask("tokenize", content=text, add_special=special, parse_special=False)["tokens"]

    def greedy(self, ids, n):
        return self.ask("completion", prompt=ids, n_predict=n, temperature=0, return_tokens=True)["tokens"]

    def perplexity(self, ids, vocabulary):
        """The server tells the probabilities of whole characters only: it is made to choose an e, which leaves them as they are."""
        nats, e = 0.0, self.tokens("e", False)[-1]
        for i in range(1, len(ids)):
            answer = self.ask("completion", prompt=ids[:i], n_predict=1, temperature=0, n_probs=vocabulary, cache_prompt=True,
                              logit_bias=[[e, 1000]])
            likely = {p["id"]: p["logprob"] for p in answer["completion_probabilities"][0]["top_logprobs"]}
            nats -= likely[ids[i]]
        return math.exp(nats / (len(ids) - 1))


def check_file(path, type, tensors):
    reader = gguf.GGUFReader(path)
    for tensor in reader.tensors:
        assert tensor.data_offset % 32 == 0
        gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    wide = {t.tensor_type.name for t in reader.tensors if len(t.shape) == 2}
    allowed = {type.upper()} | ({"F16"} if type == "q8_0" else set())  # whose rows are no whole number of blocks
    return check("file", len(reader.tensors) == tensors and bool(allowed & wide), f"{len(reader.tensors)} tensors {wide}")


def our_perplexity(model, text):
    file = work / "held_out.txt"
    file.write_text(text)
    return json.loads(ours("eval", "--model", model, "--data", file, "--separator", "none", "--json", "--device", "cpu"))


def compare(name, model, context, prompt, held_out, text):
    """`model` as our program opens it."""
    path = work / f"{name}.gguf"
    said = ours("export", "--model", model, "--gguf", path, "--type", "f32")
    count = int(said.split(" tensors")[0].split()[-1])
    results = [check_file(path, "f32", count)]
    f32 = Llama(path, context)
    ids = json.loads(ours("tokenize", "--tokenizer", best(model), "--text", text, "--special=false"))
    theirs = f32.tokens(text, False)
    results.append(check(f"{len(ids)} tokens", ids == theirs, f"{ids} {theirs}"))
    start = f32.tokens(prompt, True)
    n = context - len(start)
    written = ours("sample", "--model", model, "--prompt", prompt, "--temperature", "0", "--tokens", n, "--device", "cpu")
    answer = f32.greedy(start, n)
    decoded = ours("tokenize", "--tokenizer", best(model), "--ids", json.dumps(f32.tokens(prompt, False) + answer))
    results.append(check(f"{len(answer)} greedy tokens", written.strip() == decoded.strip(), f"{written!r} {decoded!r}"))
    held = f32.tokens(held_out, False)[:context]
    vocabulary = json.loads((best(model) / "config.json").read_text())["vocab_size"]
    held_text = ours("tokenize", "--tokenizer", best(model), "--ids", json.dumps(held))[:-1]
    exact = our_perplexity(model, held_text)["perplexity"]
    reached = {"f32": f32.perplexity(held, vocabulary)}
    results.append(check(f"perplexity ours {exact:.4f} f32 {reached['f32']:.4f}", abs(reached["f32"] / exact - 1) < 1e-3))
    for type, limit in (("f16", 0.01), ("bf16", 0.01), ("q8_0", 0.005)):
        del f32
        ours("export", "--model", model, "--gguf", path, "--type", type, "--overwrite")
        results.append(check_file(path, type, count))
        f32 = Llama(path, context)
        reached[type] = f32.perplexity(held, vocabulary)
        off = reached[type] / reached["f32"] - 1
        results.append(check(f"{type} {100 * off:+.3f}%", abs(off) < limit))
    print(f"{name:24} {' · '.join(results)}", flush=True)


def best(model):
    return model / "best" if (model / "best").exists() else model


def trained(name, tokenizer, data, *flags, steps):
    run = work / name
    ours("train", "--out", run, "--data", data, "--tokenizer", tokenizer, "--device", "cpu", "--steps", steps, "--layers", 2,
         "--dim", 64, "--heads", 4, "--ffn", 128, "--context", 96, "--batch", 8, "--sample-tokens", 0, "--lr", "0.01", *flags)
    return run


def write_sentencepiece(folder, text):
    """Llama 2's kind: the commonest pieces of a text, each with all the merges that make it, as SentencePiece has them."""
    marked, counts = "\u2581" + text.replace(" ", "\u2581"), {}
    for n in range(2, 7):
        for i in range(0, len(marked) - n):
            piece = marked[i:i + n]
            if "\u2581" not in piece[1:] and "\n" not in piece:
                counts[piece] = counts.get(piece, 0) + 1
    letters = sorted(set(marked) - set("\n\t"))
    pieces = sorted(sorted(counts, key=counts.get)[-400:], key=lambda p: (len(p), -counts[p]))
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + letters + pieces
    known = set(letters + pieces)
    merges = [[p[:i], p[i:]] for p in pieces for i in range(1, len(p)) if {p[:i], p[i:]} <= known]
    special = [dict(id=i, content=t, special=True, normalized=False) for i, t in enumerate(tokens[:3])]
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    both_ways = lambda a, b: dict(type="Replace", pattern=dict(String=a), content=b)
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", truncation=None, padding=None, added_tokens=special, pre_tokenizer=None,
        normalizer=dict(type="Sequence", normalizers=[dict(type="Prepend", prepend="\u2581"), both_ways(" ", "\u2581")]),
        post_processor=dict(type="TemplateProcessing", single=[bos, {"Sequence": {"id": "A", "type_id": 0}}], pair=[],
                            special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])}),
        decoder=dict(type="Sequence", decoders=[both_ways("\u2581", " "), dict(type="ByteFallback"), dict(type="Fuse"),
                                                dict(type="Strip", content=" ", start=1, stop=0)]),
        model=dict(type="BPE", unk_token="<unk>", fuse_unk=True, byte_fallback=True, merges=merges,
                   vocab={t: i for i, t in enumerate(tokens)}))))


data, both = work / "data.txt", work / "both.txt"
data.write_text(stories)
both.write_text(chinese + stories + mixed)
for split in ("gpt2", "llama3", "qwen2"):
    ours("tokenize", "--train-bpe", 600, "--data", both, "--out", work / f"bpe-{split}", "--split", split, "--special-tokens",
         "<|endoftext|>", "<|end|>")
write_sentencepiece(work / "sentencepiece", stories + mixed)
llama = ("--norm", "rmsnorm", "--position", "rope", "--activation", "swiglu", "--bias=false", "--kv-heads", 2)
trainings = [
    ("gpt2-characters", "char", both),
    ("gpt2-bytes", "byte", both, "--bias=false", "--position", "sinusoidal"),
    ("gpt2-bpe", work / "bpe-gpt2", both, "--tied=false"),
    ("llama-bpe", work / "bpe-llama3", both, *llama),
    ("llama-sentencepiece", work / "sentencepiece", both, *llama),
    ("llama-wide-heads", work / "bpe-llama3", both, *llama, "--head-size", 32, "--rope-pairs", "interleaved", "--rope-theta", 500000),
    ("llama-stretched", work / "bpe-llama3", both, *llama, "--rope-factor", 8, "--tied=false", "--qkv-bias"),
    ("qwen2", work / "bpe-qwen2", both, *llama, "--qkv-bias"),
    ("qwen3", work / "bpe-qwen2", both, *llama, "--qk-norm", "--head-size", 32)]
if gpt2:
    trainings.append(("gpt2-vocabulary", gpt2, data))
for name, *how in trainings:
    if only and name not in only:
        continue
    large = name == "gpt2-vocabulary"
    compare(name, trained(name, *how, steps=10 if large else 60), 96, "The ", stories[4000:4060 if large else 4400], mixed)

# The golden models know 29 characters: a model that learned just these has their tokenizer.
(work / "letters.txt").write_text(json.loads(Path("dev/oracle/evaluating.json").read_text())["alphabet"] * 40)
ours("train", "--out", work / "letters", "--data", work / "letters.txt", "--tokenizer", "char", "--device", "cpu", "--steps", 1,
     "--layers", 1, "--dim", 8, "--heads", 1, "--context", 8, "--batch", 1, "--sample-tokens", 0)
for name, context in (("gpt2", 12), ("llama-2", 12), ("llama-3.1", 20), ("llama-3.2", 20), ("qwen2-untied", 12), ("qwen3", 12)):
    if only and f"golden-{name}" not in only:
        continue
    model = work / f"golden-{name}"
    shutil.copytree(Path("dev/oracle/models") / name, model, ignore=shutil.ignore_patterns("answers*", "gradients", "trained"))
    shutil.copy(work / "letters/best/tokenizer.json", model)
    compare(model.name, model, context, "the ", "the mistral, a sad trumpet, there", "a mouse, \u4e2d\u6587 !")

print(f"xllamacpp {version('xllamacpp')}, gguf {version('gguf')}: " + (f"{failures} differ" if failures else "all agree"))
shutil.rmtree(work)
sys.exit(failures > 0)
