#!/usr/bin/env bash
# The launcher's own allocations, opens, reads, writes, syncs and renames fail, one after the other: it ends with
# a known status and an error line, or (where the failing thing is for people only) runs to the seal; nothing of
# the run stays alive and nothing stays under /dev/shm.
. "$(dirname "$0")/lib.sh"
make_job
clean=0 broken=0
n=1
while [ $n -lt 4000 ]; do
    rm -rf runs result
    ECH_FAULT_LAUNCHER="*:$n" FAKE=rows=4,ms=1 "$echelon" run job.yaml >out 2>err
    got=$?
    case $got in
    0) clean=$((clean + 1)) ;;
    64 | 66 | 69 | 73 | 74 | 75 | 78)
        broken=$((broken + 1))
        grep -q '^echelon: ' err || fail "fault $n: status $got without a word"
        ;;
    *)
        fail "fault $n: status $got"
        head -5 err
        ;;
    esac
    [ -e "$(run_dir)" ] && [ -n "$(left "$(run_dir)")" ] && fail "fault $n: processes are left"
    [ -s out ] || [ -z "$(ls runs 2>/dev/null)" ] || fail "fault $n: a run without a name is left: $(ls -d runs/*)"
    [ -z "$(shm_now)" ] || { fail "fault $n: left under /dev/shm"; break; }
    [ $n -lt 60 ] && n=$((n + 1)) || n=$((n * 13 / 10))
done
[ $clean -gt 0 ] && [ $broken -gt 20 ] || fail "$broken broken and $clean good runs: the faults do not reach the launcher"
done_testing
