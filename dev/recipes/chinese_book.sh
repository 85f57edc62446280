#!/bin/sh
# A Chinese book on a laptop, a character at a time.   dev/recipes/chinese_book.sh BOOK.txt (some 500,000 characters)
# hardware: two cores of a CPU, 2 GB of memory
# time:     about 12 minutes
# figure:   val loss < 6.69, what knowing how frequent each character is would give: 9.65 bits
# source:   Feng Zhiwei's count of the entropy of Chinese characters, 9.65 bits
# status:   not yet run
set -eu
. "$(dirname "$0")/recipe.sh"
shape="--layers 4 --dim 256 --heads 8 --context 128"
training="--batch 16 --steps 3000 --lr 1e-3 --warmup 150 --dropout 0.1"

book=${1:-}
if [ -n "$dry" ]; then book=$dry/book.txt; toy_file "$book"; fi
[ -f "$book" ] || { echo "error: which book? example: dev/recipes/chinese_book.sh book.txt" >&2; exit 2; }
plan $shape --batch 16 --vocab 5000
train chinese_book --data "$book" --tokenizer char $shape $training --eval-every 250 --sample-every 500
reached "val loss" "$(final_loss chinese_book)"
