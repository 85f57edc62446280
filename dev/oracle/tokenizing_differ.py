"""Compares `train_gpt tokenize` with Hugging Face's tokenizers and with tiktoken on random hostile strings.

    python tokenizing_differ.py PROGRAM [COUNT] [SEED] [FOLDER]

FOLDER: GPT-2's vocab.json and merges.txt; without it only tokenizers trained here are compared. Ends with an error at the
first difference."""
import base64
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s" + CONTRACTIONS + "?|"
O200K = CASED % ("*", "+") + CASED % ("+", "*") + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
          r"|\s*[\r\n]|\s+(?!\S)|\s")

NASTY = ["camelCase", "HTTPServer", "ǅ", "ǆ", "ʰ", "ª", "aB", "Ab", "日本X", "/", "//\n", "/\r\n/", "\u0301A", "!\u0301", "'s/", "12345678",
         "\U00011de0", "\U00016ff4", "1\U00011de12", "㊿", "〇", "𝟙",
         "'s", "'S", "'ſ", "'T", "'re", "'rE", "'VE", "'ll", "'Ll", "'d", "'", "’s", "''", " '", " ", "  ", "\n", "\r", "\r\n", "\n\n", "\t",
         "\u00a0", "\u3000", "\u2028", "\u1680", "\u180e", "\u200b", "\ufeff", "\x1c", "\x85", "\0", "\x7f", "0", "7", "12345", "½", "Ⅷ", "٣", "²",
         "a", "Z", "the", " the", "The", "é", "e\u0301", "e\u0323\u0301", "\u0301", "ﬁ", "ß", "İ", "ı", "K", "Å", "Ω", "가", "\u1100\u1161",
         "\u1100\u1161\u11a8", "\u11a8", "각", "क\u093c", "\u0958", "日本", "語", "。", "😀", "👩‍👧", "🇩🇪", "\U0002f800", "\U00011938",
         "\U00011935\U00011930", "\U00016d63\U00016d67", "\U0001e4d0", "\U00010d50", "\U00016d40", "\U00010d40", "ꟊ", "$", "...", "!?", "_", "\\",
         "\"", "<|endoftext|>", "<|endoftext|", "<x>", "<x>y", "<stripl>", "<stripr>", "<word>", "a<word>", "<word>_", "<norm\u00e9>",
         "<norme\u0301>", "<|begin|>", "x" * 70, " " * 40, "ab" * 50, "\ufffd", "\U0010ffff", "\u0345", "\u0344", "ά"]


def hostile(rng, words):
    parts = []
    for _ in range(rng.choice((1, 2, 3, 5, 9, 20, 60))):
        kind = rng.random()
        if kind < 0.55:
            parts.append(rng.choice(NASTY))
        elif kind < 0.75:
            parts.append(rng.choice(words))
        elif kind < 0.85:
            parts.append(chr(rng.randrange(0x250)))
        else:
            c = rng.choice((rng.randrange(0x3100), rng.randrange(0x110000), rng.randrange(0x1000, 0x12000), rng.randrange(0x10000, 0x20000)))
            parts.append(chr(c) if not 0xD800 <= c < 0xE000 else "x")
    return "".join(parts)


def ours(program, tokenizer, texts, flags, folder, separator="<|endoftext|>"):
    lines = "\n".join(json.dumps({"text": t}) for t in texts)
    out = os.path.join(folder, "shards")
    run = subprocess.run([program, "tokenize", "--tokenizer", tokenizer, "--data", "-", "--format", "jsonl", "--out", out, "--overwrite",
                          "--separator", separator] + flags, input=lines.encode(), capture_output=True)
    if run.returncode:
        sys.exit(run.stderr.decode())
    with open(out + "/dataset.json") as file:
        facts = json.load(file)
    ids = [np.fromfile(f"{out}/{s['name']}", np.uint16 if facts["bytes_per_token"] == 2 else np.uint32, offset=1024) for s in facts["shards"]]
    return np.concatenate(ids), facts["separator"]


def compare(name, program, path, encode, texts, flags, folder, separator="<|endoftext|>"):
    got, separator = ours(program, path, texts, flags, folder, separator)
    at = 0
    for text in texts:
        want = [separator] + encode(text)
        if list(got[at:at + len(want)]) != want:
            sys.exit(f"{name}: {text!r}\n  want {want}\n  have {list(got[at:at + len(want)])}")
        at += len(want)
    if at != len(got):
        sys.exit(f"{name}: {len(got) - at} tokens too many")
    print(f"{name}: {len(texts)} strings, {sum(map(len, texts))} characters, {at} tokens: all equal")


def train(pre_tokenizer, texts, vocab, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab, special_tokens=["<|endoftext|>"], show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def candidates(rng, words):
    corpus = [hostile(rng, words) for _ in range(3000)] + [" ".join(rng.choices(words, k=30)) for _ in range(2000)]
    odd = [AddedToken("<x>", normalized=False), AddedToken("<x>y", normalized=True), AddedToken("<stripl>", lstrip=True, normalized=False),
           AddedToken("<stripr>", rstrip=True, normalized=False), AddedToken("<word>", single_word=True, normalized=False),
           AddedToken("<normé>", normalized=True), AddedToken("the", single_word=True, normalized=True)]
    gpt2 = train(pre_tokenizers.ByteLevel(add_prefix_space=False), corpus, 1500)
    yield "gpt2", gpt2
    prefixed = train(pre_tokenizers.ByteLevel(add_prefix_space=True), corpus, 1200)
    prefixed.add_tokens(odd)
    yield "gpt2 with a prefix space and added tokens", prefixed
    llama3 = train(split(LLAMA3), corpus, 2000, ignore_merges=True)
    llama3.add_special_tokens(["<|begin|>"])
    llama3.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", llama3.token_to_id("<|begin|>"))])
    yield "llama3", llama3
    qwen2 = train(split(QWEN2), corpus, 1800, normalizer=normalizers.NFC())
    qwen2.add_tokens(odd)
    yield "qwen2 with added tokens", qwen2
    o200k = train(split(O200K), corpus, 2000)
    yield "o200k", o200k
    for individual in (True, False):
        digits = train(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual), pre_tokenizers.ByteLevel(add_prefix_space=False)]), corpus, 1600)
        digits.add_tokens(odd)
        yield f"digits, individual: {individual}", digits
    whole = train(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), corpus, 900)
    yield "no pattern", whole


def symbol_bytes():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}


def write_ranks(path, ranks):
    with open(path, "wb") as file:
        for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
            file.write(base64.b64encode(token) + b" %d\n" % rank)


def compare_training(program, rng, words, folder):
    """Random corpora of few letters, so that ties, overlaps and tokens made twice are many."""
    merged = 0
    for _ in range(40):
        letters = rng.choice(("ab", "abc", "a", "abcdefgh", "aé日 "))
        lines = ["".join(rng.choice(words) if rng.random() < 0.1 else "".join(rng.choices(letters, k=rng.randrange(1, 12))) + rng.choice((" ", ""))
                         for _ in range(rng.randrange(1, 12))) + "\n" for _ in range(rng.randrange(1, 200))]
        path, vocab, least = folder + "/corpus.txt", rng.randrange(260, 900), rng.choice((0, 2, 5))
        with open(path, "w", newline="") as file:
            file.writelines(lines)
        library = Tokenizer(models.BPE())
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.train([path], trainers.BpeTrainer(vocab_size=vocab, min_frequency=least, special_tokens=["<|endoftext|>"], show_progress=False,
                                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        out = folder + "/trained"
        subprocess.run([program, "tokenize", "--train-bpe", str(vocab), "--min-frequency", str(least), "--data", path, "--out", out, "--overwrite"],
                       check=True, capture_output=True)
        want = json.loads(library.to_str())["model"]
        with open(out + "/tokenizer.json") as file:
            have = json.load(file)["model"]
        if want["vocab"] != have["vocab"] or want["merges"] != have["merges"]:
            sys.exit(f"training differs on {lines!r} with {vocab} tokens, frequency {least}")
        merged += len(want["merges"])
    print(f"training: 40 corpora, {merged} merges: all equal")


def main():
    program, count, seed = sys.argv[1], int((sys.argv + [""] * 2)[2] or 20000), int((sys.argv + [""] * 3)[3] or 1)
    rng = random.Random(seed)
    words = [" the", " and", " of", "King", " dwell", "ing", " 1998", ",", ".\n", " Bücher", " naïve", "Straße", " Wörter", " мир", "привет",
             " don't", "I'LL", "x=y+1;", "    return", "\tif", "\n\n\n", " {}", "();", "--", "ABC", " e.g.", "3.14159"]
    texts = [hostile(rng, words) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        for name, tokenizer in candidates(rng, words):
            path = folder + "/tokenizer.json"
            tokenizer.save(path)
            tokenizer.encode_special_tokens = False
            recognised = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
            answers = dict(zip(texts, recognised))
            compare(name + ", special tokens", program, path, answers.get, texts, ["--special"], folder)
            tokenizer.encode_special_tokens = True
            answers = dict(zip(texts, [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]))
            compare(name + ", as data", program, path, answers.get, texts, [], folder)
        compare_training(program, rng, words, folder)
        table = symbol_bytes()
        sets = [("cl100k", CL100K, None), ("o200k", O200K, None)]
        if len(sys.argv) > 4:
            with open(sys.argv[4] + "/vocab.json") as file:
                vocab = json.load(file)
            ranks = {bytes(table[c] for c in token): i for token, i in vocab.items() if token != "<|endoftext|>"}
            sets = [("r50k", R50K, ranks), *sets]
            library = Tokenizer(models.BPE.from_file(sys.argv[4] + "/vocab.json", sys.argv[4] + "/merges.txt"))
            library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            answers = dict(zip(texts, [e.ids for e in library.encode_batch(texts)]))
            compare("GPT-2's two files", program, sys.argv[4], answers.get, texts, [], folder)
        for name, pattern, ranks in sets:
            if ranks is None:
                trained = train(split(O200K if pattern == O200K else LLAMA3), [hostile(rng, words) for _ in range(4000)], 3000).get_vocab()
                order = sorted((i, t) for t, i in trained.items() if t != "<|endoftext|>")
                ranks = {bytes(table[c] for c in t): rank for rank, (_, t) in enumerate(order)}
                ranks[b"<|endoftext|>"] = len(ranks)           # an ordinary token here: the separator of the shards
            encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
            path = folder + "/" + name + ".tiktoken"
            write_ranks(path, ranks)
            flags = [] if name == "r50k" else ["--pattern", name]
            compare("tiktoken " + name, program, path, encoding.encode_ordinary, texts, flags, folder)
            saved = shutil.copy(folder + "/shards/tokenizer.json", folder + "/saved.json")      # read again by us and by the library
            compare("tiktoken " + name + " saved and read", program, saved, encoding.encode_ordinary, texts, [], folder)
            library = Tokenizer.from_file(saved)
            library.encode_special_tokens = True
            different = sum(library.encode(t, add_special_tokens=False).ids != encoding.encode_ordinary(t) for t in texts)
            print(f"tiktoken {name} saved, read by tokenizers: {different} of {len(texts)} strings differ from tiktoken's")


if __name__ == "__main__":
    main()
