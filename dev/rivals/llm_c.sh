#!/bin/sh
# Times llm.c's GPT-2 124M (64 x 1024) and 1558M (16 x 1024) on random tokens:   dev/rivals/llm_c.sh LLM_C_FOLDER [USE_CUDNN=1]
set -eu
[ -f "${1:-}/train_gpt2.cu" ] || { echo "usage: $0 FOLDER_OF_LLM.C [USE_CUDNN=1]; see dev/rivals/README.md" >&2; exit 2; }
cd "$1"
make train_gpt2cu NO_MULTI_GPU=1 "${2:-USE_CUDNN=0}"
shard=$(mktemp -d)
trap 'rm -rf "$shard"' EXIT
# A header of 256 numbers (magic, version, 2,000,000 tokens), then two bytes a token.
{ printf '\210\330\064\001\001\000\000\000\200\204\036\000'; head -c 1012 /dev/zero
  head -c 4000000 /dev/urandom | base64 | tr -d '\n' | head -c 4000000; } >"$shard/random.bin"
time_model() {                                    # time_model NAME BATCH
    ./train_gpt2cu -i "$shard/random.bin" -j "$shard/random.bin" -e "$1" -b "$2" -t 1024 -d $(($2 * 1024)) -r 0 -x 20 \
        -v 1000000 -m 1 -s 0 -g 0 -h 0 -c 0.1 >"$shard/log" 2>&1 || { tail -n 3 "$shard/log"; return 1; }
    grep '^step' "$shard/log"
    sed -n 's/^step.*| \([0-9.]*\) ms |.*/\1/p' "$shard/log" | tail -n +6 | sort -n |
        awk -v name="$1" -v tokens=$(($2 * 1024)) \
            '{ ms[NR] = $1 } END { if (!NR) { print "too few steps"; exit 1 }
                m = ms[int((NR + 1) / 2)]; printf "llm.c %s: %.2f ms a step, %.0f tokens/s\n", name, m, tokens / m * 1000 }'
}
failed=""
time_model d12 64 || failed="$failed d12"
time_model d48 16 || failed="$failed d48"
[ -z "$failed" ] || { echo "error: llm.c: failed:$failed" >&2; exit 1; }
