#!/bin/sh
# seeds.sh TARGET FOLDER: valid inputs to start from, of the goldens and written here.
set -eu
target=$1 folder=$2
models=$(dirname "$0")/../oracle/models
put() { cat >"$folder/seed_$1"; }
little() { for n in "$@"; do printf "\\$(printf %o $((n & 255)))\\$(printf %o $((n >> 8 & 255)))\\$(printf %o $((n >> 16 & 255)))\\$(printf %o $((n >> 24 & 255)))"; done; }
zeros() { head -c "$1" /dev/zero; }

case $target in
safetensors)
    cp "$models/qwen2/answers.safetensors" "$folder/seed_answers"
    header='{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}'
    { little ${#header} 0; printf '%s' "$header"; zeros 4; } | put small ;;
config) for model in "$models"/*; do cat "$model"/*config.json | put "$(basename "$model")"; done ;;
index)
    cat "$models/llama-2/model.safetensors.index.json" | put llama
    echo '{"metadata":{"total_size":8},"weight_map":{"x":"a","y":"b"}}' | put two ;;
shard)
    { little 20240520 1 3; zeros 1012; printf 'abcdef'; } | put gpt2
    { little 20240801 7 2; zeros 1012; little 5 6; } | put llama3
    { printf 'BIN.TOK\n'; little 2 4 2 100 0; zeros 996; little 5 6; } | put llmq ;;
llmc) { little 20240326 5 2 3 1 1 2 3; zeros 992; zeros 176; } | put tiny ;;
manifest) echo '{"format":"gpt.cu checkpoint","version":1,"step":1,"sequence":1,"run":{},"files":{"config.json":{"bytes":2,
    "xxh64":"0"},"model.safetensors":{"bytes":2,"xxh64":"0"},"state.json":{"bytes":2,"xxh64":"0"}}}' | put one ;;
state) echo '{"loop":{"step":1,"samples":2,"skipped":0,"skipped_in_a_row":0,"best_val":"0x1p+0","last_val":"nan",
    "log_bytes":3},"options":{"model":"tiny","layers":2,"data":["a","b"],"lr":0.1,"steps":5}}' | put one ;;
command_line) printf '%s\n' train --model gpt2 --layers 3 --lr=1e-3 --steps 5 --data a b --total-batch 16384 | put train ;;
questions)
    echo '{"ctx":"a b","endings":["c","d e"],"label":1}' | put lines
    echo '{"activity_label":"a","ctx_a":"[header] b [title] c","ctx_b":"d E","endings":["e","[step] f"],"label":"1"}' | put hellaswag
    echo '{"question":"a","choices":{"text":["b","c"],"label":["A","B"]},"answerKey":"B"}' | put arc
    echo '{"question":{"stem":"a","choices":[{"text":"b","label":"1"},{"text":"c","label":"2"}]},"answerKey":"2"}' | put ai2
    echo '{"goal":"a","sol1":"b","sol2":"c","label":1}' | put piqa
    echo '{"sentence":"a _ b","option1":"c","option2":"d","answer":"2"}' | put winogrande
    { little 20240522 1 1 26; zeros 1008; printf '\377\377\032\0\0\0\001\0\002\0\002\0a\0b\0\001\0c\0\002\0d\0e\0'; } | put llmc ;;
run_log)
    printf '%s\n' '{"run":{"steps":3,"batch":2},"model":{"L":1},"parameters":9,"ideal_loss":0.4}' \
        '{"step":1,"loss":1.5,"loss_hex":"0x1.8p+0","lr":0.1,"grad_norm":null,"tokens":32,"ms":1.5,"tokens_per_s":9}' \
        '{"step":1,"val_loss":1.5,"seconds":2}' '{"step":1,"sample":"a b"}' | put run ;;
event_file) printf '\011\0\0\0\0\0\0\0\0\020\003' | put event ;;
prompts)
    printf 'a b\n\nc\r\n' | put lines
    printf '{"prompt":"a b"}\n"c"\n' | put json ;;
esac
for file in "$(dirname "$0")/seeds/$target"_*; do [ ! -e "$file" ] || cp "$file" "$folder/seed_$(basename "$file")"; done
