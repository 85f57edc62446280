# For the recipes beside it: what they fetch, plan, train and must reach.
#
# DRY=1 fetches nothing and trains nothing real: it plans at full size, then takes ten steps of a toy on toy data with
# the recipe's other flags, on the CPU. TRAIN_GPT names another program than ./train_gpt.
here=$(dirname "$0")
program=${TRAIN_GPT:-./train_gpt}
[ -x "$program" ] || { echo "error: $program: is not there; run make train_gpt first" >&2; exit 2; }
dry=${DRY:+$(mktemp -d)}
if [ -n "$dry" ]; then trap 'rm -rf "$dry"' EXIT; fi
data=${dry:-data} runs=${dry:-runs}

say() { echo "== $*"; }

# get URL FILE [BYTES]: fetches once, goes on where it stopped, and believes a file only if it is so long.
get() {
    if [ -n "$dry" ]; then toy_file "$2"; return; fi
    sh -ec '. "$1/../data/fetch.sh"; fetch "$2" "$3"' sh "$here" "$1" "$2" || {
        echo "error: $2: could not be fetched from $1; run this again online, or put the file there yourself" >&2
        exit 4
    }
    [ -z "${3:-}" ] || [ "$(wc -c <"$2")" -eq "$3" ] || {
        echo "error: $2: is not the file of $3 bytes; delete it and try again" >&2
        exit 3
    }
}

toy_text() {
    i=0
    while [ $i -lt 200 ]; do
        echo "line $i: a cat sat on a mat, 从前有一只猫, and said $((i * 7919 % 97))."
        i=$((i + 1))
    done
}

# Of the kind that the file's name says: a text, or tokens in a shard of llm.c's.
toy_file() {
    mkdir -p "$(dirname "$1")"
    case $1 in
    *.bin)
        toy_text >"$dry/toy.txt"
        "$program" tokenize --tokenizer byte --separator none --data "$dry/toy.txt" --out "$dry/toy_shards" \
            --overwrite >/dev/null
        cp "$dry/toy_shards/"*.bin "$1"
        ;;
    *) toy_text >"$1" ;;
    esac
}

# A model of the preset's kind with random weights: toy_model PRESET FOLDER
toy_model() {
    toy_file "$dry/toy_model.txt"
    "$program" --model "$1" --layers 2 --dim 32 --heads 2 --kv-heads 1 --head-size 16 --ffn 64 --tokenizer byte \
        --data "$dry/toy_model.txt" --context 32 --batch 2 --steps 1 --sample-tokens 0 --device cpu \
        --out "$dry/toy_run" >/dev/null
    cp -RL "$dry/toy_run/latest" "$2"
}

# At full size, whatever is trained after it.
plan() {
    say "plan $*"
    "$program" plan "$@"
}

# train RUN FLAGS...: goes on with a run that was stopped.
train() {
    run=$runs/$1
    shift
    # Ten steps of a toy: sizes are replaced, all other flags stay.
    if [ -n "$dry" ]; then
        previous="" weights="" few=1
        ! command -v mpirun >/dev/null || few=2
        for word; do
            shift
            case $previous in
            --steps) word=10 ;;
            --batch | --warmup) word=2 ;;
            --context) word=32 ;;
            --total-batch) word=128 ;;
            --layers | --heads | --kv-heads) word=2 ;;
            --ranks) [ "$word" = 1 ] || word=$few ;;
            --dim) word=32 ;;
            --eval-every | --sample-every | --save-every) [ "$word" = 0 ] || word=5 ;;
            --model) case $word in */*) weights=yes ;; esac ;;
            esac
            previous=$word
            set -- "$@" "$word"
        done
        case " $* " in
        *" --layers "*) ;;
        *) [ -n "$weights" ] || set -- "$@" --layers 2 --dim 32 --heads 2 ;;
        esac
        set -- "$@" --device cpu
    fi
    if [ -e "$run/latest" ]; then set -- --resume "$run"; else set -- "$@" --out "$run"; fi
    say "train $*"
    "$program" "$@"
}
final_loss() { sed -n 's/.*"val_loss":\([0-9.]*\).*/\1/p' "$runs/$1/log.jsonl" | tail -n 1; }

# reached NAME VALUE: whether it is as low, or as high, as the recipe's header has it: "figure: NAME < VALUE".
reached() {
    value=$(printf %.4f "$2")
    wanted=$(sed -n "s/^# figure:.*$1 \([<>]\) *\([0-9.]*\).*/\1 \2/p" "$0")
    [ -n "$wanted" ] || { echo "error: $0: its figure has no $1" >&2; exit 1; }
    if [ -n "$dry" ]; then say "dry: $1 $value, not compared with $wanted"; return; fi
    if echo "$wanted $value" | awk '{ exit !($1 == "<" ? $3 + 0 <= $2 + 0 : $3 + 0 >= $2 + 0) }'; then
        say "$1 $value: reached ($wanted)"
    else
        say "$1 $value: NOT reached ($wanted)"
        exit 6
    fi
}
