#!/bin/bash
# What status says of submitted runs, with a stand-in for squeue that counts its calls: one for all runs and for a
# few seconds, also where it fails.
. "$(dirname "$0")/lib.sh"
make_job
mkdir -p bin
cat >bin/squeue <<'END'
#!/bin/bash
echo call >>"$CALLS"
[ -e "$CALLS.fails" ] && { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
printf '%s\n' "slurm_load_jobs: a warning" "7|PENDING|Resources|2026-01-01T10:00:00|" "8_[1-3]|PENDING|Priority|N/A|" "8_0|RUNNING|None|x|n[1-2]"
END
chmod +x bin/squeue
export PATH=$PWD/bin:$PATH CALLS=$PWD/calls
for job in 7 8_0 8_2 99; do
    mkdir -p "runs/job-$job/nodes"
    "$echelon" config show job.yaml >"runs/job-$job/job.yaml"
    echo "{\"job\":\"$job\"}" >"runs/job-$job/slurm.json"
done
# asked_once WHAT: one call since begin, unless the machine was slower than an answer is kept (5 s).
begin() { began=$SECONDS; }
asked_once() {
    local calls
    calls=$(wc -l 2>/dev/null <calls)
    [ "$calls" = 1 ] || [ $((SECONDS - began)) -ge 4 ] || fail "$1 was called $calls times, once was expected"
}

begin
expect 0 "$echelon" status --all
says out "Slurm 7 PENDING, waits for nodes to become free (Resources), expected to start 2026-01-01T10:00:00"
says out "Slurm 8_0 RUNNING, on n[1-2]"
says out "Slurm 8_2 PENDING, jobs of higher priority are before it (Priority)"
expect 0 "$echelon" status runs/job-99
says out "Slurm job 99: not known to Slurm"
asked_once squeue

touch calls.fails
rm -f calls runs/.slurm-queue
begin
for i in 1 2 3; do expect 0 "$echelon" status --all; done
asked_once "a squeue that fails"

# An answer without jobs is one, too.
rm -f calls calls.fails runs/.slurm-queue
printf '#!/bin/bash\necho call >>"$CALLS"\n' >bin/squeue
begin
for i in 1 2 3; do expect 0 "$echelon" status --all; done
asked_once "a squeue without jobs"
done_testing
