#!/bin/sh
# Checks what the compiler made of every kernel, without a GPU: registers against budget.txt, no spills, no local memory,
# no double arithmetic, no float atomics, that streaming kernels move 128 bits at a time, and that the tensor cores' kernels
# use them, fed by ldmatrix and cp.async, and that loops have enough loads on the way at a time (loads.cpp). For sm_90, a model
# of the machine (pipeline.cpp) says how busy their main loops keep the tensor cores.
#
#   dev/budget/budget.sh [ARCH...]        sm_80 sm_90a if not given; run it in the project's folder. NVCC and CXX from the environment.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=dev/budget
${CXX:-g++} -std=c++20 -O1 -o "$work/sass" $folder/sass.cpp
${CXX:-g++} -std=c++20 -O2 -o "$work/loads" $folder/loads.cpp
${CXX:-g++} -std=c++20 -O2 -o "$work/pipeline" $folder/pipeline.cpp
bad=0
for arch in ${*:-sm_80 sm_90a}; do
    ${NVCC:-nvcc} -std=c++20 -I. -arch="$arch" -O3 --expt-relaxed-constexpr -Xcompiler -fopenmp,-Wall,-Wextra,-Wno-unknown-pragmas \
        -Werror all-warnings -Xptxas -v,--warn-on-spills,--warn-on-local-memory-usage,--warn-on-double-precision-use,--warning-as-error \
        --cubin -o "$work/$arch.cubin" $folder/kernels.cu 2>"$work/log" || { cat "$work/log"; exit 1; }
    # name, registers
    awk '/Function properties for/ { name = $NF } /Used [0-9]+ registers/ { for (i = 1; i < NF; i++) if ($i == "Used") print name, $(i + 1) }' \
        "$work/log" | sort >"$work/registers"
    # Products of a warpgroup that wait for one another, or registers that do not move: the compiler only mentions it.
    if grep -E '\(C75[0-9]+\)' "$work/log"; then bad=1; fi
    # name, instructions, local, double, atomics, accesses, wide ones
    "$work/sass" "$work/$arch.cubin" | sort >"$work/counts"
    # name, 128-bit loads per round trip to memory in the worst of its loops
    "$work/loads" "$work/$arch.cubin" | sort >"$work/loads_at_once"
    # name, share of time in which the tensor cores work
    : >"$work/shares"
    case $arch in sm_90*) "$work/pipeline" "$work/$arch.cubin" >"$work/shares" ;; esac
    sort -o "$work/shares" "$work/shares"
    join "$work/registers" "$work/counts" | join -a 1 -e - -o auto - "$work/loads_at_once" |
        join -a 1 -e - -o auto - "$work/shares" >"$work/joined"
    cut -d' ' -f1 "$work/joined" | c++filt | sed 's/([A-Za-z]*)\([0-9]\)/\1/g; s/(.*//; s/^void //; s/ //g' | paste -d' ' - "$work/joined" | cut -d' ' -f1,3- >"$work/kernels"
    awk -v arch="$arch" '
        function complain(text) { print arch ": " name ": " text; bad = 1 }
        FNR == NR {
            if ($0 ~ /^#/ || !NF) next
            row[++rows] = $1; threads[rows] = $2; most[rows] = $3; narrow[rows] = $4
            if (sub(/ *loads=/, " ")) { together[rows] = $NF; NF-- }
            reuse[rows] = $5; busy[rows] = $6
            next
        }
        {
            name = $1; registers = $2; kernels++
            for (r = 1; r <= rows && name !~ "^" row[r] "[<,>]"; r++);
            if (r > rows) { complain("has no row in budget.txt"); next }
            seen[r] = 1
            if (registers > most[r]) complain(registers " registers, budget " most[r])
            if (int((registers + 7) / 8) * 8 * threads[r] > 65536) complain(registers " registers x " threads[r] " threads do not fit an SM")
            if ($4) complain($4 " local memory accesses")
            if ($5) complain($5 " double instructions")
            if ($6) complain($6 " atomics on global memory")
            if (reuse[r] == "wgmma") {
                if (arch ~ /sm_90a/ && !($12 && $13)) complain("no tensor cores: " $12 " HGMMA, " $13 " UTMALDG")
            } else if (reuse[r] == "direct") { if (!$9) complain("no tensor cores") }
            else {
                if (reuse[r] && !($9 && $10 && $11)) complain("no tensor cores: " $9 " HMMA, " $10 " LDSM, " $11 " LDGSTS")
                if (reuse[r] && $9 < reuse[r] * $10) complain("only " $9 " HMMA for " $10 " LDSM, which is below " reuse[r] " each")
            }
            if (busy[r] && arch ~ /sm_90/) {
                if ($15 + 0 < busy[r]) complain("the tensor cores work " $15 + 0 "% of the time in its loop, budget " busy[r])
                if (!lowest[r] || $15 < lowest[r]) lowest[r] = $15
                if ($15 > highest[r]) highest[r] = $15
            }
            if (together[r] && $14 != "-") {
                measured[r] = 1
                if ($14 < together[r]) complain("only " $14 " loads of 128 bits on the way at a time in a loop, budget " together[r])
            }
            if ((!reuse[r] || reuse[r] == "wgmma") && $9) complain($9 " HMMA, but its row in budget.txt has no last number")
            # The instances for ragged shapes, of width 1, are exempt.
            streams = narrow[r] != "-" && name !~ /<1[,>]/
            if (streams && $8 < 0.9 * ($7 - narrow[r])) complain("only " $8 " of " $7 " global accesses are of 128 bits, " narrow[r] " need not be")
        }
        END {
            for (r = 1; r <= rows; r++) {
                name = row[r]
                if (!seen[r]) complain("is in budget.txt, but no kernel")
                else if (together[r] && !measured[r]) complain("loads nothing of 128 bits, budget " together[r] " at a time")
            }
            print arch ": " kernels " kernels checked"
            for (r = 1; r <= rows; r++) if (lowest[r])
                printf "%s: %s: tensor cores work %.0f to %.0f%% of the time in its loop (model)\n", arch, row[r], lowest[r], highest[r]
            exit bad
        }' $folder/budget.txt "$work/kernels" || bad=1
done
exit $bad
