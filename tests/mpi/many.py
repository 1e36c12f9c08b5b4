#!/usr/bin/python3
"""many.py: 64 ranks on this machine, far more than it has cores, about a lease each: it ends, no collective phase takes
longer than two seconds, and the bytes are those of one rank.
"""
import json, os, pathlib, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

RANKS, ROWS, PHASE_S = 64, 1280, 2.0
COLLECTIVE = {"verify", "memory", "plan", "seal"}


def run(where, name, ranks):
    """The run directory."""
    path = where / f"{name}.yaml"
    path.write_text(json.dumps({"kind": "embed", "model": f"{loop.MODELS}/all-MiniLM-L6-v2", "input": {"dataset": f"{where}/texts"},
                                "output": {"dataset": f"{where}/{name}"}, "resources": {"threads": 1},
                                "balance": {"lease_rows": 20, "lease_rows_max": 20, "probe": False},
                                "runs": f"{where}/runs-{name}"}))
    p = subprocess.run([f"{loop.BIN}/echelon", "run", str(path), "--ranks", str(ranks)], capture_output=True, text=True, timeout=100)
    if p.returncode:
        sys.exit(f"FAIL {ranks} ranks: status {p.returncode}\n{p.stderr[-2000:]}")
    return pathlib.Path(p.stdout.strip())


def phases(run_dir):
    """{name: seconds} of rank 0, which waits for all in each of them."""
    events = [json.loads(line) for line in next(run_dir.glob("nodes/*/events-1-0.jsonl")).read_text().splitlines()]
    marks = [(e["mono_ns"], e.get("name", "")) for e in events if e["type"] in ("phase", "end")]
    took = {}
    for (begin, name), (end, _) in zip(marks, marks[1:]):
        took[name] = max(took.get(name, 0), (end - begin) * 1e-9)
    return took


def main():
    if loop.lacks():
        return 77
    where = pathlib.Path.cwd() / "many"
    where.mkdir()
    (where / "texts.txt").write_text("\n".join(loop.texts(ROWS)) + "\n")
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run(where, "one", 1)
    took = phases(run_dir := run(where, "many", RANKS))
    late = {name: s for name, s in took.items() if name in COLLECTIVE and not s <= PHASE_S}
    if late or not COLLECTIVE <= set(took):
        sys.exit(f"FAIL: phases {took}, {PHASE_S} s at most were expected")
    if loop.digest(where / "one") != loop.digest(where / "many"):
        sys.exit("FAIL: other bytes")
    view = json.loads(subprocess.run([f"{loop.BIN}/echelon", "status", str(run_dir), "--json"], capture_output=True, text=True).stdout)
    work = sum(r["rows"] > 0 for r in view["ranks"])
    if len(view["ranks"]) != RANKS or work < 2:
        sys.exit(f"FAIL: {len(view['ranks'])} ranks, {work} with rows")
    print(f"{RANKS} ranks, {work} with rows: the same bytes; phases " + ", ".join(f"{n} {s:.2f} s" for n, s in took.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
