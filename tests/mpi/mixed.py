#!/usr/bin/python3
"""mixed.py: numerics: mixed, ranks of two precisions in one job.

Each row says in the column numerics which class computed it, and has the bits that a job of that precision alone gives it;
the seal takes them, verify finds them whole. A resume with other ranks, and with the precisions the other way round, keeps
what was computed. Without numerics: mixed the same job is refused.
"""
import json, os, pathlib, signal, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "mpi")]
import loop
import retrieve

WHERE = pathlib.Path.cwd() / "mixed"
ECHELON = f"{loop.BIN}/echelon"
ROWS = 2400


def job(name, **more):
    path = WHERE / f"{name}.yaml"
    path.write_text(json.dumps({"kind": "embed", "model": f"{loop.MODELS}/all-MiniLM-L6-v2",
                                "input": {"dataset": f"{WHERE}/texts"}, "output": {"dataset": f"{WHERE}/{name}"},
                                "balance": {"lease_rows": 16, "lease_rows_max": 16, "probe": False},
                                "limits": {"spool_sync": "0.1s"}, "runs": f"{WHERE}/runs-{name}",
                                "resources": {"threads": 1, **more.pop("resources", {})}, **more}))
    return path


def call(*words, status=0):
    p = subprocess.run([ECHELON, *map(str, words)], capture_output=True, text=True, timeout=150)
    if p.returncode != status:
        sys.exit(f"FAIL {' '.join(map(str, words))}: status {p.returncode}, {status} was expected\n{p.stdout}\n{p.stderr}")
    return p


def vectors(name):
    import numpy as np
    return np.array(retrieve.column(WHERE / name, "embedding"))


def check(name, alone, what):
    """alone: {class: vectors of a job of that class}. Returns rows of each class."""
    import numpy as np
    classes, got = retrieve.column(WHERE / name, "numerics"), vectors(name)
    if len(classes) != ROWS or not set(classes) <= set(alone):
        sys.exit(f"FAIL {what}: classes {sorted(set(classes))}, rows {len(classes)}")
    for row, one in enumerate(classes):
        if not np.array_equal(got[row].view(np.uint32), alone[one][row].view(np.uint32)):
            sys.exit(f"FAIL {what}: row {row} says {one} and has other bits")
    if any(retrieve.column(WHERE / name, "errors")):
        sys.exit(f"FAIL {what}: rows in the errors column")
    call("data", "verify", WHERE / name)
    count = {one: classes.count(one) for one in alone}
    if not all(count.values()):
        sys.exit(f"FAIL {what}: only one class computed: {count}")
    print(f"{what}: {count}, each row with the bits of its class", flush=True)
    return classes


def run_dir(name):
    found = sorted((WHERE / f"runs-{name}").glob("*"))
    return found[-1] if found else None


def rows_done(name):
    run = run_dir(name)
    done = {}
    for path in run.glob("nodes/*/events-*") if run else []:
        for line in path.read_text().splitlines():
            if line.endswith("}") and '"type":"progress"' in line:
                e = json.loads(line)
                done[e["rank"]] = e["rows"]
    return done


def stop_in_the_middle(path):
    p = subprocess.Popen([ECHELON, "run", str(path), "--ranks", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.time() + 60
    while p.poll() is None and time.time() < until:
        done = rows_done("stopped")
        if len(done) == 2 and all(done.values()):
            break
        time.sleep(0.02)
    p.send_signal(signal.SIGTERM)
    if p.wait(60) != 75:
        sys.exit(f"FAIL: a stop ended with {p.returncode}, rows done {rows_done('stopped')}")


def main():
    if loop.lacks(peers=True):
        return 77
    import h5py, numpy
    WHERE.mkdir()
    (WHERE / "texts.txt").write_text("\n".join(f"{t} {i}" for i in range(ROWS // 300) for t in loop.texts(300)) + "\n")
    call("data", "import", WHERE / "texts.txt", WHERE / "texts")
    alone = {}
    for precision in ("f32", "int8"):
        call("run", job(precision, precision=precision), "--ranks", 2)
        alone[json.loads((run_dir(precision) / "plan.json").read_text())["numerics"]] = vectors(precision)
    if len(alone) != 2:
        sys.exit(f"FAIL: the two precisions are of the classes {list(alone)}")

    each = {"each": ["rank 1=auto/int8"]}
    call("run", job("refused", resources=each), "--ranks", 2, status=78)
    path = job("both", numerics="mixed", resources=each)
    plan = json.loads(call("plan", path, "--ranks", 3, "--json").stdout)
    if plan["numerics"] != "mixed" or plan["precision"] != "mixed":
        sys.exit(f"FAIL: the plan says {plan['numerics']}, {plan['precision']}")
    call("run", path, "--ranks", 3)
    check("both", alone, "three ranks, one of them int8")

    path = job("stopped", numerics="mixed", resources=each)
    stop_in_the_middle(path)
    before = sum(rows_done("stopped").values())
    call("resume", run_dir("stopped"), "--ranks", 3, "--set", 'resources.each=["rank 0=auto/int8"]')
    check("stopped", alone, f"stopped after {before} rows, resumed with the precisions exchanged")
    spooled = call("report", run_dir("stopped"), "--json")
    if json.loads(spooled.stdout)["attempt"] != 2:
        sys.exit("FAIL: the report does not know the second attempt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
