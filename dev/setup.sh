#!/bin/sh
# Checks for the libraries the build needs; installs what is missing when it may, else prints the command.
set -eu
missing=""
need() { [ -e "/usr/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ] || [ -e "/usr/local/include/$1" ] || missing="$missing $2"; }

compiler=${CXX:-g++}
command -v "${compiler##* }" >/dev/null || missing="$missing g++"
[ "${DNNL:-1}" = 0 ] || need dnnl.hpp libdnnl-dev
need fmt/core.h libfmt-dev
need utf8proc.h libutf8proc-dev
need nlohmann/json.hpp nlohmann-json3-dev
need CLI/CLI.hpp libcli11-dev
need xxhash.h libxxhash-dev
need gtest/gtest.h libgtest-dev
need boost/context/fiber.hpp libboost-context-dev
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
