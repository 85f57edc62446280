#!/bin/sh
# TinyStories, 10M parameters, on two cores overnight.   dev/recipes/tinystories_10m.sh
# hardware: two cores of a CPU, 4 GB of memory, 8 GB of disk
# time:     about 10 hours, at 2900 tokens/s
# figure:   bits per byte < 0.76, of all validation stories
# source:   SauravP97/tiny-stories-3M of the Hugging Face Hub: loss 2.17 after 0.22 epochs, some 4.1 bytes a token
# status:   not yet run
set -eu
. "$(dirname "$0")/recipe.sh"
shape="--layers 9 --dim 288 --heads 6 --context 256 --tied"
training="--batch 16 --steps 26000 --lr 1e-3 --min-lr 1e-5 --warmup 500 --dropout 0"

folder=$data/tinystories
base=${BASE_URL:-https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main}
for part in train valid; do get "$base/TinyStoriesV2-GPT4-$part.txt" "$folder/TinyStoriesV2-GPT4-$part.txt"; done
train=$folder/TinyStoriesV2-GPT4-train.txt valid=$folder/TinyStoriesV2-GPT4-valid.txt
vocabulary=4096
[ -z "$dry" ] || vocabulary=300
[ -d "$folder/bpe" ] ||
    "$program" tokenize --train-bpe $vocabulary --data "$train" --special-tokens '<|endoftext|>' --out "$folder/bpe"
[ -d "$folder/tokens" ] ||
    "$program" tokenize --tokenizer "$folder/bpe" --special --data "$train" --out "$folder/tokens"
plan $shape --batch 16 --vocab 4096
train tinystories_10m --data "$folder/tokens/*.bin" --val "$valid" --tokenizer "$folder/bpe" $shape $training \
    --eval-every 1000 --sample-every 1000 --save-every 1000 --prompt "Once upon a time"
score=$("$program" eval --model "$runs/tinystories_10m" --data "$valid" --json)
reached "bits per byte" "$(echo "$score" | sed -n 's/.*"bits_per_byte": *\([0-9.]*\).*/\1/p')"
