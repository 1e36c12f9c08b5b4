#!/usr/bin/env bash
# Signals, cancel, the lock, ranks that do not listen.
. "$(dirname "$0")/lib.sh"
make_job

# begin SECONDS-OF-WORK [words of FAKE]: a run in the background that computes; its pid in $pid, its folder in $run.
begin() {
    rm -rf runs
    FAKE=rows=400,ms=50$1 "$echelon" run job.yaml >run.out 2>run.err &
    pid=$!
    wait_for 10 ranks_run 2
    run=$(run_dir)
}
ended() {
    wait $pid
    local got=$?
    [ $got = "$1" ] || { fail "$2: ended with $got, $1 was expected"; cat run.err; }
    none_left "$run" 1
}

for signal in TERM INT HUP USR1; do
    begin ""
    kill -$signal $pid
    ended 75 "SIG$signal"
    says run.err "echelon resume $run"
    says "$run/result-1.json" '"state":"stopped"'
done
FAKE=rows=8 expect 0 "$echelon" resume "$run"

# As Slurm ends a job: TERM to each of its processes, one of which passes it on as USR1. That is one wish.
for pair in "USR1 TERM" "TERM USR1" "TERM TERM"; do
    begin ""
    for signal in $pair; do kill -$signal $pid; done
    ended 75 "$pair"
    says "$run/result-1.json" '"state":"stopped"'
    grep -q "signal again" run.err && fail "$pair counts as haste"
done

# Deaf ranks: a second signal ends them; alone, the grace time does.
begin ,deaf
kill -INT $pid
sleep 0.5
kill -0 $pid 2>/dev/null || fail "one signal ended deaf ranks at once"
kill -INT $pid
ended 75 "two SIGINT"
says run.err "signal again"
export ECH_STOP_GRACE=1
begin ,deaf
kill -TERM $pid
ended 75 "the grace time"
unset ECH_STOP_GRACE

# One launcher a run.
begin ""
expect 69 "$echelon" resume "$run"
one_line err
says err "process $pid on $(hostname) is running"
expect 69 "$echelon" clean "$run"
expect 0 "$echelon" status "$run"
says out "running"
expect 0 "$echelon" cancel "$run"
says err "stopped"
ended 75 "cancel"
expect 0 "$echelon" cancel "$run"
says err "is not running"
expect 0 "$echelon" status "$run"
says out "stopped: stopped by a signal"
says out "echelon resume"

# A reused process number is not signalled.
sleep 60 & other=$!
exec 8>"$run/lock"
flock 8
sed -i "s/\"pid\":[0-9]*/\"pid\":$other/" "$run/launch-1.json"
expect 69 "$echelon" cancel "$run"
says err "is gone"
kill -0 $other || fail "cancel signalled a foreign process"
kill $other
exec 8>&-

# Before any rank has spoken a stop is quick.
rm -rf runs
FAKE=rows=4 "$echelon" run job.yaml >run.out 2>run.err & pid=$!
kill -TERM $pid
wait $pid
got=$?
case $got in 75 | 0) ;; 143) echo "before main" ;; *) fail "SIGTERM at the start: $got" ;; esac
for ms in 05 10 15 20 30 40 60 90; do
    rm -rf runs
    FAKE=rows=400,ms=50 "$echelon" run job.yaml >run.out 2>run.err & pid=$!
    sleep 0.$ms
    kill -TERM $pid
    wait $pid
    got=$?
    [ $got = 75 ] || { fail "SIGTERM after 0.$ms s: $got"; cat run.err; }
    [ ! -s run.out ] || none_left "$(cat run.out)" 1
done

# Stopping an import ends with 75.
cat >slow <<'END'
#!/bin/bash
exec sleep 30
END
chmod +x slow
ECHELON_RANK=$PWD/slow "$echelon" data import a b --ranks 2 >run.out 2>run.err & pid=$!
sleep 1
kill -TERM $pid
wait $pid
[ $? = 75 ] || { fail "SIGTERM to data import"; cat run.err; }
# A signal while the hosts of a resume are asked, one of which never answers.
printf '#!/bin/sh\nsleep 30\n' >agent && chmod +x agent
printf '%s\nnowhere.invalid\n' "$(hostname)" >hosts
rm -rf runs
OMPI_MCA_plm_rsh_agent=false expect 75 "$echelon" run job.yaml --hosts hosts
run=$(run_dir)
OMPI_MCA_plm_rsh_agent=$PWD/agent "$echelon" resume "$run" >run.out 2>run.err &
pid=$!
sleep 1
kill -INT $pid
sleep 2
kill -0 $pid 2>/dev/null && fail "SIGINT waits for hosts that do not answer"
ended 75 "SIGINT while hosts are asked"
says run.err "stopped as asked before the ranks were started"
OMPI_MCA_plm_rsh_agent=false expect 0 "$echelon" resume "$run"

[ -z "$(shm_now)" ] || fail "left under /dev/shm: $(shm_now)"
done_testing
