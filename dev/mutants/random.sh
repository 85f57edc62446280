#!/bin/sh
# Plants so many random mutants into copies of the kernels, each by itself, and runs its layer's tests on dev/simt.
#
#   dev/mutants/random.sh SEED COUNT [SKIP]     run it in the project's folder; SKIP: leaves out so many of the first
#
# One line for each: caught, or SURVIVED with the edit. A mutant that does not compile is none, and the next takes its place.
# Ends with 3 when more than one in twenty survives, of fewer than forty more than one; with 2 when none is caught. CXX,
# JOBS (2) and SIMT (the folder of objects, build/dev/simt if they are there and up to date) from the environment.
set -eu
seed=$1 count=$2 skip=${3:-0} jobs=${JOBS:-2}
[ "$jobs" -le "$count" ] || jobs=$count
root=$PWD work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cxx=${CXX:-g++} flags="-std=c++20 -O1 -fopenmp -Wno-unknown-pragmas"
$cxx -std=c++20 -O1 -o "$work/random_mutants" dev/mutants/random_mutants.cpp
"$work/random_mutants" "$seed" <dev/mutants/files.txt >"$work/mutants"

# What all mutants share.
mkdir "$work/shared"
if [ -e "${SIMT:=build/dev/simt}/block.o" ] && [ -z "$(find dev/simt -maxdepth 1 -name "*.*" -newer "$SIMT/block.o" -type f)" ]; then
    cp "$SIMT"/*.o "$work/shared"
else
    printf '%s\n' dev/simt/*.cpp |
        xargs -P "$jobs" -I{} sh -c "$cxx $flags -I. -c -o $work/shared/\$(basename {} .cpp).o {}"
fi
for part in gemm threads; do $cxx $flags -O2 -I. -c -o "$work/shared/$part.o" "host/reference/$part.cpp"; done

# The mutant number $1 of the list, as name, layer, file, number, from, to.
field() { awk -v n="$1" -v key="$2: " '/^mutant: / { k++ } k == n && index($0, key) == 1 { print substr($0, length(key) + 1); exit }' "$work/mutants"; }
# Plants number $1 in folder $2 and runs its tests: 0 survived, 1 caught, 2 does not compile.
try() {
    rm -rf "$2"; mkdir -p "$2"
    cp -r "$root/kernels" "$2/kernels"; ln -s "$root/host" "$root/dev" "$2"
    file=$(field "$1" file) layer=$(field "$1" layer)
    dev/mutants/plant.sh "$(field "$1" from)" "$(field "$1" to)" "$(field "$1" number)" \
        <"$root/kernels/$file" >"$2/kernels/$file" || { echo "the edit of $file is not found"; return 2; }
    (cd "$2" && $cxx $flags -I. -I"$root/dev/simt/include" -x c++ -c -o layer.obj "dev/test/kernels/$layer.cu" &&
        $cxx -fopenmp -o layer layer.obj "$work/shared"/*.o -lgtest_main -lgtest -lboost_context ${LIBS:-}) >"$2/log" 2>&1 || return 2
    (cd "$2" && OMP_NUM_THREADS=1 timeout "${TIMEOUT:-120}" ./layer --gtest_brief=1 --gtest_fail_fast >log 2>&1) || return 1
    return 0
}
# Every mutant whose number is $1 modulo the jobs, until enough have compiled.
worker() {
    wanted=$(((count + jobs - 1 - $1) / jobs)) number=$((skip + 1 + $1)) all=$(grep -c '^mutant: ' "$work/mutants")
    while [ "$wanted" -gt 0 ] && [ "$number" -le "$all" ]; do
        status=0
        try "$number" "$work/job$1" || status=$?
        name=$(field "$number" mutant)
        case $status in
            0) echo "$name: SURVIVED the tests of $(field "$number" layer): $(field "$number" from)  ->  $(field "$number" to)" ;;
            1) echo "$name: caught by $(field "$number" layer)" ;;
        esac
        [ "$status" = 2 ] || wanted=$((wanted - 1))
        number=$((number + jobs))
    done
}
job=0
while [ "$job" -lt "$jobs" ]; do worker "$job" >"$work/said$job" & job=$((job + 1)); done
wait
cat "$work"/said* | sort
caught=$(cat "$work"/said* | grep -c ': caught by ') || true
survived=$(cat "$work"/said* | grep -c ': SURVIVED ') || true
echo "seed $seed: $caught caught, $survived survived"
allowed=$(((caught + survived) / 20))
[ "$caught" -gt 0 ] || exit 2
[ "$survived" -le "$((allowed > 1 ? allowed : 1))" ] || exit 3
