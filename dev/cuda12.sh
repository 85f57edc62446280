#!/bin/sh
# Compiles with CUDA 12.4, the oldest that is supported, on a machine that has another or none: its compiler is unpacked
# into build/cuda12, and nothing is installed. Debian 13 has nvcc and its front ends, PyPI the rest.
#
#   dev/cuda12.sh [FILE.cu...]    these files, or all, through the host code's front end, which sees every template
#   dev/cuda12.sh --nvcc          prints the path of nvcc:  make train_gpt BUILD=build/12 NVCC=$(dev/cuda12.sh --nvcc)
#
# Without network nothing is checked, which is said; --nvcc fails then.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/cuda12
nvcc=$folder/toolkit/bin/nvcc

# Prints what is missing, or nothing.
unpack() (
    mkdir -p "$folder/lists/partial" "$folder/wheels"
    cd "$folder"
    mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
        head -n 1)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} trixie non-free" >sources.list
    apt="apt-get -qq -oDir::Etc::sourcelist=$PWD/sources.list -oDir::Etc::sourceparts=- -oDir::State::Lists=$PWD/lists"
    $apt update >log 2>&1 && $apt download nvidia-cuda-toolkit >>log 2>&1 && dpkg -x nvidia-cuda-toolkit_*.deb debian ||
        { echo "Debian's package nvidia-cuda-toolkit"; return; }
    python3 -m pip download -q --no-deps -d wheels nvidia-cuda-nvcc-cu12==12.4.131 nvidia-cuda-runtime-cu12==12.4.127 \
        nvidia-cuda-cccl-cu12==12.4.127 nvidia-nvtx-cu12==12.4.127 nvidia-cuda-profiler-api-cu12==12.4.127 >>log 2>&1 ||
        { echo "PyPI's wheels of CUDA 12.4"; return; }
    for wheel in wheels/*.whl; do python3 -m zipfile -e "$wheel" wheels; done

    rm -rf new
    mkdir -p new/bin new/nvvm/bin
    for tool in cudafe++ fatbinary bin2c nvlink; do cp -L debian/usr/bin/$tool new/bin; done
    cp -r debian/usr/lib/nvidia-cuda-toolkit/bin/nvcc debian/usr/lib/nvidia-cuda-toolkit/bin/crt new/bin
    cp debian/usr/lib/nvidia-cuda-toolkit/bin/cicc new/nvvm/bin
    cp wheels/nvidia/cuda_nvcc/bin/ptxas new/bin
    cp -r wheels/nvidia/cuda_nvcc/nvvm/libdevice new/nvvm
    for part in wheels/nvidia/*; do
        for kind in include lib; do [ ! -d "$part/$kind" ] || cp -r "$part/$kind" new; done
    done
    chmod -R u+x new/bin new/nvvm/bin
    cat >new/bin/nvcc.profile <<'PROFILE'
TOP = $(_HERE_)/..
CICC_PATH = $(TOP)/nvvm/bin
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES += "-I$(TOP)/include" $(_SPACE_)
LIBRARIES =+ $(_SPACE_) "-L$(TOP)/lib"
PROFILE
    mv new toolkit
    rm -rf debian lists wheels ./*.deb
)

if [ ! -x "$nvcc" ]; then
    missing=$(unpack)
    if [ -n "$missing" ]; then
        echo "CUDA 12.4 was not tried: there is no way to get $missing (see $folder/log)" >&2
        [ "${1:-}" != --nvcc ] || exit 1
        exit 0
    fi
fi
case ${1:-} in
    --nvcc) echo "$nvcc" ;;
    --front)                                     # one file, called below: what nvcc would do, up to cudafe++
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        # cuBLASLt's header of 12.4 is not unpacked, and one of another CUDA may be where compilers look.
        "$nvcc" --dryrun --keep --keep-dir "$work" -cuda -std=c++20 -arch=sm_80 -I. --expt-relaxed-constexpr \
            -DGPT_NO_CUBLAS_HEADER -Werror all-warnings -o "$work/out.ii" "$2" 2>&1 | sed -n 's/^#\$ //p' |
            sed -n '/^gcc /p; /^cudafe++ /{p; q}' >"$work/commands"
        PATH=${nvcc%/*}:$PATH sh -e "$work/commands" && grep -q '^cudafe++' "$work/commands" && exit
        echo "error: CUDA 12.4 does not compile $2" >&2
        exit 1
        ;;
    *)
        [ $# -gt 0 ] || set -- *.cu kernels/*.cu kernels/instances/*.cu dev/test/*/*.cu dev/bench/*.cu
        printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$0" --front
        echo "CUDA 12.4 compiles $# files"
        ;;
esac
