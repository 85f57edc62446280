#!/bin/sh
# Makes bundle/, for a GPU machine where nothing can be built or installed: the portable programs, what their tests
# read, and the scripts. Called by `make bundle`, with the folder of the programs and the architectures of their kernels.
#
#   dev/bundle.sh FOLDER ARCH... makes it, and checks that it is small and needs nothing but glibc and CUDA
#   dev/bundle.sh --trial        runs its CPU parts in a root that holds nothing else (needs root, or user namespaces)
set -eu

# Libraries a program asks for beyond those every glibc has.
outside() { objdump -p "$1" | awk '/NEEDED/ { print $2 }' | grep -Ev '^(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so' || true; }
glibc() { for p in "$@"; do objdump -T "$p"; done | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | tr _ ' '; }

if [ "$1" = --trial ]; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    cp -r bundle/* "$root"
    mkdir "$root/tmp"
    ldd bundle/train_gpt bundle/test_gpt | grep -o '/[^ ]*' | grep -v ':$' | sort -u | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    echo "the root holds: $(cd "$root" && find . -name '*.so*' | tr '\n' ' ')"
    PATH=$PATH:/usr/sbin:/sbin
    mkdir -p "$root/dev/pts" "$root/proc"
    for node in null zero full; do : >"$root/dev/$node"; done
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s pts/ptmx "$root/dev/ptmx"
    # /proc and these devices are shown to the programs in a mount namespace of their own, which ends with them. There is
    # no shell in there: chroot starts them itself, in / with the bundle's files beside.
    inside() {
        # shellcheck disable=SC2016
        unshare $rootless --mount sh -c \
            'for node in null zero full; do mount --bind "/dev/$node" "$0/dev/$node"; done
            mount --rbind /dev/pts "$0/dev/pts" && mount --rbind /proc "$0/proc" && exec env -i "$(command -v chroot)" "$0" "$@"' "$root" "$@"
    }
    rootless=""
    [ "$(id -u)" = 0 ] || rootless=--map-root-user
    inside /train_gpt --device cpu --steps 20 --eval-sequences 16 --sample-tokens 40 --out /tmp/run
    away="data_scripts.*:gpu_check.*:run_tests.*:threads.same_bits_whatever_OMP_variables_say"  # need a shell
    away="$away:remembered_check.nowhere_to_keep_it"                                            # needs a home
    inside /test_gpt --gtest_brief=1 --gtest_filter="${TESTS:-*}-$away"
    echo "bundle: the trial passed"
    exit
fi

programs=$1
shift
kernels=$(dev/gpu_arch.sh --words "$@")
rm -rf bundle
mkdir -p bundle/dev/oracle bundle/dev/data bundle/dev/results
cp "$programs/train_gpt" "$programs/test_gpt" bundle/
cp dev/gpu_check.sh dev/profile.sh bundle/dev/
cp -r dev/oracle/*.safetensors dev/oracle/models dev/oracle/*.json bundle/dev/oracle/
cp dev/data/*.sh bundle/dev/data/
cp dev/results/*.json bundle/dev/results/
cat >bundle/README <<TEXT
gpt.cu, ready to run on x86-64 Linux with an NVIDIA driver, on GPUs from Ampere (compute capability 8.0) on. Inside are
kernels for $kernels. Machine code also runs on later GPUs
of the same first number; for others the driver compiles the PTX, which takes minutes, once. Kernels that only tests
have are PTX from 10.0 on.

    dev/gpu_check.sh                 checks everything and measures it, in less than 9 minutes
    ./train_gpt                      trains on the built-in stories
    ./test_gpt                       every test;  ./test_gpt --bench  every benchmark
    dev/profile.sh                   profiles training with Nsight Systems or Nsight Compute

Run them in this folder. They use cuBLASLt if they find it where LD_LIBRARY_PATH or the system's loader looks, or in
the folder that GPT_CUBLASLT names (PyTorch's wheels have it in nvidia/cu13/lib), and say so if they do not.
TEXT
size=$(du -sm bundle | cut -f1)
foreign=$(for p in bundle/train_gpt bundle/test_gpt; do outside $p; done | sort -u | grep -Ev '^lib(cuda|nccl|cudnn.*)\.so' || true)
[ -z "$foreign" ] || { echo "error: bundle: needs $foreign, which a machine may not have" >&2; exit 1; }
[ "$size" -le 128 ] || { echo "error: bundle: $size MiB are more than 128" >&2; exit 1; }
cuda=$(for p in bundle/train_gpt bundle/test_gpt; do outside $p; done | sort -u | tr '\n' ' ')
needs=$(glibc bundle/train_gpt bundle/test_gpt)
echo "bundle: $size MiB, needs $needs or newer, and of CUDA: ${cuda:-the driver alone}; kernels for $kernels"
