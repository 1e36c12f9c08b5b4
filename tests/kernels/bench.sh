#!/usr/bin/env bash
# bench.sh BENCH_KERNELS: its command line, its Markdown and its JSON; no figure is judged.
set -u
bench=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

fail() {
    echo "FAIL $*"
    failed=1
}

# expect STATUS ARGS...: its output in out, its words in err.
expect() {
    local want=$1 status=0
    shift
    "$bench" "$@" >out 2>err || status=$?
    [ $status = "$want" ] || fail "bench_kernels $*: status $status, $want expected: $(head -c 300 err)"
}

says() { grep -qF -- "$2" "$1" || fail "$1 does not say \"$2\": $(head -c 300 "$1")"; }

expect 0 --help
says out "usage: bench_kernels"
expect 64 --opps linear
says err 'unknown option "--opps"'
expect 64 --ops linear,quux
says err '"quux" is no operation'
expect 64 --formats=f33
says err '"f33" is no format'
expect 64 --ops ''
says err '"" is no operation'
expect 64 --formats f32,
says err '"" is no format'
expect 64 --threads 0
says err "an integer from 1"
expect 64 --threads 2x
expect 64 --ops
says err "wants a value"
expect 64 word
expect 69 --backend quantum
says err "there is no backend 'quantum'"
[ -s out ] && fail "half a table"
expect 0 --support
says out "| linear f32, f32 to f32 |"
says out "ref_exact |"
expect 0 --support --json
says out '"operation": "softmax", '
expect 0 --quick --ops norm,linear --formats f32 --threads 1
says out "| norm layer (240, 384)"
says out "| linear f32 (16, 384, 384), bias | 1 |"
grep -q 'attention' out && fail "an operation that was not asked for"
expect 0 --quick --ops softmax --threads 2 --json
if command -v python3 >/dev/null; then
    python3 - out <<'END' || fail "the JSON"
import json, sys
lines = json.load(open(sys.argv[1]))["lines"]
assert [l["threads"] for l in lines] == [1, 2], lines
assert all(l["supported"] and l["value"] > 0 and l["unit"] == "G elements/s" for l in lines), lines
assert lines[1]["speedup"] > 0, lines
END
fi
expect 64 --ops math,norm
says err "math is checked alone"
expect 0 --ops math --quick
says out "| tanh, relative |"
grep -q '| NO |' out && fail "a bound that does not hold: $(cat out)"
"$bench" --support >/dev/full 2>err && fail "a full output ends with 0"
says err "could not be written"
exit $failed
