#!/usr/bin/env bash
# Every wrong start: one clear line, the right status, nothing made.
. "$(dirname "$0")/lib.sh"
make_job

# bad STATUS TEXT WORDS...
bad() {
    local status=$1 text=$2
    shift 2
    expect "$status" "$@"
    one_line err
    says err "$text"
    [ -s out ] && fail "$* wrote to stdout: $(cat out)"
    [ -e runs ] && { fail "$* left a run directory"; rm -rf runs; }
    [ -e result/v ] && fail "$* left an output"
}

bad 66 "nowhere.yaml" "$echelon" run nowhere.yaml
bad 78 "--set colour=red" "$echelon" run job.yaml --set colour=red
bad 78 "threads" "$echelon" run job.yaml --set resources.thread=2
sed 's/^model:/modle:/' job.yaml >bad.yaml
bad 78 "bad.yaml:2:1" "$echelon" run bad.yaml
says err "model"
bad 66 "data/none does not exist" "$echelon" run job.yaml --set input.dataset=data/none
mkdir -p data/empty
bad 66 "is not a dataset" "$echelon" run job.yaml --set input.dataset=data/empty
bad 66 "models/none does not exist" "$echelon" run job.yaml --set model=models/none
bad 64 "--ranks 0" "$echelon" run job.yaml --ranks 0
bad 64 "--ranks two" "$echelon" run job.yaml --ranks two
bad 64 "--ranks -1" "$echelon" run job.yaml --ranks -1

mkdir -p result/there
bad 73 "exists already" "$echelon" run job.yaml --set output.dataset=result/there
bad 73 "is not a dataset" "$echelon" run job.yaml --set output.dataset=result/there --set output.exists=replace
touch result/there/dataset.yaml
expect 0 "$echelon" run job.yaml --set output.dataset=result/there --set output.exists=replace --dry-run
rm result/there/dataset.yaml
[ -e runs ] && fail "--dry-run left a run directory"
rmdir result/there result
expect 0 "$echelon" run job.yaml --dry-run
says out "mpirun -n 2 --enable-recovery"
[ -e result ] && fail "--dry-run made the output's folder"
expect 0 "$echelon" run job.yaml --dry-run --ranks 7
says out "mpirun -n 7 "
bad 73 "cannot be created" "$echelon" run job.yaml --set output.dataset=/proc/nowhere/v
echo x >plain
bad 73 "plain" "$echelon" run job.yaml --set output.dataset=plain/v
bad 73 "run directory" "$echelon" run job.yaml --set runs=plain/runs
if [ "$(id -u)" = 0 ] && mkdir -p ro && mount -t tmpfs -o size=64k tmpfs ro 2>/dev/null; then
    mount -o remount,ro ro
    bad 73 "read-only" "$echelon" run job.yaml --set output.dataset=ro/v
    mount -o remount,rw ro
    mkdir ro/full
    head -c 65536 /dev/zero >ro/fill 2>/dev/null
    expect 74 "$echelon" run job.yaml --set runs=ro/full
    says err "full"
    ECH_SHM=ro expect 69 "$echelon" run job.yaml
    says err "shared memory under ro"
    rm -rf runs
    umount ro
else
    mkdir -p ro && chmod 555 ro
    [ "$(id -u)" = 0 ] || bad 73 "permission" "$echelon" run job.yaml --set output.dataset=ro/v
fi

bad 74 "too large" bash -c 'set -o pipefail
    (ulimit -f 0 && exec "$0" config reference 2>&1 >limited) | cat >&2' "$echelon"
bad 69 "install Open MPI" env PATH=/nowhere "$echelon" run job.yaml
ECHELON_RANK=/nowhere/rank bad 69 "/nowhere/rank" "$echelon" run job.yaml
ECHELON_RANK=/nowhere/rank bad 69 "echelon-rank" "$echelon" data show x

for verb in resume cancel clean status logs report; do
    bad 66 "not a run directory" "$echelon" $verb nowhere
done
for verb in status logs report; do
    bad 66 "no run directory in runs" "$echelon" $verb
done

# Ranks that end before their first event: their words are shown, the run is not called resumable.
FAKE=early=65 expect 69 "$echelon" run job.yaml
says err "the model has no tensors"
says err "no rank has started"
grep -q 'PMIX' err && fail "mpirun's own words are shown"
done_testing
