#!/bin/sh
# Plants the bugs of mutants.txt into a copy of the kernels, one at a time, and shows that the layer's tests catch each.
#
#   dev/mutants/mutants.sh [NAME...]      all, or those of these names; run it in the project's folder after `make test`
#   dev/mutants/mutants.sh --check        says only whose line is no longer in the kernels; compiles nothing
#
# A mutant that survives, or whose line is no longer in the kernels, is an error. CXX and JOBS (2) from the environment.
set -eu
check=''
[ "${1:-}" != --check ] || { check=yes; shift; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r kernels host dev "$work"
cp -r kernels "$work/original"
cd "$work"
flags="-std=c++20 -O1 -fopenmp -I. -Idev/simt/include -Wno-unknown-pragmas"
cxx=${CXX:-g++}

tsan="-fsanitize=thread -fno-omit-frame-pointer -g"

# What all mutants share, built when first needed: the folder $1 is plain, or thread for ThreadSanitizer.
prepare() {
    [ ! -d "$1" ] || return 0
    mkdir "$1"
    if [ "$1" = thread ]; then simt=-DSIMT_TSAN kernel=$tsan; else simt='' kernel=''; fi
    printf '%s\n' dev/simt/*.cpp |
        xargs -P "${JOBS:-2}" -I{} sh -c "$cxx $flags $simt -c -o $1/\$(basename {} .cpp).o {}"
    for part in gemm threads; do $cxx $flags $kernel -c -o "$1/$part.o" "host/reference/$part.cpp"; done
}

# Runs the tests $3 of layer $1 on the kernels as they stand now, built as $2; fails as they do, with 2 if they do not
# build.
run() {
    prepare "$2"
    if [ "$2" = thread ]; then more="-DSIMT_TSAN $tsan"; else more=''; fi   # which does not know OpenMP's own barriers
    { $cxx $flags $more -x c++ -c -o layer.obj "dev/test/kernels/$1.cu" &&
        $cxx -fopenmp $more -o layer layer.obj "$2"/*.o -lgtest_main -lgtest -lboost_context ${LIBS:-}; } || return 2
    [ "$2" = plain ] || export OMP_NUM_THREADS=1
    timeout 600 ./layer --gtest_brief=1 --gtest_filter="$3" >log 2>&1
}

# The tests $3 of layer $1 must pass on the kernels as they are, or a failure says nothing. Once per layer and build $2.
control() {
    [ ! -e "$2/passed_$1_$3" ] || return 0
    run "$1" "$2" "$3" || { echo "error: the tests of $1 fail without a mutant"; tail -n 20 log; exit 1; }
    touch "$2/passed_$1_$3"
}

survived=0 caught=0
name='' layer='' file='' from='' to='' occurrence=1 build=plain tests='*'
finish() {
    [ -n "$name" ] || return 0
    [ -z "$chosen" ] || case " $chosen " in *" $name "*) ;; *) return 0 ;; esac
    [ "$check" ] || control "$layer" "$build" "$tests"
    if [ ! -f "original/$file" ] || ! dev/mutants/plant.sh "$from" "$to" "$occurrence" <"original/$file" >"kernels/$file"; then
        echo "$name: STALE, \`$from\` is not in kernels/$file"; survived=$((survived + 1))
    elif [ "$check" ]; then
        caught=$((caught + 1))
        if [ ! -f "dev/test/kernels/$layer.cu" ]; then echo "$name: there is no dev/test/kernels/$layer.cu"; survived=$((survived + 1)); fi
    else
        status=0
        run "$layer" "$build" "$tests" || status=$?
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
        mutant:*) finish; name=$value occurrence=1 build=plain tests='*' ;;
        layer:*) layer=$value ;;
        file:*) file=$value ;;
        number:*) occurrence=$value ;;
        build:*) build=$value ;;
        tests:*) tests=$value ;;
        from:*) from=$value ;;
        to:*) to=${line#to:}; to=${to# } ;;
    esac
done <dev/mutants/mutants.txt
finish
if [ "$check" ]; then echo "$caught found in the kernels, $survived not"; else echo "$caught caught, $survived not"; fi
[ "$survived" = 0 ]
