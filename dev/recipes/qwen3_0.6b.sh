#!/bin/sh
# Qwen3 0.6B fine-tuned on a text of yours.   dev/recipes/qwen3_0.6b.sh TEXT.txt (without one: Tiny Shakespeare)
# hardware: one GPU with 24 GB, of compute capability 8.0 or newer, 30 GB of disk
# time:     about 10 minutes on an H100 at 100,000 tokens/s; several times as long on a smaller one
# figure:   memory < 24 GB by plan; the loss of the text's last tenth is lower than before
# source:   plan, and eval of the model as it was fetched
# status:   not yet run
set -eu
. "$(dirname "$0")/recipe.sh"
training="--context 1024 --batch 4 --total-batch 16384 --steps 300 --lr 2e-5 --min-lr 0 --warmup 30 --weight-decay 0.1"

model=$data/Qwen3-0.6B text=${1:-$data/tinyshakespeare.txt}
if [ -n "$dry" ]; then
    toy_model qwen3-0.6b "$model"
    toy_file "$text"
else
    for file in config.json generation_config.json tokenizer.json tokenizer_config.json model.safetensors; do
        get "${BASE_URL:-https://huggingface.co/Qwen/Qwen3-0.6B/resolve/main}/$file" "$model/$file"
    done
    [ -n "${1:-}" ] || "$here/../data/tinyshakespeare.sh" "$data" >/dev/null
fi
plan --model qwen3-0.6b --context 1024 --batch 4 --dtype bf16 --memory 24GB
lines=$(wc -l <"$text") part=$data/qwen3_text
mkdir -p "$part"
head -n $((lines * 9 / 10)) "$text" >"$part/train.txt"
tail -n +$((lines * 9 / 10 + 1)) "$text" >"$part/valid.txt"
loss_of() {
    "$program" eval --model "$1" --data "$part/valid.txt" --context "$2" --json |
        sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p'
}
context=1024
[ -z "$dry" ] || context=32
before=$(loss_of "$model" $context)
train qwen3_0.6b --model "$model/" --data "$part/train.txt" --val "$part/valid.txt" $training \
    --eval-every 50 --sample-every 100 --save-every 100
after=$(loss_of "$runs/qwen3_0.6b" $context)
say "loss of the last tenth: $before before, $after after"
echo "$before $after" | awk '{ exit !($2 < $1) }' || { say "NOT reached: it has not fallen"; exit 6; }
