#!/bin/sh
# Profiles steps of training on a GPU: see dev/doc/profiling.md.
#
#   dev/profile.sh nsys [FLAGS OF train_gpt...]            where the time goes: nsys.nsys-rep and tables of kernels, ranges
#   dev/profile.sh ncu KERNEL [FLAGS OF train_gpt...]      why one kernel takes its time: ncu.ncu-rep
#
# STEPS=10:12 chooses the steps. Without flags it trains GPT-2 124M in bf16 on the stories.
# What train_gpt reads and nsys or ncu write is where you are.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
program=$root/train_gpt
[ "$root" != "$(pwd -P)" ] || program=./train_gpt
usage() { sed -n 's/^# \{0,1\}//; 2,8p' "$0"; exit 2; }
[ $# -ge 1 ] || usage
tool=$1
shift
case $tool in
    nsys) kernel="" ;;
    ncu) [ $# -ge 1 ] || usage; kernel=$1; shift ;;
    *) usage ;;
esac
command -v "$tool" >/dev/null || { echo "error: $tool: is not on PATH; it comes with Nsight" >&2; exit 1; }
steps=${STEPS:-10:12}
[ $# -gt 0 ] || set -- --model gpt2 --dtype bf16 --batch 16
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
set -- "$program" train --device cuda "$@" --steps "${steps#*:}" --profile-steps "$steps" --eval-every 0 \
    --sample-tokens 0 --out "$out/run"

case $tool in
    nsys)
        nsys profile --trace=cuda,nvtx,cublas --cuda-graph-trace=node --sample=none --cpuctxsw=none \
            --capture-range=cudaProfilerApi --capture-range-end=stop --force-overwrite=true -o nsys "$@"
        nsys stats --report cuda_gpu_kern_sum --report nvtx_sum --report cuda_gpu_mem_time_sum nsys.nsys-rep ;;
    ncu)
        # The clocks stay as they are: a step runs at the clocks it gets.
        ncu --profile-from-start off --clock-control none --set full --import-source yes --nvtx \
            --kernel-name "regex:$kernel" --launch-count "${COUNT:-3}" --force-overwrite -o ncu "$@"
        ncu --import ncu.ncu-rep --page details --print-summary per-kernel ;;
esac
