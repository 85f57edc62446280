#!/bin/sh
# Plants the bugs of mutants.txt into a copy of the kernels, one at a time, and shows that the layer's tests catch each.
#
#   dev/mutants/mutants.sh [NAME...]      all, or those of these names; run it in the project's folder after `make test`
#
# A mutant that survives, or whose line is no longer in the kernels, is an error. CXX and JOBS (2) from the environment.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r kernels host dev test_gpt.cu "$work"
cp -r kernels "$work/original"
cd "$work"
flags="-std=c++20 -O1 -fopenmp -I. -Idev/simt/include -Wno-unknown-pragmas"
cxx=${CXX:-g++}

echo "building what all mutants share"
printf '%s\n' dev/simt/*.cpp host/reference/gemm.cpp | xargs -P "${JOBS:-2}" -I{} sh -c "$cxx $flags -c -o \$(basename {} .cpp).o {}"
$cxx $flags -x c++ -c -o main.o test_gpt.cu
ar rcs shared.a ./*.o

# Runs the tests of layer $1 on the kernels as they stand now; fails as they do.
run() {
    $cxx $flags -x c++ -c -o layer.obj "dev/$1.cu" && $cxx -fopenmp -o layer layer.obj -Wl,--whole-archive shared.a -Wl,--no-whole-archive \
        -lgtest -lboost_context ${LIBS:-} || return 2
    timeout 300 ./layer --gtest_brief=1 >log 2>&1
}

# Replaces $2 by $3 at its occurrence number $4 in file $1; fails where there is none.
mutate() {
    FROM=$2 TO=$3 awk -v wanted="$4" '
        { text = text $0 "\n" }
        END {
            from = ENVIRON["FROM"]; start = 1
            for (k = 1; k <= wanted; k++) {
                at = index(substr(text, start), from)
                if (!at) exit 1
                at += start - 1; start = at + 1
            }
            printf "%s%s%s", substr(text, 1, at - 1), ENVIRON["TO"], substr(text, at + length(from))
        }' "original/$1" >"kernels/$1"
}

survived=0 caught=0
name='' ; layer='' ; file='' ; from='' ; occurrence=1
finish() {
    [ -n "$name" ] || return 0
    [ -z "$chosen" ] || case " $chosen " in *" $name "*) ;; *) return 0 ;; esac
    if ! mutate "$file" "$from" "$to" "$occurrence"; then
        echo "$name: STALE, \`$from\` is not in kernels/$file"; survived=$((survived + 1))
    else
        status=0
        run "$layer" || status=$?
        case $status in
            0) echo "$name: SURVIVED the tests of $layer"; survived=$((survived + 1)) ;;
            2) echo "$name: DOES NOT COMPILE"; survived=$((survived + 1)) ;;
            *) echo "$name: caught by $layer"; caught=$((caught + 1)) ;;
        esac
        cp "original/$file" "kernels/$file"
    fi
}
chosen="$*"
while IFS= read -r line; do
    value=${line#*: }
    case $line in
        mutant:*) finish; name=$value occurrence=1 ;;
        layer:*) layer=$value ;;
        file:*) file=$value ;;
        number:*) occurrence=$value ;;
        from:*) from=$value ;;
        to:*) to=${line#to:}; to=${to# } ;;
    esac
done <dev/mutants/mutants.txt
finish
echo "$caught caught, $survived not"
[ "$survived" = 0 ]
