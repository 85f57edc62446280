#!/bin/sh
# Checks for the libraries the build needs; installs what is missing when it may, else prints the command.
# `setup.sh fuzz` does so for the compiler of `make fuzz`, `setup.sh format` for the formatter of `make format`,
# `setup.sh tidy` for `make tidy`, `setup.sh ranks` for training with several ranks.
set -eu
missing=""
need() { [ -e "/usr/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ] || [ -e "/usr/local/include/$1" ] || missing="$missing $2"; }

compiler=${CXX:-g++}
command -v "${compiler##* }" >/dev/null || missing="$missing g++"
need fmt/core.h libfmt-dev
need nlohmann/json.hpp nlohmann-json3-dev
need CLI/CLI.hpp libcli11-dev
need xxhash.h libxxhash-dev
need gtest/gtest.h libgtest-dev
need boost/context/fiber.hpp libboost-context-dev
if [ "${1:-}" = fuzz ]; then
    fuzzer=${FUZZ_CXX:-$(command -v clang++ || echo clang++-14)} fuzzer=${fuzzer##* }
    command -v "$fuzzer" >/dev/null || missing="$missing clang-14"
    # The sanitizers' runtimes are a package of their own, only recommended by the compiler's.
    [ -e "$("$fuzzer" -print-resource-dir 2>/dev/null)/lib/linux/libclang_rt.fuzzer-$(uname -m).a" ] ||
        missing="$missing libclang-rt-14-dev"
    [ -e "$("$fuzzer" -print-resource-dir 2>/dev/null)/include/omp.h" ] || missing="$missing libomp-14-dev"
fi
[ "${1:-}" != format ] || command -v "${CLANG_FORMAT:-clang-format-14}" >/dev/null || missing="$missing clang-format-14"
if [ "${1:-}" = ranks ]; then
    command -v mpicc >/dev/null || missing="$missing libopenmpi-dev"
    command -v mpirun >/dev/null || missing="$missing openmpi-bin"
fi
[ "${1:-}" != tidy ] || command -v clang-tidy >/dev/null || missing="$missing clang-tidy"
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
    echo "error: missing libraries:$missing; install them with your package manager (these are their Debian names)" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then sudo=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo="sudo"
else echo "error: missing libraries:$missing; run: sudo $install" >&2; exit 1
fi
echo "installing$missing"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo $install >/dev/null
