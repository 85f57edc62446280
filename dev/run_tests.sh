#!/bin/sh
# Runs the tests of a program in shares, one for each core (or SHARES), and ends with a line "N passed, N failed".
#
#   dev/run_tests.sh PROGRAM [--gtest_filter=...]
#
# Each share has one thread; tests of threads ask for more themselves. Files of tests go to memory where it can hold them.
set -u
shares=${SHARES:-$(nproc)}
export OMP_NUM_THREADS=1 TEST_TMPDIR="${TEST_TMPDIR:-$([ -w /dev/shm ] && echo /dev/shm/)}"
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM
share=0 processes=""
while [ $share -lt "$shares" ]; do
    GTEST_TOTAL_SHARDS=$shares GTEST_SHARD_INDEX=$share "$@" --gtest_brief=1 >"$logs/$share" 2>&1 &
    processes="$processes $!" share=$((share + 1))
done
share=0 crashed=0
for process in $processes; do
    code=0
    wait "$process" || code=$?
    grep -q '^\[  PASSED  \]' "$logs/$share" || { crashed=$((crashed + 1)); echo "share $share ended with $code"; }
    cat "$logs/$share"
    share=$((share + 1))
done
# "[  PASSED  ] 3 tests." and, where there are any, "[  FAILED  ] 1 test, listed below:" and the same of SKIPPED.
count() { cat "$logs"/* | sed -n "s/^\[  $1 *\] \([0-9]*\) tests\{0,1\}[.,].*/\1/p" | awk '{ sum += $1 } END { print sum + 0 }'; }
passed=$(count PASSED) failed=$(($(count FAILED) + crashed)) skipped=$(count SKIPPED)
echo "$1 in $shares shares, $skipped skipped:"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
