#!/usr/bin/env bash
# A rank is killed: while messages run the others go on; inside a collective the watchdog ends them.
set -u
program=$1 ranks=$2
export MPIRUN_FLAGS=--enable-recovery
out=$(timeout -k 5 40 "$ranks" 4 "$program" --kill 2>err) || { cat err >&2; exit 1; }
grep -q survived <<<"$out" || { echo "no survivor spoke" >&2; cat err >&2; exit 1; }
timeout -k 5 40 "$ranks" 3 "$program" --hang >out 2>err
lines=$(grep -c "phase 'test barrier' did not end within 0.5 s" err)
[ "$lines" = 2 ] || { echo "$lines ranks were ended by the watchdog, 2 expected" >&2; cat err >&2; exit 1; }
