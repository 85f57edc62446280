#!/bin/sh
# One command for a machine with a GPU: every test, compute-sanitizer, every kernel's speed, training. Under 9 minutes.
#
#   dev/gpu_check.sh [DIRECTORY]       in the project's folder or in a bundle; results in DIRECTORY (gpu_check)
#
# Every stage runs whatever became of the others, and has a time limit; what matters most comes first. DIRECTORY gets
# table.txt, results.json and each stage's output, NAME.log, and after every stage all of it stands in DIRECTORY.tar, so
# that a run that is cut off loses one stage. Without a GPU the CPU's part runs. Ends with 0 if every stage that ran passed.
# TIME_SCALE=2 doubles the limits; TIME_LIMIT=300 is for all stages, in seconds (520); TESTS=FILTER runs only these of the
# tests; STAGES='tests kernels' runs only these stages.
set -u
out=${1:-gpu_check}
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "$0")/.." || exit 1
self=$PWD/dev/gpu_check.sh
scale=${TIME_SCALE:-1}
unset GTEST_TOTAL_SHARDS GTEST_SHARD_INDEX        # of a test that runs this script

# A test or two of every kernel.
run_smoke() {
    ./test_gpt --gtest_brief=1 --gtest_filter='*.kernels:attention.causal:attention.tensor:linear.tensor:linear.plans:gpt_gpu.gradients' &&
        echo "every kernel works"
}

run_tests() {                                    # in shares, side by side
    shares=$(($(nproc) / 4))
    [ "$shares" -ge 1 ] || shares=1
    [ "$shares" -le 4 ] || shares=4
    status=0 share=0 processes=""
    while [ $share -lt $shares ]; do
        GTEST_TOTAL_SHARDS=$shares GTEST_SHARD_INDEX=$share OMP_NUM_THREADS=4 \
            ./test_gpt --gtest_brief=1 --gtest_filter="${TESTS:-*}" &
        processes="$processes $!" share=$((share + 1))
    done
    for process in $processes; do wait "$process" || status=1; done
    if [ $status = 0 ]; then echo "all tests passed"; else echo "tests failed: see tests.log"; fi
    return $status
}

# Every suite with a test in one of dev's .cu files that is not dev/simt's, from gtest's own list; last those of whole models and long texts.
# Of programs and of calls that fail on purpose there is nothing to see.
kernel_suites() {
    list=$(mktemp)
    ./test_gpt --gtest_list_tests --gtest_filter="*" --gtest_output="json:$list" >/dev/null
    awk -F'"' '$2 == "name" { name = $4 }
        $2 == "testsuite" { suite = name }
        $2 == "file" && $4 ~ /^dev.*[.]cu$/ && $4 !~ /simt/ && !seen[suite]++ { print suite }' "$list" |
        grep -vE '^(bench_test|commands|cuda_error|profiling)$' |
        awk '/^(attention_long_context|generate|golden_models_gpu|gpt_gpu)$/ { late = late $0 "\n"; next } { print }
            END { printf "%s", late }'
    rm -f "$list"
}

# Prints the reports of a sanitizer's log that are not about a kernel of a closed library: ours are named ..._kernel, or a
# line of source is known of them. A report without a kernel, as of a call that failed, is ours. With a second argument,
# without those that name it: false alarms.
reports_of_ours() {
    awk -v false_alarm="${2:-}" '
        function ours(at) { return at == "" || at ~ / in [^ ]+:[0-9]+/ || (at ~ /_kernel/ && at !~ /cublas|splitK/) }
        function judge() {
            if (report != "" && ours(at) && (false_alarm == "" || report !~ false_alarm)) printf "%s", report
        }
        /^========= (COMPUTE-SANITIZER|[A-Z ]*SUMMARY)/ { next }
        /^========= [^ ]/ { judge(); report = at = "" }
        /^=========/ { report = report $0 "\n"; if (at == "" && match($0, / at [^ ]/)) at = substr($0, RSTART + 4) }
        END { judge() }' "$1"
}

# sanitize TOOL END FOLDER SUITE: leaves its log in FOLDER, with a name that says how it went.
sanitize() {
    log=$3/$4 rest=$(($2 - $(date +%s)))
    [ $rest -ge 3 ] || { : >"$log.skipped"; return; }
    [ $rest -le $((60 * scale)) ] || rest=$((60 * scale))
    # Racecheck reports races that are none (dev/RESULTS.md): of pairs of warps that wait for each other by a named
    # barrier, while other pairs go on, and of warps for which one lane arrives at an asynchronous barrier. dev/simt's
    # ThreadSanitizer and dev/ptx watch both.
    exclude="" false_alarm=""
    [ "$1" != racecheck ] || exclude="--kernel-name-exclude kernel_substring=attention_tensor_paired_key"
    [ "$1" != racecheck ] || false_alarm=attention_hopper_backward
    # shellcheck disable=SC2086
    timeout -k 5 $rest compute-sanitizer --tool "$1" --error-exitcode 9 --launch-timeout 60 $exclude \
        ./test_gpt --gtest_brief=1 --gtest_filter="$4.*" >"$log" 2>&1
    code=$?
    if [ $code = 9 ]; then
        reports_of_ours "$log" "$false_alarm" >"$log.ours"
        [ -s "$log.ours" ] || code=0
    fi
    case $code in 0) mv "$log" "$log.clean" ;; 124 | 137) mv "$log" "$log.skipped" ;; *) mv "$log" "$log.bad" ;; esac
}

# Lines of a list, from a third of the way on for each tool after the first: what one has no time for, another has.
rotated() {
    case $1 in racecheck) part=0 ;; memcheck) part=1 ;; *) part=2 ;; esac
    awk -v part=$part '{ line[NR] = $0 } END { for (i = 0; i < NR; i++) print line[(int(part * NR / 3) + i) % NR + 1] }'
}

# The suites under one tool, some side by side: as many as end within 85 seconds, none of which may take 60.
run_sanitizer() {
    logs=$(mktemp -d)
    at_once=$(($(nproc) / 4))
    [ "$at_once" -ge 1 ] || at_once=1
    [ "$at_once" -le 4 ] || at_once=4
    kernel_suites | rotated "$1" >"$logs.suites"
    xargs -P $at_once -n 1 "$self" --do sanitize "$1" $(($(date +%s) + 85 * scale)) "$logs" <"$logs.suites"
    ended() { while read -r suite; do [ ! -f "$logs/$suite.$1" ] || printf ' %s' "$suite"; done <"$logs.suites"; }
    for suite in $(ended bad); do echo "== $suite"; cat "$logs/$suite.bad"; done
    clean=$(ended clean) bad=$(ended bad) skipped=$(ended skipped)
    rm -rf "$logs" "$logs.suites"
    echo "clean:${clean:- none}${bad:+; FOUND ERRORS:$bad}${skipped:+; no time for:$skipped}"
    [ -z "$bad" ] && [ -n "$clean" ]
}

# Prints the rate of the run in DIRECTORY, the middle one of its later steps: rate DIRECTORY TOKENS_A_STEP
rate() {
    [ -f "$1/log.jsonl" ] || { echo "no log was written"; return 1; }
    sed -n 's/.*"ms":\([0-9.e+-]*\),"tokens_per_s":\([0-9.e+-]*\).*/\1 \2 &/p' "$1/log.jsonl" |
        sed 's/^\([^ ]* [^ ]*\) .*"mfu":\([0-9.e+-]*\),"mfu_palm":\([0-9.e+-]*\).*/\1 \2 \3/; t
             s/^\([^ ]* [^ ]*\) .*/\1 0 0/' |
        awk -v tokens="$2" 'NR > 2 { ms[++n] = $1; causal = $3 / $2; palm = $4 / $2 }
            END {
                if (!n) { print "too few steps"; exit 1 }
                for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++)
                    if (ms[j] < ms[i]) { x = ms[i]; ms[i] = ms[j]; ms[j] = x }
                middle = ms[int((n + 1) / 2)]
                r = tokens / middle * 1000
                printf "%.2f ms a step, %.0f tokens/s", middle, r
                if (causal > 0) printf ", MFU %.1f%% causal, %.1f%% PaLM", 100 * causal * r, 100 * palm * r
                print ""
            }'
}

# train TOKENS_A_STEP FLAGS...
train() {
    tokens=$1 directory=$(mktemp -d)
    shift
    ./train_gpt train "$@" --out "$directory/run" --eval-every 0 --sample-tokens 0 && rate "$directory/run" "$tokens"
    code=$?
    rm -rf "$directory"
    return $code
}

# train_gpt2 SEQUENCES: GPT-2 124M on tokens at random, as a shard: a header of 256 numbers (magic, version, count),
# then two bytes a token.
train_gpt2() {
    shard=$(mktemp) tokens=$(($1 * 1024))
    count=400000
    { printf '\210\330\064\001\001\000\000\000\200\032\006\000'; head -c 1012 /dev/zero
      head -c 1000000 /dev/urandom | base64 | tr -d '\n' | head -c $((2 * count)); } >"$shard"
    mv "$shard" "$shard.bin"
    train $tokens --device cuda --model gpt2 --dtype bf16 --batch "$1" --steps 12 --data "$shard.bin"
    code=$?
    rm -f "$shard.bin"
    return $code
}

# Writes what is known so far as results.json, and the whole directory as one file beside it.
write_results() {
    {
        printf '{\n  "date": "%s",\n  "gpu": "%s",\n  "driver": "%s",\n  "seconds": %s,\n  "stages": [' \
            "$(date -u +%Y-%m-%dT%H:%MZ)" "$(quoted "$gpu")" "$driver" $(($(date +%s) - begin))
        cat "$out/stages.json"
        printf '\n  ]'
        for json in "$out"/kernels.json "$out"/step_profile.json "$out"/generate_gpu.json "$out"/end_to_end_*.json; do
            [ -s "$json" ] || continue
            printf ',\n  "%s": ' "$(basename "$json" .json)"
            cat "$json"
        done
        printf '}\n'
    } >"$out/results.json"
    tar -C "$(dirname "$out")" -cf "$out.tar" "$(basename "$out")"
}

if [ "${1:-}" = --do ]; then                     # a stage, called by `stage` below
    shift
    "$@"
    exit
fi

mkdir -p "$out" || exit 1
[ ! -f "$out/table.txt" ] || rm -f "$out"/*.log "$out"/*.json         # an earlier run's
begin=$(date +%s)
deadline=$((begin + ${TIME_LIMIT:-520} * scale))
: >"$out/table.txt"
: >"$out/stages.json"
failed="" passed=0 separator=""

say() { echo "$*" | tee -a "$out/table.txt"; }
quoted() { printf '%s' "$1" | tr -d '\\"' | tr '\000-\037' ' '; }

# record NAME STATUS SECONDS NOTE
record() {
    say "$(printf '%-18s %-8s %4s s  %s' "$1" "$2" "$3" "$4")"
    printf '%s\n    {"name": "%s", "status": "%s", "seconds": %s, "note": "%s"}' \
        "$separator" "$1" "$2" "$3" "$(quoted "$4")" >>"$out/stages.json"
    separator=,
    case $2 in passed) passed=$((passed + 1)) ;; FAILED | TIMEOUT) failed="$failed${failed:+, }$1" ;; esac
    write_results
}

# stage NAME LIMIT COMMAND...: the note is what the command printed last.
stage() {
    name=$1 limit=$(($2 * scale)) start=$(date +%s)
    shift 2
    case " ${STAGES:-$name} " in *" $name "*) ;; *) return 0 ;; esac
    [ $((deadline - start)) -ge $limit ] || limit=$((deadline - start))
    if [ $limit -lt 5 ]; then
        record "$name" "left out" 0 "no time is left"
        return 1
    fi
    timeout -k 5 $limit "$@" >"$out/$name.log" 2>&1
    code=$? took=$(($(date +%s) - start))
    note=$(grep -v '^[[:space:]]*$' "$out/$name.log" | tail -n 1 | cut -c1-160)
    case $code in
        0) record "$name" passed $took "$note" ;;
        124 | 137) record "$name" TIMEOUT $took "its limit was $limit s; $note" ;;
        *) record "$name" FAILED $took "exit code $code; $note" ;;
    esac
    return $code
}
bench() {                                        # bench NAME LIMIT: one of test_gpt's, with its table and JSON
    stage "$1" "$2" ./test_gpt --bench "$1" --json "$out/$1.json"
    [ ! -f "$out/$1.log" ] || tee -a "$out/table.txt" <"$out/$1.log"
    write_results
}
sanitizer() {
    if command -v compute-sanitizer >/dev/null; then stage "$1" 100 "$self" --do run_sanitizer "$1"
    else record "$1" "left out" 0 "compute-sanitizer is not on PATH"; fi
}

# The GPU's memory in MiB; 0 where the driver does not say, as of GPUs that share the host's.
gpu_memory() {
    nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits 2>/dev/null | head -n 1 |
        awk '/^ *[0-9]+ *$/ { mib = $1 } END { print mib + 0 }'
}
gpu_stages() {
    stage smoke 40 "$self" --do run_smoke
    stage tests 150 "$self" --do run_tests
    stage train_tiny 25 "$self" --do train 2048 --device cuda --dtype fp32 --steps 300
    stage train_tiny_bf16 25 "$self" --do train 2048 --device cuda --dtype bf16 --steps 300
    bench end_to_end_gpt2 40
    bench kernels 110
    bench end_to_end_qwen3 45
    memory=$(gpu_memory) sequences=4
    [ "$memory" -lt 38000 ] || sequences=16
    [ "$memory" -lt 70000 ] || sequences=64
    stage train_gpt2 60 "$self" --do train_gpt2 $sequences
    bench step_profile 40
    bench end_to_end_gpt2_xl 45
    bench generate_gpu 40
    for tool in racecheck memcheck initcheck; do sanitizer $tool; done
}
cpu_stages() {
    stage tests 400 "$self" --do run_tests
    stage train_cpu 60 "$self" --do train 2048 --device cpu --steps 20
    bench kernels 30
}

gpu="not yet known"
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
[ ! -f Makefile ] || stage build 240 make -j"$(nproc)" train_gpt test_gpt
gpu=$(./test_gpt --gpu 2>&1)
state=$?
say "gpu_check, $(date -u +%Y-%m-%dT%H:%MZ): $gpu${driver:+, driver $driver}, $(nproc) CPU threads"
if [ ! -x ./train_gpt ] || [ ! -x ./test_gpt ]; then
    record programs FAILED 0 "train_gpt or test_gpt is missing: make them here, or use a bundle (make bundle)"
elif [ $state = 0 ]; then
    gpu_stages
else
    say "only what a CPU can do is checked"
    cpu_stages
fi

took=$(($(date +%s) - begin)) status=0
if [ -n "$failed" ]; then
    say "gpu_check: FAILED: $failed; $passed stages passed, $took s; see $out"
    status=1
else
    say "gpu_check: passed, $passed stages, $took s; see $out/table.txt and results.json"
fi
write_results
exit $status
