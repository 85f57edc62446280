#!/bin/sh
# Runs every recipe beside it dry (recipe.sh): its plan at full size, then ten steps of a toy.   dev/recipes/dry_run.sh
set -u
here=$(dirname "$0") log=$(mktemp) failed=0
trap 'rm -f "$log"' EXIT
for recipe in "$here"/*.sh; do
    case ${recipe##*/} in recipe.sh | dry_run.sh) continue ;; esac
    start=$(date +%s)
    if DRY=1 "$recipe" >"$log" 2>&1; then
        echo "ok      $recipe, $(($(date +%s) - start)) s"
    else
        echo "FAILED  $recipe:"
        sed 's/^/        /' "$log" | tail -n 20
        failed=1
    fi
done
exit $failed
