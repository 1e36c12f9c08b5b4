#!/usr/bin/env bash
# doctor --cluster and --selftest, with the real rank program; the launch command runs it on this machine.
. "$(dirname "$0")/lib.sh"
export ECHELON_RANK=$ECH_BIN/echelon-rank XDG_CACHE_HOME=$PWD/cache
[ "$(id -u)" = 0 ] && export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

cat >agent <<'END'
#!/bin/sh
host=$1
shift
case $host in
slow) exec sleep 73.125 ;;
old) sh -c "$*" | sed 's/"version":"[^"]*"/"version":"0.0.1"/' ;;
mpi) sh -c "$*" | sed 's/"mpi":"[^"]*"/"mpi":"Other MPI 3"/' ;;
isa) sh -c "$*" | sed 's/"numerics":"[^ "]*/"numerics":"cpu-f32-none/' ;;
late) sh -c "$*" | sed 's/"time_us":\([0-9]*\)[0-9]\{7\}/"time_us":\19999999/;s/"time_us":1/"time_us":2/' ;;
away) mkdir -p elsewhere; sh -c "$(echo "$*" | sed 's|--node-check [^ ]*|--node-check elsewhere|')" ;;
mute) echo "ssh: connect to host mute port 22: No route to host" >&2; exit 255 ;;
evil) printf '\033[2J\033]0;x\007{"echelon_node":1,"host":"\033[2J"}\n{"echelon_node":1,"host":"x"}\n'; exit 3 ;;
flood) exec yes '{"echelon_node":1' ;;
*) echo "Welcome to $host"; sh -c "$*" ;;
esac
END
chmod +x agent

cluster() { # HOSTS [KEYS]
    printf 'launch: %s/agent\nclasses:\n  a: {hosts: [%s]%s}\n' "$PWD" "$1" "${2:-}" >c.yaml
}

cluster 'n1, n2'
expect 0 "$echelon" doctor --cluster c.yaml
[ "$(grep -c '^n[12] .* a .* ok ' out)" = 2 ] || fail "two nodes are well: $(cat out)"
[ -e runs ] && fail "the check leaves runs/ behind"
mkdir 'my runs' # quoted for the shell over there
ECHELON_RUNS="$PWD/my runs" expect 0 "$echelon" doctor --cluster c.yaml --json
python3 -c 'import json; a = json.load(open("out")); assert [n["verdict"] for n in a["nodes"]] == ["ok", "ok"], a' || fail "the JSON"
[ -z "$(ls -A 'my runs')" ] || fail "the check leaves something in the folder of runs"

cluster 'n1, n2, n3, slow, old, mpi, isa, late, away, mute, evil, flood'
start=$SECONDS
expect 69 "$echelon" doctor --cluster c.yaml --deadline 3
[ $((SECONDS - start)) -lt 8 ] || fail "12 nodes took $((SECONDS - start)) s: they are not asked at once"
one_line err
says err "8 of 12 nodes fail: slow, old, mpi, isa, away, mute, evil, flood"
says out "slow: lacking: reach: it did not answer within 3 s"
says out "old: lacking: version: it has echelon 0.0.1"
says out "mpi: lacking: MPI: it has Other MPI 3"
says out "isa: lacking: numerics: it computes in cpu-f32-none"
says out "late: warn: clock: its clock is at least"
says out "away: lacking: folder:"
says out "mute: lacking: reach: its check ended with 255: ssh: connect to host mute"
says out "evil: lacking: reach:"
says out "flood: lacking: reach: it did not answer within 3 s"
[ "$(grep -c '^    -> ' out)" = 9 ] || fail "a mend for each fault"
LC_ALL=C grep -q '[^ -~]' out && fail "what a node says reaches the terminal as it is"
pgrep -f '^sleep 73.125' >/dev/null && fail "the one that hangs is left behind"

# A signal: nothing stays.
cluster 'n1, slow'
"$echelon" doctor --cluster c.yaml >out 2>err &
pid=$!
wait_for 5 pgrep -f '^sleep 73.125'
kill -TERM $pid
wait $pid
[ $? = 69 ] || fail "a signal ends the check with 69"
says err "stopped by a signal"
pgrep -f '^sleep 73.125' >/dev/null && fail "a signal leaves what was asked behind"
[ -e runs ] && fail "a signal leaves the folder of the check behind"

cluster 'n1' ', cores: 4000, memory: 1000TiB'
expect 69 "$echelon" doctor --cluster c.yaml
says out "n1: lacking: cores: class a has 4000"
says out "n1: lacking: memory: class a has"
cluster 'n1, n2'
sed -i 's/^launch.*/launch: no-such-agent/' c.yaml
expect 69 "$echelon" doctor --cluster c.yaml
says err "no-such-agent is not found"
printf 'classes: {a: {count: 3}}\n' >c.yaml
expect 78 "$echelon" doctor --cluster c.yaml
expect 66 "$echelon" doctor --cluster none.yaml
expect 64 "$echelon" doctor --cluster c.yaml --deadline 0
expect 64 "$echelon" doctor --deadline 5
expect 64 "$echelon" doctor --selftest --cluster c.yaml
expect 64 "$echelon" doctor c.yaml

# The word of this MPI, then of one that ends all ranks: run and plan say so, until another version comes.
timeout 60 "$echelon" doctor --selftest >out 2>err || fail "the selftest: $(cat err)"
says out "selftest"
grep -q '"survives":true' cache/echelon/recovery-*.json || fail "Open MPI 4 survives: $(cat cache/echelon/recovery-*.json)"
mkdir bin
cat >bin/mpirun <<'END'
#!/bin/sh
case $1 in --version) echo "mpirun (Open MPI) ${FAKE_MPI:-9.0}" ;; *) echo "selftest: started"; exit 137 ;; esac
END
chmod +x bin/mpirun
export PATH=$PWD/bin:$PATH
expect 0 "$echelon" doctor --selftest
says out "mpirun (Open MPI) 9.0 ends all ranks when one dies: a death means 75 + resume"
make_job
expect 0 "$echelon" run job.yaml --dry-run
says err "a death means 75 + resume"
ECHELON_RANK=$1 expect 0 "$echelon" plan job.yaml
says err "a death means 75 + resume"
ECHELON_RANK=$1 expect 0 "$echelon" doctor
says out "warn     selftest"
FAKE_MPI=9.1 expect 0 "$echelon" run job.yaml --dry-run
grep -q "75 + resume" err && fail "a record of another version counts"
printf '#!/bin/sh\n[ "$1" = --version ] && echo "mpirun (Open MPI) 9.0" || { echo ----; echo "no slots"; echo here; exit 1; }\n' >bin/mpirun
expect 69 "$echelon" doctor --selftest
one_line err
says err "enable-recovery: no slots here"
done_testing
