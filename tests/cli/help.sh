#!/usr/bin/env bash
# Help, version, unknown words.
. "$(dirname "$0")/lib.sh"

expect 0 "$echelon" --help
same out <"$ECH_SOURCE/tests/cli/golden/help.txt"
[ -s err ] && fail "--help writes to stderr"
for verb in run resume cancel clean plan status logs report data model eval config doctor simulate bench; do
    expect 0 "$echelon" $verb --help
    says out "usage: echelon $verb"
    says out "example:"
    says out "exit status:"
    [ -s err ] && fail "$verb --help writes to stderr"
done
expect 0 "$echelon" run --help
same out <"$ECH_SOURCE/tests/cli/golden/run-help.txt"
expect 0 "$echelon" doctor --help
same out <"$ECH_SOURCE/tests/cli/golden/doctor-help.txt"

expect 0 "$echelon" --version
grep -qE '^echelon [0-9]+\.[0-9]+\.[0-9]+ \(([0-9a-f]{12}|no commit)\)$' out || fail "version line: $(head -1 out)"
grep -qE '^compiler: (gcc|clang) [0-9]+' out || fail "compiler line"
says out "echelon-rank: fake"
ECHELON_RANK=/nowhere expect 0 "$echelon" --version
says out "echelon-rank: not found"

expect 64 "$echelon"
one_line err
says err "a verb is missing"
expect 64 "$echelon" rnu
one_line err
says err 'unknown verb "rnu": did you mean run?'
expect 64 "$echelon" --hlep
one_line err
says err "unknown option"
expect 64 "$echelon" run --rank 2 job.yaml
one_line err
says err "did you mean --ranks"
expect 64 "$echelon" run
says err "too few arguments"
expect 64 "$echelon" run a.yaml b.yaml
says err 'unexpected argument "b.yaml"'
expect 64 "$echelon" status --jsn
says err "did you mean --json"
# Files that are not there, and hosts that cannot be.
make_job
for option in --cluster --hosts; do
    expect 66 "$echelon" run job.yaml $option none.yaml --dry-run
done
printf 'n1 slots=2\nn[1-\n' >hosts
expect 78 "$echelon" run job.yaml --hosts hosts --dry-run
says err "hosts:2:1"
printf 'n1\0n2\n' >hosts
expect 78 "$echelon" run job.yaml --hosts hosts --dry-run
says err "zero byte"
printf 'n1\033[31m\n' >hosts
expect 78 "$echelon" run job.yaml --hosts hosts --dry-run
grep -q $'\033' err && fail "an escape sequence of a host file reaches the terminal"
printf 'classes: {a: {hosts: n1}, b: {count: 3}}\n' >c.yaml
expect 0 "$echelon" run job.yaml --cluster c.yaml --dry-run
says err "class b of the cluster is only counted"
printf 'n1 slots=2\nn[2-3]:1 # two\n' >hosts
expect 0 "$echelon" run job.yaml --hosts hosts --dry-run
says out "-n 4 --hostfile"
says err "n3 slots=1"
printf 'launch: my-agent -q\nexclude: [n2]\nclasses:\n  a: {hosts: "n[1-2]", ranks_per_node: 3}\n  b: {hosts: m1}\n' >c.yaml
expect 0 "$echelon" run job.yaml --cluster c.yaml --set resources.ranks_per_node=2 --dry-run
says out "-n 5 --hostfile RUN/hosts-1 --mca plm_rsh_agent my-agent -q "
says err "n2 is left out"
expect 78 "$echelon" run job.yaml --cluster c.yaml --hosts <(echo x9) --dry-run
says err "host x9 is in no class"

# One rank a NUMA domain, but never more than cores; a list is no cluster file in braces; the launch command is the user's.
HWLOC_SYNTHETIC="pack:2 numa:2 core:4 pu:1" expect 0 "$echelon" run job.yaml --dry-run
says out "mpirun -n $(($(nproc) < 4 ? $(nproc) : 4)) "
HWLOC_SYNTHETIC="pack:2 numa:2 core:4 pu:1" expect 0 "$echelon" run job.yaml --dry-run --set resources.ranks_per_node=3
says out "mpirun -n 3 "
expect 0 "$echelon" run job.yaml --dry-run --set resources.device=cuda
says out "-x ECH_BIND "
echo '{classes: {a: {hosts: n1}}}' >flow
expect 64 "$echelon" run job.yaml --hosts flow --dry-run
says err "a cluster file is named by --cluster"
expect 0 "$echelon" run job.yaml --cluster flow --dry-run
grep -q plm_rsh_agent out && fail "a cluster file without launch takes another command than the user's"
expect 69 "$echelon" submit job.yaml --cluster flow
expect 0 "$echelon" submit job.yaml --cluster flow --dry-run
says out "#SBATCH --nodelist=n1"
expect 64 "$echelon" submit job.yaml --clusters flow

expect 0 "$echelon" --man
says out ".TH ECHELON 1"
says out ".SS \"echelon resume RUN"
says out ".B \\-\\-selftest"
if command -v groff >/dev/null; then
    groff -man -Tascii -ww out >page.txt 2>warnings.txt || fail "groff does not read the manual page"
    [ -s warnings.txt ] && fail "groff warns: $(head -3 warnings.txt)"
fi
# Solo verbs get their words as they are, and their status comes back.
FAKE_SOLO=65 expect 65 "$echelon" data verify "a b" --x
echo '--solo data verify a b --x' | same out
expect 0 "$echelon" model show m
echo '--solo model show m' | same out
expect 0 "$echelon" plan job.yaml --ranks 3
echo '--solo plan job.yaml --ranks 3' | same out
expect 64 "$echelon" plan job.yaml --rank 3
says err "did you mean --ranks"
expect 64 "$echelon" plan
# Nodes are described to it in a file that is gone afterwards.
printf 'classes: {a: {count: 3, ranks_per_node: 2}}\n' >c.yaml
expect 0 "$echelon" plan job.yaml --cluster c.yaml --set max_errors=1 --json --force
grep -qE '^--solo plan job.yaml --set max_errors=1 --json --force --nodes /.*echelon-nodes-......$' out || fail "plan --cluster: $(cat out)"
[ -e "$(sed 's/.* //' out)" ] && fail "the description of the nodes is left"
FAKE_SOLO=69 expect 69 "$echelon" plan job.yaml --cluster c.yaml
[ -e "$(sed 's/.* //' out)" ] && fail "the description of the nodes is left after a refusal"
expect 64 "$echelon" plan - --cluster c.yaml
expect 69 "$echelon" plan job.yaml --cluster c.yaml --set resources.nodes=4
says err "resources.nodes is 4, the cluster has 3 nodes"
expect 66 "$echelon" plan job.yaml --hosts none
TMPDIR=/nowhere expect 74 "$echelon" plan job.yaml --cluster c.yaml
expect 64 "$echelon" data
one_line err
# A full output is noticed.
if [ -e /dev/full ]; then
    "$echelon" --help >/dev/full 2>err && fail "--help into a full device ends with 0"
    says err "could not be written"
fi
done_testing
