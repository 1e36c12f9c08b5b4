#!/usr/bin/env bash
# Good runs, failing runs, resume, retries.
. "$(dirname "$0")/lib.sh"
make_job

expect 0 "$echelon" run job.yaml
one_line out
run=$(cat out)
[ "$run" = "$(run_dir)" ] || fail "stdout is not the run directory: $run"
says err "sealed: 40 rows, 4,000 tokens"
for file in job.yaml launch-1.json mpirun-1.log result-1.json report.html; do
    [ -e "$run/$file" ] || fail "$file is missing"
done
says "$run/job.yaml" "# job.yaml:2"
says "$run/launch-1.json" '"--enable-recovery"'
says "$run/nodes/$(hostname)/events-1-0.jsonl" '"type":"start"'
grep -q '"type":"start".*"threads":0' "$run"/nodes/*/events-1-0.jsonl && fail "OMP_NUM_THREADS is not set"
none_left "$run" 1

# Clean at level error: nothing but the run directory.
ECH_LOG=error expect 0 "$echelon" run job.yaml
[ -s err ] && fail "a clean run at level error says: $(cat err)"

# Ranks of the command line; two launchers at once get two directories.
expect 0 "$echelon" run job.yaml --ranks 3
says "$(cat out)/launch-1.json" '"ranks":3'
("$echelon" run job.yaml >a 2>/dev/null) & ("$echelon" run job.yaml >b 2>/dev/null) &
wait
[ -s a ] && [ -s b ] && [ "$(cat a)" != "$(cat b)" ] || fail "two launchers share $(cat a)"

# A failed result: its text, its status, how to go on; then resume with another number of ranks.
FAKE=code=74,heal expect 74 "$echelon" run job.yaml
run=$(cat out)
says err "the disk is full; go on with: echelon resume $run"
expect 78 "$echelon" resume "$run" --set options.normalize=no
says err "cannot change on resume"
expect 78 "$echelon" resume "$run" --set output.dataset=result/other
FAKE=code=74,heal expect 0 "$echelon" resume "$run" --ranks 3 --set max_errors=7
[ "$(cat out)" = "$run" ] || fail "resume prints $(cat out)"
says "$run/job.yaml" "max_errors: 7  # --set"
says "$run/job.yaml" "normalize: auto  # default"
grep -q '^  path: .*/model  # job.yaml:2$' "$run/job.yaml" || fail "a resume lost the origin: $(grep path: "$run/job.yaml")"
says "$run/report.html" '<td class="text">--set</td>'
says "$run/report.html" '6 of them given'
says "$run/launch-2.json" '"ranks":3'
expect 0 "$echelon" resume "$run"
says err "sealed already"
expect 0 "$echelon" resume "$(basename "$run")"

# All ranks die: 75, and with retries the next attempt finishes it.
FAKE=deadall expect 75 "$echelon" run job.yaml
says err "echelon resume"
none_left "$(cat out)" 1
FAKE=deadall,heal expect 0 "$echelon" run job.yaml --set retries=2
says err "attempt 2 of at most 3"
[ -e "$(cat out)/result-2.json" ] || fail "no second attempt"
# One rank dies: the others go on.
FAKE=die=1 expect 0 "$echelon" run job.yaml

# Ranks under mpirun for datasets: every rank gets the words, without --ranks.
expect 0 "$echelon" data import a.jsonl data/a --ranks 2
[ "$(sort out)" = "data import a.jsonl data/a of rank 0
data import a.jsonl data/a of rank 1" ] || fail "data import --ranks: $(cat out)"
expect 0 "$echelon" bench dispatch --ranks=2
[ "$(wc -l <out)" = 2 ] || fail "bench dispatch --ranks=2: $(cat out)"
expect 0 "$echelon" bench kernels --ops linear --threads 2
echo '--solo bench kernels --ops linear --threads 2' | same out
FAKE_SOLO=66 expect 66 "$echelon" data export data/a a.jsonl --ranks 2
expect 64 "$echelon" data import a b --ranks 0
expect 0 "$echelon" data import a.jsonl data/a
echo '--solo data import a.jsonl data/a' | same out

# A resume goes to all hosts of the run again: those that do not answer are named, not forgotten.
printf '%s\nnowhere.invalid\n' "$(hostname)" >hosts
OMPI_MCA_plm_rsh_agent=false expect 75 "$echelon" run job.yaml --hosts hosts
run=$(cat out)
OMPI_MCA_plm_rsh_agent=false expect 0 "$echelon" resume "$run"
says err "leaves out nowhere.invalid (does not answer)"

[ -z "$(shm_now)" ] || fail "left under /dev/shm: $(shm_now)"
done_testing
