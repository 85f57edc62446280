"""Compares `train_gpt tokenize` with Hugging Face's tokenizers where the vocabulary is of characters, as Llama 2's is.

    python tokenizing_differ_marks.py PROGRAM [COUNT] [SEED]

Vocabularies are trained here, small enough that many characters fall back to bytes. Text and ids go both ways. Ends with an
error at the first difference."""
import json
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

from marked_files import MARK, files
from tokenizing_differ import NASTY, compare, hostile

MARKED = [MARK, MARK * 2, MARK * 3, "a" + MARK, MARK + "b", " " + MARK, MARK + " ", "<s>", "</s>", " <s>", "<s> ", "<unk>", "<0x41>", "<0x0A>",
          "<0xE5>", "<0x", "\n", "\n\n", "<l>", "<r>", "<w>", "<n>", "n>", "<P>", MARK + "<P>", " <P>", "x<w>", "<w>x", "\u0301", "e\u0301", "zq", " zq", "\u2603", "    ", "       "]


def compare_decoding(name, program, path, tokenizer, rng, texts, count):
    size = tokenizer.get_vocab_size()
    for i in range(count):
        ids = tokenizer.encode(rng.choice(texts)).ids if i % 3 == 0 else rng.choices(range(size if i % 3 == 1 else 262), k=rng.randrange(9))
        run = subprocess.run([program, "tokenize", "--tokenizer", path, "--ids", json.dumps(ids)], capture_output=True)
        have, want = run.stdout.decode()[:-1], tokenizer.decode(ids, skip_special_tokens=False)
        if run.returncode or have != want:
            sys.exit(f"{name}: {ids} {run.stderr}\n  want {want!r}\n  have {have!r}")
    print(f"{name}: {count} lists of ids: all decoded alike")


def main():
    program, count, seed = sys.argv[1], int((sys.argv + [""] * 2)[2] or 5000), int((sys.argv + [""] * 3)[3] or 1)
    rng = random.Random(seed)
    NASTY.extend(MARKED * 3)
    words = [" the", " and", " of", "King", "ing", " 1998", ",", ".", " naive", "Strasse", " don't", "x=y+1;", "    return", "\n", MARK + "the"]
    texts = [hostile(rng, words) for _ in range(count)]
    corpus = [hostile(rng, words) for _ in range(500)] + ["".join(rng.choices(words, k=30)) for _ in range(3000)]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files(corpus):
            path = folder + "/tokenizer.json"
            with open(path, "w") as out:
                json.dump(content, out)
            tokenizer = Tokenizer.from_file(path)
            for special in (True, False):
                tokenizer.encode_special_tokens = not special
                answers = dict(zip(texts, [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]))
                compare(name + (", special tokens" if special else ", as data"), program, path, answers.get, texts,
                        ["--special"] if special else [], folder, "<s>")
            compare_decoding(name, program, path, tokenizer, rng, texts, count // 20)


if __name__ == "__main__":
    main()
