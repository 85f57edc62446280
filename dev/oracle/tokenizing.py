"""Writes tokenizing.json: small tokenizers, hostile texts, and the ids that Hugging Face's tokenizers and tiktoken give them.

    python tokenizing.py tokenizing.json

Also what BpeTrainer makes of a text whose ties, repeated tokens and overlaps are many."""
import base64
import json
import random
import sys

import tiktoken
from marked_files import files
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
LLAMA3, QWEN2 = HEAD + r"|\p{N}{1,3}" + TAIL, HEAD + r"|\p{N}" + TAIL
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
          r"|\s*[\r\n]|\s+(?!\S)|\s")

CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
O200K = CASED % ("*", "+") + CASED % ("+", "*") + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

CORPUS = ("The king's men didn't say they'd come; we'll see, I'M SURE. It was 1998, then 12345 days.\n\n"
          "  def f(x):\n\treturn x + 1\r\n\r\nnaïve café Ärger Straße привет мир 日本語 日本 각하 e\u0301te\u0301 !!! ??? ...\n") * 3

TEXTS = ["", " ", "a", "Hello world", " Hello world", "Hello, world!\n", "I'll go; DON'T shout; they'Re 'ſo", "tokens:  12345 67890\t\tend  \n\n  next",
         "naïve café 😀 日本語", "a\u00a0b\u180ec\u200bd\ufeff", "    ", "  \n \n", "a \n ", "a \n\n  b", "\r\n\r\n x", "don\u2019t", "x\u3000\u3000y\u2028z",
         "def f(x):\n    return x\n\n\n", "½Ⅷ٣٤٥²1234", "e\u0301e\u0323\u0301q\u0307\u0323", "\u1100\u1161\u11a8각\u11a8", "\u212b\u2126\u0344\u0345",
         "\U00011935\U00011930\U0001e4d0\U00010d50", "\u0558\u088f\U00016d40a", "k\0k\x1ck\x85k", "'s'S''s's", "<|endoftext|>x<|endoftext|", "ab <l> cd<r>  ef",
         "<w>a <w> a<w>", "<n\u00e9><ne\u0301>", "the then (the)", "x" * 200, "ab" * 150, " " * 90 + "x", "1" * 50, "!?" * 60, "\ufffd\U0010ffff",
         "camelCaseHTTPServer's ǅaʰB日本X", "!\u0301a \u0301AB//\n/\r\n/ x'LLy", "a1\U00011de0\U00016ff4 2  3 \n4㊿〇𝟙"]
MARKED = ["\u2581", "\u2581\u2581a", "a\u2581 \u2581b ", "  a  b  ", "<s>a<s> b</s>", "</s><unk>x", " <l> a <r> b <w>c <w> the the<n>n>", "<P>\u2581<P> <P>",
          "<0x41><0xE5>", "a\n\nb\n", "日本語 naïve 😀e\u0301", "x<s>", "<s>", "<s><s>", "\n", "zq", "a zq zq", "a\u2603", "     a       b", " " * 9]


def words(rng, letters, n):
    return " ".join("".join(rng.choices(letters, k=rng.randrange(1, 9))) for _ in range(n)) + "\n"


def trainer(vocab, **how):
    return trainers.BpeTrainer(vocab_size=vocab, special_tokens=["<|endoftext|>"], show_progress=False,
                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **how)


def trained(pre_tokenizer, vocab, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(CORPUS.splitlines(True), trainer(vocab))
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def case(name, tokenizer):
    file = json.loads(tokenizer.to_str())
    tokenizer.encode_special_tokens = False
    full = [tokenizer.encode(t).ids for t in TEXTS]
    tokenizer.encode_special_tokens = True
    data = [tokenizer.encode(t, add_special_tokens=False).ids for t in TEXTS]
    decoded = [tokenizer.decode(ids, skip_special_tokens=False) for ids in full]
    return {"name": name, "file": file, "full": full, "data": data, "decoded": decoded}


def cases():
    yield case("gpt2", trained(pre_tokenizers.ByteLevel(add_prefix_space=False), 330))
    odd = [AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
           AddedToken("<w>", single_word=True, normalized=False), AddedToken("<né>", normalized=True),
           AddedToken("the", single_word=True, normalized=True)]
    prefixed = trained(pre_tokenizers.ByteLevel(add_prefix_space=True), 300)
    prefixed.add_tokens(odd)
    yield case("prefix space", prefixed)
    llama3 = trained(split(LLAMA3), 340, ignore_merges=True)
    llama3.add_special_tokens(["<|begin|>"])
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<|begin|> $A <|endoftext|>",
                                      special_tokens=[("<|begin|>", llama3.token_to_id("<|begin|>")), ("<|endoftext|>", 0)])])
    yield case("llama3", llama3)
    qwen2 = trained(split(QWEN2), 330, normalizer=normalizers.NFC())
    qwen2.add_tokens(odd)
    yield case("qwen2", qwen2)
    yield case("o200k", trained(split(O200K), 330))
    for name, individual in (("digits", True), ("numbers", False)):
        yield case(name, trained(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual), pre_tokenizers.ByteLevel(add_prefix_space=False)]), 310))


def marked_cases():
    """Their models stand once: a case says which it has. The first encodes all texts."""
    rng = random.Random(2)
    models_, rows = [], []
    for name, file in files(CORPUS.splitlines(True) * 2, 130, 30):
        tokenizer = Tokenizer.from_str(json.dumps(file))
        model = file.pop("model")
        if model not in models_:
            models_.append(model)
        texts = MARKED if rows else MARKED + TEXTS
        ids = [rng.choices(range(tokenizer.get_vocab_size() if i % 2 else 262), k=rng.randrange(8)) for i in range(20)]
        row = {"name": name, "model": models_.index(model), "file": file, "ids": ids}
        tokenizer.encode_special_tokens = False
        row["full"] = [tokenizer.encode(t).ids for t in texts]
        tokenizer.encode_special_tokens = True
        row["data"] = [tokenizer.encode(t).ids for t in MARKED]
        row["decoded"] = [tokenizer.decode(i, skip_special_tokens=False) for i in ids + row["full"]]
        rows.append(row)
    return {"models": models_, "texts": MARKED, "cases": rows}


def symbol_bytes():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}


def tiktoken_case(training_pattern, pattern):
    table = symbol_bytes()
    vocab = sorted((i, t) for t, i in trained(split(training_pattern), 360).get_vocab().items() if t != "<|endoftext|>")
    ranks = {bytes(table[c] for c in t): rank for rank, (_, t) in enumerate(vocab)}
    for extra in (b"aaa", b"aa", b"abab", b"bab", b"aba", b"ababab"):      # some made in several ways, ranked against their parts
        ranks.setdefault(extra, len(ranks))
    encoding = tiktoken.Encoding("case", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    lines = "".join(base64.b64encode(token).decode() + f" {rank}\n" for token, rank in sorted(ranks.items(), key=lambda item: item[1]))
    return {"file": lines, "data": [encoding.encode_ordinary(t) for t in TEXTS]}


def training():
    rng = random.Random(1)
    for text, vocab, frequency in ((words(rng, "abc", 300) + words(rng, "ab", 200) + CORPUS, 600, 0), (CORPUS, 400, 3),
                                   (words(rng, "a", 40) + "aaaaaaa aaaa aaaaaaaaa\n", 300, 0)):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.train_from_iterator(text.splitlines(True) if "\r" not in text else [x + "\n" for x in text.split("\n")[:-1]],
                                      trainer(vocab, min_frequency=frequency))
        model = json.loads(tokenizer.to_str())["model"]
        yield {"text": text, "vocab": vocab, "min_frequency": frequency,
               "tokens": [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])], "merges": model["merges"]}


with open(sys.argv[1], "w") as file:
    json.dump({"texts": TEXTS, "cases": list(cases()), "tiktoken": tiktoken_case(LLAMA3, CL100K),
               "tiktoken_o200k": tiktoken_case(O200K, O200K), "marked": marked_cases(), "training": list(training())}, file,
              ensure_ascii=True, separators=(",", ":"))
    file.write("\n")
