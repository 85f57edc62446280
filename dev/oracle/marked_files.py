"""tokenizer.json files of vocabularies of characters, as Llama 2's is: a mark (U+2581) for a space, bytes for what has no token."""
import json
from collections import Counter

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

MARK = "\u2581"
PREPEND = {"type": "Prepend", "prepend": MARK}
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
NFC = {"type": "NFC"}
BACK = {"type": "Replace", "pattern": {"String": MARK}, "content": " "}
BYTES, FUSE, STRIP = {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}
SPECIALS = ["<unk>", "<s>", "</s>"]


def sequence(name, steps):
    return {"type": "Sequence", name: steps} if steps else None


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": split}


def learned(corpus, vocab, letters, across):
    """Tokens and merges of text whose spaces are marks; `across`: merges may reach from word to word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    if not across:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    counts = Counter("".join(corpus))
    kept = set(sorted(counts, key=lambda c: (-counts[c], c))[:letters])    # limit_alphabet breaks ties by chance
    tokenizer.train_from_iterator(["".join(c for c in line if c in kept) for line in corpus],
                                  trainers.BpeTrainer(vocab_size=vocab, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])], model["merges"]


def added(vocab, rows, normalized):
    """Special tokens and others; one that the vocabulary has keeps its id."""
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    rows, ids, out = [(t, ["special"] + ["normalized"] * normalized) for t in SPECIALS] + list(rows), dict(vocab), []
    for content, given in rows:
        out.append({"id": ids.setdefault(content, len(ids)), "content": content, **dict.fromkeys(flags, False), **dict.fromkeys(given, True)})
    return sorted(out, key=lambda row: row["id"])


ODD = [("<l>", ["lstrip"]), ("<r>", ["rstrip"]), ("<w>", ["single_word"]), ("<n>", ["normalized"]), (MARK + "<P>", ["special"]),
       ("the", ["normalized", "single_word"]), ("\u2603", ["special"])]


def file(tokens, merges, normalizer, pre_tokenizer, strips, rows=(), normalized=False, ignore_merges=False):
    vocab = {t: i for i, t in enumerate(SPECIALS + [f"<0x{b:02X}>" for b in range(256)])}
    for t in tokens:
        vocab.setdefault(t, len(vocab))
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added(vocab, rows, normalized),
            "normalizer": sequence("normalizers", normalizer), "pre_tokenizer": pre_tokenizer, "post_processor": None,
            "decoder": sequence("decoders", [BACK, BYTES, FUSE] + [STRIP] * strips),
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": ignore_merges, "vocab": vocab, "merges": merges}}


def files(corpus, vocab=1500, letters=70):
    """Names and files, of which all share a few models."""
    words, across = learned(corpus, vocab, letters, False), learned(corpus, vocab, letters, True)
    for tokens, _ in (words, across):
        tokens.extend(["zq", MARK + "zq"])     # that no merges make
    llama = [PREPEND, REPLACE]
    yield "Llama 2", file(*words, llama, None, 1)
    yield "Llama 2 with odd added tokens", file(*words, llama, None, 1, ODD)
    yield "Llama 2, special tokens normalized", file(*words, llama, None, 1, ODD, normalized=True)
    yield "Llama 2, merges across words", file(*across, llama, None, 1, ODD)
    yield "Llama 2, ignore_merges", file(*words, llama, None, 1, ODD, ignore_merges=True)
    for scheme in ("first", "always", "never"):
        yield f"Metaspace {scheme}", file(*words, [], metaspace(scheme, False), scheme != "never", ODD)
        yield f"Metaspace {scheme}, split", file(*words, [], metaspace(scheme, True), scheme != "never", ODD)
    yield "Metaspace, merges across words", file(*across, [], metaspace("first", False), 1)
    yield "Metaspace, split, ignore_merges", file(*across, [], metaspace("first", True), 1, ODD, ignore_merges=True)
    yield "both", file(*words, llama, metaspace("always", True), 1, ODD)
    yield "Replace alone", file(*words, [REPLACE], None, 0, ODD)
    yield "NFC, Prepend, Replace", file(*words, [NFC, PREPEND, REPLACE], None, 1, ODD)
    runs = (words[0] + [MARK * 2, MARK * 4], [[MARK, MARK], [MARK * 2, MARK * 2]] + words[1])
    yield "marks that merge", file(*runs, llama, None, 1)
    few = ([t for t in words[0] if "\n" not in t] + ["c", "<0x0A><0x0A>", "<0x0A>c"],
           [m for m in words[1] if "\n" not in "".join(m)] + [["<0x0A>", "<0x0A>"], ["<0x0A>", "c"]])
    yield "bytes that merge", file(*few, llama, None, 1)
    no_mark = ([t for t in words[0] if MARK not in t], [m for m in words[1] if MARK not in "".join(m)])
    yield "the mark has no token", file(*no_mark, llama, None, 1)
