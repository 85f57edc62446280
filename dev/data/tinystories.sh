#!/bin/sh
# TinyStories, second version, 2.2 GB of short tales, into data/tinystories (or the folder given).   dev/data/tinystories.sh [FOLDER]
set -eu
. "$(dirname "$0")/fetch.sh"
folder=${1:-data/tinystories}
base=${BASE_URL:-https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main}
for part in train valid; do fetch "$base/TinyStoriesV2-GPT4-$part.txt" "$folder/TinyStoriesV2-GPT4-$part.txt"; done
echo "next:"
echo "./train_gpt --model baby --data $folder/TinyStoriesV2-GPT4-train.txt --val $folder/TinyStoriesV2-GPT4-valid.txt --tokenizer word --context 256 --batch 32 --steps 20000 --lr 1e-3 --dropout 0$(dtype)"
