#!/usr/bin/python3
"""A node that loses its leader goes on under the next living rank, also where that one died with it.

Ranks are counted as nodes of two and of three (ECH_RANKS_A_NODE); the first ranks of the second node are killed while
rows run. Checks: the run is sealed by its first attempt with the bytes of an undisturbed one.
"""
import json, os, pathlib, signal, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import loop

CASES = [("leader", 4, 2, [2]), ("leader-and-next", 6, 3, [3, 4])]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def pids(run_dir):
    """{rank: pid} of the ranks that have spooled something."""
    found = {}
    for events in run_dir.glob("nodes/*/events-1-*.jsonl") if run_dir else []:
        rank = int(events.stem.split("-")[-1])
        spool = events.with_name(f"spool-1-{rank}")
        if spool.exists() and spool.stat().st_size:
            for line in events.read_text().splitlines():
                if '"start"' in line:
                    found[rank] = int(line.split('"pid":')[1].split(",")[0].strip())
    return found


def hit(where, name, ranks, a_node, victims):
    (where / f"{name}.yaml").write_text(loop.job(where, name))
    child = subprocess.Popen([f"{loop.BIN}/echelon", "run", str(where / f"{name}.yaml"), "--ranks", str(ranks)],
                             env=dict(os.environ, ECH_RANKS_A_NODE=str(a_node)), **QUIET)
    known, until = {}, time.time() + 60
    while not all(v in known for v in victims) and time.time() < until and child.poll() is None:
        time.sleep(0.02)
        known = pids(loop.run_dir_of(where / f"runs-{name}"))
    if not all(v in known for v in victims):
        sys.exit(f"FAIL {name}: ranks {victims} never spooled (launcher ended with {child.poll()})")
    for v in victims:
        os.kill(known[v], signal.SIGKILL)
    code = child.wait(timeout=120)
    run_dir = loop.run_dir_of(where / f"runs-{name}")
    logs = "\n".join(f.read_text() for f in run_dir.glob("nodes/*/log-1-*"))
    status = subprocess.run([f"{loop.BIN}/echelon", "status", str(run_dir), "--json"], capture_output=True, text=True)
    dead = json.loads(status.stdout)["dead"]
    if code != 0 or dead != victims:
        sys.exit(f"FAIL {name}: the run ended with {code}; declared dead: {dead}, killed: {victims}\n{logs[-3000:]}")
    if loop.digest(where / name) != loop.digest(where / "calm"):
        sys.exit(f"FAIL {name}: other bytes")
    print(f"{name}: {ranks} ranks, {a_node} a node, killed {victims}: sealed, same bytes", flush=True)


def main():
    if loop.lacks():
        return 77
    where = pathlib.Path.cwd() / "leader"
    where.mkdir()
    (where / "texts.txt").write_text("\n".join(loop.texts(3000)) + "\n")
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], check=True, **QUIET)
    (where / "calm.yaml").write_text(loop.job(where, "calm"))
    subprocess.run([f"{loop.BIN}/echelon", "run", str(where / "calm.yaml"), "--ranks", "2"], check=True, **QUIET)
    for case in CASES:
        hit(where, *case)
    return 0


if __name__ == "__main__":
    sys.exit(main())
