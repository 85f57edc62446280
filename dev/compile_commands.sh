#!/bin/sh
# Prints compile_commands.json for clangd and clang-tidy: what `make` would call to compile each file on the CPU.
set -eu
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL
make -nB train_gpt_simt test_gpt_simt | awk -v folder="$PWD" '
    / -c -o / {
        gsub(/\\/, "\\\\"); gsub(/"/, "\\\"")
        printf "%s\n{\"directory\": \"%s\", \"file\": \"%s\", \"command\": \"%s\"}", seen++ ? "," : "[", folder, $NF, $0
    }
    END { print "\n]" }'
