#!/bin/sh
# fuzz.sh SECONDS FOLDER TARGET...: runs each target for so many seconds, two at a time, from the seeds and what earlier
# runs found worth keeping (FOLDER/corpus/TARGET). A finding's input and log stay in FOLDER.
set -eu
seconds=$1 folder=$2
shift 2
seeds=$(dirname "$0")/seeds.sh
run() {
    corpus=$folder/corpus/$1
    mkdir -p "$corpus"
    "$seeds" "$1" "$corpus"
    options="-max_total_time=$seconds -rss_limit_mb=512 -timeout=5 -max_len=16384 -print_final_stats=1 -artifact_prefix=$folder/$1."
    # Allocations are watched too: one larger than this for 16 KiB of input is a bug.
    ASAN_OPTIONS=max_allocation_size_mb=256 "$folder/$1" $options -dict="$(dirname "$0")/words.txt" "$corpus" >"$folder/$1.log" 2>&1
}
failed=""
while [ $# -gt 0 ]; do
    first=$1 second=${2:-}
    run "$first" & one=$!
    if [ -n "$second" ]; then run "$second" & two=$!; fi
    wait "$one" || failed="$failed $first"
    if [ -n "$second" ]; then wait "$two" || failed="$failed $second"; fi
    for target in $first $second; do
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$target.log") inputs"
    done
    shift; [ $# -eq 0 ] || shift
done
[ -z "$failed" ] && exit 0
for target in $failed; do
    echo "error: $target: found a bad input; $folder/$target.log ends with:" >&2
    tail -n 40 "$folder/$target.log" >&2
done
exit 1
