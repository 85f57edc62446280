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
# "[==========] 4 tests from 2 test suites ran.", "[  PASSED  ] 3 tests.", "[  SKIPPED ] 1 test.": what is left has failed. A
# share that ends badly although its tests passed, or before its end, counts as one more.
number() { sed -n "s/^\[$1\] \([0-9]*\) tests\{0,1\}[., ].*/\1/p" "$2" | tail -n 1 | grep . || echo 0; }
share=0 passed=0 failed=0 skipped=0
for process in $processes; do
    log=$logs/$share code=0
    wait "$process" || code=$?
    cat "$log"
    ok=$(number '  PASSED  ' "$log") left_out=$(number '  SKIPPED ' "$log")
    bad=$(($(number ========== "$log") - ok - left_out))
    if { [ $code != 0 ] && [ $bad = 0 ]; } || ! grep -q '^\[==========\] .* ran' "$log"; then
        echo "share $share ended with $code"
        bad=$((bad + 1))
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left_out)) share=$((share + 1))
done
echo "$1 in $shares shares, $skipped skipped:"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
