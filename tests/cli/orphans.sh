#!/usr/bin/env bash
# Whatever is killed, no process and no shared memory stays.
. "$(dirname "$0")/lib.sh"
make_job

begin() {
    rm -rf runs
    FAKE=rows=2000,ms=50$1 "$echelon" run job.yaml >run.out 2>run.err &
    pid=$!
    wait_for 10 ranks_run 2
    run=$(run_dir)
}
shm_clean() {
    local i
    for ((i = 0; i < 50; i++)); do
        [ -z "$(shm_now)" ] && return
        sleep 0.1
    done
    fail "$1: left under /dev/shm: $(shm_now)"
}

for deaf in "" ,deaf; do
    # The launcher by SIGKILL: its guardian cleans up, and holds the lock until then.
    begin "$deaf"
    kill -KILL $pid
    wait $pid 2>/dev/null
    none_left "$run" 5
    shm_clean "launcher killed$deaf"
    FAKE=rows=8 expect 0 "$echelon" resume "$run"

    # mpirun by SIGKILL.
    begin "$deaf"
    for p in $(left "$run"); do
        [ "$(cat /proc/$p/comm 2>/dev/null)" = mpirun ] && kill -KILL $p
    done
    wait $pid
    got=$?
    [ $got = 75 ] || { fail "mpirun killed$deaf: $got"; cat run.err; }
    says run.err "echelon resume $run"
    [ -z "$(left "$run")" ] || fail "mpirun killed$deaf: left $(left "$run")"
    shm_clean "mpirun killed$deaf"
done

# A resume right after the kill waits for the guardian instead of meeting the old ranks.
begin ,deaf
kill -KILL $pid
wait $pid 2>/dev/null
FAKE=rows=8 expect 0 "$echelon" resume "$run"
none_left "$run" 1

# Ranks that stay after the result.
rm -rf runs
start=$SECONDS
FAKE=hang expect 0 "$echelon" run job.yaml
[ $((SECONDS - start)) -le 12 ] || fail "hanging ranks took $((SECONDS - start)) s"
none_left "$(cat out)" 1
shm_clean "hanging ranks"

# Launcher and guardian both killed: the ranks die with mpirun, the next launcher removes the folder.
begin ""
for child in $(cat /proc/$pid/task/$pid/children); do kill -KILL $child; done
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
FAKE=rows=8 expect 0 "$echelon" resume "$run"
none_left "$run" 5
shm_clean "all killed"
done_testing
