#!/bin/sh
# Tiny Shakespeare on a laptop: a model of characters learns to write plays.   dev/recipes/tiny_shakespeare.sh
# hardware: two cores of a CPU, 1 GB of memory
# time:     a minute
# figure:   val loss < 1.735, on all of the validation text
# source:   nanoGPT's README has 1.88 for these settings, its "less noisy" ones for a CPU
# status:   run 2026-11-27, val loss 1.7345 in 58 s
set -eu
. "$(dirname "$0")/recipe.sh"
shape="--layers 4 --dim 128 --heads 4 --context 64 --bias=false"
training="--batch 12 --steps 2000 --lr 1e-3 --min-lr 1e-4 --warmup 100"

text=$data/tinyshakespeare.txt
base=${BASE_URL:-https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare}
get "$base/input.txt" "$text" 1115394
plan $shape --batch 12
train tiny_shakespeare --data "$text" --tokenizer char $shape $training --eval-every 0 --sample-every 0
reached "val loss" "$(final_loss tiny_shakespeare)"
