#!/bin/sh
# The architectures to compile kernels for, as GPU_ARCH in the Makefile takes them: 90 is machine code for compute
# capability 9.0, compute_90 is PTX, which the driver compiles for every GPU from 9.0 on.
#
#   dev/gpu_arch.sh NVCC...                for this machine's GPUs; without one that can run the kernels, for any
#   dev/gpu_arch.sh --portable NVCC...     for any, as far as this nvcc knows them
#   dev/gpu_arch.sh --words ARCH...        what a list means
#
# One line on stderr says what was chosen, and why. sm_90a is what dev/budget looks at.
set -eu

version() { echo "$1" | sed 's/^compute_//; s/\(.\)[a-z]*$/.\1/'; }
words() {
    text=""
    for arch; do
        case $arch in
            compute_*) part="PTX from $(version "$arch") on" ;;
            *) part=$(version "$arch") ;;
        esac
        text="$text${text:+, }$part"
    done
    echo "$text"
}

if [ "$1" = --words ]; then
    shift
    words "$@"
    exit
fi
portable=""
[ "$1" != --portable ] || { portable=1; shift; }
known=$("$@" --list-gpu-arch 2>/dev/null | sed -n 's/^compute_\([0-9]*\)$/\1/p' | sort -n)
knows() { echo "$known" | grep -qx "$1"; }

if [ "$portable" ]; then
    # Blackwell's two kinds run neither each other's machine code nor Hopper's.
    chosen="80 90a" why="a bundle"
    for arch in 100 120; do ! knows $arch || chosen="$chosen $arch"; done
    chosen="$chosen compute_80"
else
    # A tool that cannot reach its driver says so where the numbers should be.
    capabilities=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d ' \r' |
        sed -n 's/^\([0-9][0-9]*\)\.\([0-9]\)$/\1\2/p' | sort -nu) || capabilities=""
    # What nvcc does not know yet gets the newest PTX that it can run.
    chosen=$(for capability in $capabilities; do
        [ "$capability" -ge 80 ] || continue
        if knows "$capability"; then
            echo "$capability"
        else
            echo "$known" | awk -v most="$capability" '80 <= $1 && $1 <= most { newest = $1 }
                END { if (newest) print "compute_" newest }'
        fi
    done | sed 's/^90$/90a/' | sort -u | tr '\n' ' ')
    chosen=${chosen% } why="this machine's GPU"
    # One compilation is enough to build with; GPU_ARCH or a bundle has more.
    [ "$chosen" ] || chosen="80 compute_80" why="no GPU from 8.0 on is here"
fi
echo "kernels for $(words $chosen) ($why)" >&2
echo "$chosen"
