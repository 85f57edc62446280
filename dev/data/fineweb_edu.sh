#!/bin/sh
# FineWeb-Edu in GPT-2's tokens, as llm.c's shards of 100 million (200 MB each), the first COUNT of 1000 and one to
# validate, into data/fineweb_edu (or the folder given).   dev/data/fineweb_edu.sh [COUNT [FOLDER]]
set -eu
. "$(dirname "$0")/fetch.sh"
count=${1:-10} folder=${2:-data/fineweb_edu}
case $count in '' | *[!0-9]* | 0) echo "error: $count: is not a number of shards, 1 to 1000" >&2; exit 2 ;; esac
[ "$count" -le 1000 ] || { echo "error: $count: there are 1000 shards" >&2; exit 2; }
base=${BASE_URL:-https://huggingface.co/datasets/karpathy/fineweb-edu-100B-gpt2-token-shards/resolve/main}
fetch "$base/edu_fineweb_val_000000.bin" "$folder/edu_fineweb_val_000000.bin"
i=1
while [ "$i" -le "$count" ]; do
    shard=edu_fineweb_train_$(printf %06d "$i").bin
    fetch "$base/$shard" "$folder/$shard"
    i=$((i + 1))
done
steps=$((count * 100000000 / 524288)) warmup=$((count * 100000000 / 524288 / 27 + 1))
echo "next, GPT-2 124M, $steps steps of half a million tokens, once through:"
echo "./train_gpt --model gpt2 --data '$folder/edu_fineweb_train_*.bin' --val $folder/edu_fineweb_val_000000.bin --batch 16 --context 1024 --total-batch 524288 --steps $steps --lr 6e-4 --min-lr 0 --warmup $warmup --weight-decay 0.1 --beta2 0.95 --eval-every 250$(dtype)"
