#!/bin/sh
# Karpathy's Tiny Shakespeare, 1.1 MB of plays, into data/ (or the folder given).   dev/data/tinyshakespeare.sh [FOLDER]
set -eu
. "$(dirname "$0")/fetch.sh"
text=${1:-data}/tinyshakespeare.txt
fetch "${BASE_URL:-https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare}/input.txt" "$text"
[ "$(wc -c <"$text")" -eq 1115394 ] || { echo "error: $text: is not the file of 1115394 bytes; delete it and try again" >&2; exit 3; }
echo "next, nanoGPT's settings for a CPU:"
echo "./train_gpt --data $text --tokenizer char --layers 4 --context 64 --batch 12 --steps 2000 --lr 1e-3 --min-lr 1e-4 --warmup 100 --bias=false"
