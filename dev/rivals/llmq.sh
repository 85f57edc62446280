#!/bin/sh
# Times llmq's Qwen2.5-0.5B and 1.5B, bf16, 32768 tokens a step:   dev/rivals/llmq.sh LLMQ_FOLDER TOKENS.bin
# TOKENS.bin comes from its scripts/tokenize_data.py; the models' config.json from the Hugging Face cache.
set -eu
if [ ! -x "${1:-}/build/train" ] || [ ! -f "${2:-}" ]; then
    echo "usage: $0 FOLDER_OF_LLMQ TOKENS.bin; build it and make tokens first: dev/rivals/README.md" >&2
    exit 2
fi
tokens=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$1"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=""
for model in Qwen/Qwen2.5-0.5B Qwen/Qwen2.5-1.5B; do
    ./build/train --model="$model" --from-scratch --train-file="$tokens" --eval-file="$tokens" --model-dtype=bf16 \
        --matmul-dtype=bf16 --opt-m-dtype=fp32 --opt-v-dtype=fp32 --batch-size=16 --seq-len=2048 --grad-accumulation=1 \
        --steps=30 --eval-every-n-steps=1000 --eval-num-steps=1 --gpus=1 --out-dir="$out/model" --checkpoint-dir="$out" \
        --log-file="$out/log.json" >"$out/log" 2>&1 || { tail -n 3 "$out/log"; failed="$failed $model"; continue; }
    grep '^\[T\]' "$out/log" || true
    sed -n 's/.*| tps *\([0-9.]*\) *|.*/\1/p' "$out/log" | tail -n +10 | sort -n |
        awk -v name="$model" '{ x[NR] = $1 } END { if (!NR) { print "too few steps"; exit 1 }
            printf "llmq %s: %s tokens/s\n", name, x[int((NR + 1) / 2)] }' || failed="$failed $model"
done
[ -z "$failed" ] || { echo "error: llmq: failed:$failed" >&2; exit 1; }
