# Shared by the scripts here: source it with the path of the stand-in rank program as $1.
set -u
export ECHELON_RANK=$1
export LC_ALL=C
export ECH_SHM=$PWD/shm # other launchers of this machine are not looked at
mkdir -p shm
unset ECH_LOG ECHELON_RUNS
echelon=$ECH_BIN/echelon
failed=0
[ -x "$echelon" ] || { echo "$echelon is missing"; exit 1; }

fail() {
    echo "FAIL: $*"
    failed=1
}

# expect STATUS WORDS...: run, keep stdout in out and stderr in err, compare the status.
expect() {
    local want=$1 got
    shift
    "$@" >out 2>err
    got=$?
    [ "$got" = "$want" ] || { fail "$* ended with $got, $want was expected"; sed 's/^/  err: /' err; sed 's/^/  out: /' out | head -20; }
}

# says FILE TEXT: the file holds the text.
says() {
    grep -qF -- "$2" "$1" || { fail "$1 does not say: $2"; sed 's/^/  /' "$1" | head -20; }
}

# one_line FILE
one_line() {
    [ "$(wc -l <"$1")" = 1 ] || { fail "$1 has not exactly one line:"; sed 's/^/  /' "$1" | head -20; }
}

# same FILE: compare with standard input.
same() {
    diff -u - "$1" >diff.txt || { fail "$1 is not as expected:"; cat diff.txt; }
}

make_job() {
    mkdir -p data/in model
    echo x >data/in/dataset.yaml
    cat >job.yaml <<END
kind: embed
model: model
input: {dataset: data/in}
output: {dataset: result/v}
resources: {ranks_per_node: 2}
END
}

# Processes of a run directory (not of the whole machine). One that has ended since its environment was read has no
# state any more.
left() {
    local pid
    for pid in /proc/[0-9]*; do
        { tr '\0' '\n' <"$pid/environ"; } 2>/dev/null | grep -qxF "ECH_RUN_DIR=$1" || continue
        case $(sed -n 's/^State:\t\(.\).*/\1/p' "$pid/status" 2>/dev/null) in
        '' | Z | X) ;;
        *) basename "$pid" ;;
        esac
    done
}

# none_left RUN SECONDS: no process of it within that time.
none_left() {
    local i
    for ((i = 0; i < $2 * 10; i++)); do
        [ -z "$(left "$1")" ] && return
        sleep 0.1
    done
    fail "processes of $1 are left: $(left "$1")"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local i n=$1
    shift
    for ((i = 0; i < n * 20; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "waited $n s for: $*"
}

run_dir() { ls -d "$PWD"/runs/*/ 2>/dev/null | tail -1 | sed 's|/$||'; }
ranks_run() { [ "$(cat "$(run_dir)"/nodes/*/events-*-*.jsonl 2>/dev/null | grep -c '"type":"lease"')" -ge "$1" ]; }

# What launchers have left for shared memory.
shm_now() { ls "$ECH_SHM"; }

done_testing() { exit $failed; }
