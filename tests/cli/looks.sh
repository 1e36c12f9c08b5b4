#!/usr/bin/env bash
# status, logs, report, clean, progress, doctor.
. "$(dirname "$0")/lib.sh"
make_job

FAKE_OUTPUT=$PWD/result/v expect 0 "$echelon" run job.yaml
run=$(cat out)
expect 0 "$echelon" status
says out "sealed -> $PWD/result/v"
says out "40 / 40 rows"
expect 0 "$echelon" status "$run" --json
python3 - out <<'END' || fail "status --json"
import json, sys
s = json.load(open(sys.argv[1]))
assert s["state"] == "sealed" and s["rows_done"] == 40 and s["attempt"] == 1, s
assert [r["rank"] for r in s["ranks"]] == [0, 1] and s["dead"] == [], s
assert all(r["rss_peak_bytes"] == 80 << 20 for r in s["ranks"]), s
END
expect 0 "$echelon" logs "$(basename "$run")"
says out "[2 ranks] info: fake: the rank begins"
says out "[1] warn: fake: a warning of rank 1"
expect 0 "$echelon" logs --rank 1
grep -q 'rank 0' out && fail "--rank 1 shows rank 0"
expect 0 "$echelon" logs --mpirun
says out "a warning of rank 1"
expect 0 "$echelon" report
[ "$(cat out)" = "$run/report.html" ] || fail "report prints $(cat out)"
says "$run/report.html" "fake &lt;cpu&gt;"
grep -qE '<script|src=|href=|@import|url\(' "$run/report.html" && fail "the report loads something"
expect 0 "$echelon" report --json
python3 - out <<'END' || fail "report --json"
import json, sys
r = json.load(open(sys.argv[1]))
assert r["state"] == "sealed" and r["tokens"] == 4000 and len(r["ranks"]) == 2, r
assert r["makespan_over_fluid"] > 0 and r["attempts"][0]["state"] == "sealed", r
END
python3 - "$run/report.html" <<'END' || fail "report.html is not well nested"
import sys
from html.parser import HTMLParser
class Check(HTMLParser):
    void = {"meta", "line", "br"}
    stack = []
    def handle_starttag(self, tag, attrs):
        if tag not in self.void: self.stack.append(tag)
    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, (tag, self.stack, self.getpos())
        self.stack.pop()
c = Check(); c.feed(open(sys.argv[1]).read()); assert not c.stack, c.stack
END

# A torn event line and foreign files do not matter.
echo -n '{"v":1,"type":"prog' >>"$run/nodes/$(hostname)/events-1-0.jsonl"
mkdir -p "$run/nodes/other"
echo 'not JSON' >"$run/nodes/other/events-1-7.jsonl"
expect 0 "$echelon" status "$run"

# clean: only what is sealed and verified.
FAKE_SOLO=65 expect 65 "$echelon" clean "$run"
says err "could not be verified"
ls "$run"/nodes/*/spool-* >/dev/null 2>&1 || fail "clean dropped spools of a damaged output"
expect 0 "$echelon" clean "$run"
says err "--solo data verify $PWD/result/v"
ls "$run"/nodes/*/spool-* >/dev/null 2>&1 && fail "clean left spools"
[ -e "$run/result-1.json" ] || fail "clean removed the result"
FAKE=code=65 expect 65 "$echelon" run job.yaml
expect 65 "$echelon" clean "$(cat out)"
says err "is not sealed"

# Progress: a block on a terminal, quiet below two seconds elsewhere.
expect 0 "$echelon" run job.yaml
grep -q 'rows/s' err && fail "progress in a short run"
if command -v script >/dev/null; then
    FAKE=rows=180,ms=40 TERM=xterm script -qec "$echelon run job.yaml" /dev/null >tty.txt
    says tty.txt "rank 1"
    grep -q 'rows  *[0-9,]* rows/s' tty.txt || fail "no rate on the terminal"
fi
# Following ends with the run.
FAKE=rows=80,ms=40 "$echelon" run job.yaml >run.out 2>/dev/null & pid=$!
wait_for 10 test -s run.out
timeout 20 "$echelon" logs "$(cat run.out)" --follow >out || fail "logs --follow does not end"
wait $pid
says out "a warning of rank 0"

expect 0 "$echelon" doctor
says out "ok       mpirun"
says out "ok       echelon-rank"
says out "--solo doctor"
expect 69 env PATH=/nowhere "$echelon" doctor
says out "lacking  mpirun"
expect 0 "$echelon" doctor --version
echo 'echelon-rank: fake' | same out
expect 0 "$echelon" config show job.yaml
says out "kind: embed"
done_testing
