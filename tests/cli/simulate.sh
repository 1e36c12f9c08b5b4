#!/usr/bin/env bash
# simulate: a table, files it reads, what it refuses. No MPI.
. "$(dirname "$0")/lib.sh"
expect 0 "$echelon" simulate --rows 200000
says out "adaptive "
cp out first
expect 0 "$echelon" simulate --rows 200000
same first <out
expect 0 "$echelon" simulate --limit 20 --policy adaptive
says out "stopped by the limit"
expect 0 "$echelon" simulate --limit 20 --policy adaptive --json
says out '"ratio": null'
printf 'classes:\n  a: {count: 3, ranks_per_node: 4, tokens_per_s: 5000}\n  b: {count: 2, ranks_per_node: 2, speed: 3}\n' >c.yaml
mkdir d
printf 'rows: 123456\n' >d/dataset.yaml
printf 'kind: embed\nmodel: m\ninput: {dataset: d, column: text}\noutput: {dataset: o}\n' >job.yaml
expect 0 "$echelon" simulate job.yaml --cluster c.yaml --plot p.svg
says out " 123456"
grep -q 'optimum' p.svg || fail "no drawing"
expect 64 "$echelon" simulate --cluster c.yaml --nodes 3
says err "the cluster file says it"
expect 64 "$echelon" simulate job.yaml --rows 5
expect 0 "$echelon" simulate --scenarios --rows 200000
says out "joins late"
expect 64 "$echelon" simulate --scenarios --slow-nodes 0.5
expect 64 "$echelon" simulate --policy fast
says err "adaptive"
expect 64 "$echelon" simulate --noise nan
expect 66 "$echelon" simulate nowhere.yaml
printf 'columns: 3\n' >d/dataset.yaml
expect 65 "$echelon" simulate job.yaml
says err "no number of rows"
done_testing
