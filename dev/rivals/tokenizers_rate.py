"""Bytes of text a second that one thread encodes: `train_gpt tokenize` and Hugging Face's tokenizers, in turns.

    python dev/rivals/tokenizers_rate.py ./train_gpt GPT2_FOLDER TEXT_FILE

CPU seconds, so that other work on the machine counts less; ours with reading the text and writing shards, the start of the
program (its time for a short text) taken off."""
import os
import resource
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer, models, pre_tokenizers

program, folder, path = sys.argv[1:4]
text = open(path, encoding="utf-8").read()
copies = max(1, 30_000_000 // len(text))


def ours(times):
    with tempfile.TemporaryDirectory() as temporary:
        with open(temporary + "/text.txt", "w", encoding="utf-8") as file:
            file.write(text * times if times else "short")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program, "tokenize", "--tokenizer", folder, "--threads", "1", "--data", temporary + "/text.txt", "--out", temporary + "/out"],
                       check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


library = Tokenizer(models.BPE.from_file(folder + "/vocab.json", folder + "/merges.txt"))
library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
documents = [text[i:i + 10000] for i in range(0, len(text), 10000)]
library.encode_batch(documents)                  # fills its cache of words


def theirs():
    start = time.process_time()
    library.encode_batch(documents)
    return time.process_time() - start


size = len(text.encode())
for _ in range(3):
    mine, other = size * copies / (ours(copies) - ours(0)), size / theirs()
    print(f"train_gpt {mine / 1e6:.1f} MB/s, tokenizers {other / 1e6:.1f} MB/s: {mine / other:.1f} times")
