#!/bin/sh
# GPT-2 124M on 10 billion tokens of FineWeb.   dev/recipes/gpt2_124m.sh
# hardware: one H100 with 80 GB, 22 GB of disk
# time:     about 4 h 40 min, at 600,000 tokens/s
# figure:   val loss < 3.29, HellaSwag acc_tokens > 30.5
# source:   llm.c's discussion 481 and its scripts/run_gpt2_124M.sh, whose settings these are
# status:   not yet run
set -eu
. "$(dirname "$0")/recipe.sh"
ranks=${RANKS:-1}
shape="--model gpt2 --context 1024"
training="--batch 64 --total-batch 524288 --steps 18865 --lr 6e-4 --min-lr 0 --warmup 700"
optimizer="--weight-decay 0.1 --beta2 0.95"

folder=$data/fineweb10b count=99 bytes=200001024
if [ -n "$dry" ]; then count=2; fi
base=${BASE_URL:-https://huggingface.co/datasets/kjj0/fineweb10B-gpt2/resolve/889765ea1f903759787add96995d81171b632d0c}
get "$base/fineweb_val_000000.bin" "$folder/fineweb_val_000000.bin" $bytes
i=1
while [ "$i" -le "$count" ]; do
    shard=fineweb_train_$(printf %06d "$i").bin
    get "$base/$shard" "$folder/$shard" $bytes
    i=$((i + 1))
done
plan $shape --batch 64 --ranks "$ranks" --dtype bf16 --memory 80GB
train gpt2_124m $shape $training $optimizer --ranks "$ranks" --data "$folder/fineweb_train_*.bin" \
    --val "$folder/fineweb_val_000000.bin" --eval-every 250 --sample-tokens 0 --save-every 2500
reached "val loss" "$(final_loss gpt2_124m)"
[ -z "$dry" ] || exit 0  # a toy of 32 channels has nothing to say about HellaSwag
questions=$data/hellaswag_val.bin
get https://huggingface.co/datasets/karpathy/llmc-starter-pack/resolve/main/hellaswag_val.bin "$questions"
score=$("$program" eval --model "$runs/gpt2_124m" --multiple-choice "$questions" --json)
accuracy=$(echo "$score" | sed -n 's/.*"acc_tokens": *\([0-9.]*\).*/\1/p' | awk '{ print 100 * $1 }')
reached "HellaSwag acc_tokens" "$accuracy"
