#!/usr/bin/python3
"""lost_import.py: a rank of `data import --ranks` is killed, is stopped, fills the disk, or never comes: nothing half made
is left.

Each case (by an injection point in rank 1, while it writes) checks the status, that the message names rank 1, that the
dataset is as before (not there, or its old generation), that no process, nothing in /dev/shm and no partial folder is left,
and that the same command without the fault then makes the bytes that one process makes.
"""
import json, os, pathlib, random, shutil, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import loop

ROWS, RANKS, WATCH_S = 40000, 3, 8
CASES = [  # fault, status, what is said
    ("killed", "write:2:kill@1", 75, ["rank 1 on ", " was lost (Killed)"]),
    ("stopped", "write:2:stop@1", 75, ["rank 1 is silent (dead, stopped or cut off)"]),
    ("full", "write:2:full@1", 74, ["No space left on device"]),
]


def started(marker):
    """Processes with this value in their environment."""
    found = []
    for p in pathlib.Path("/proc").iterdir():
        try:
            if p.name.isdigit() and int(p.name) != os.getpid() and marker.encode() in (p / "environ").read_bytes():
                found.append((int(p.name), (p / "comm").read_text().strip()))
        except OSError:
            pass
    return found


def echelon(where, words, watch=WATCH_S, **env):
    return subprocess.run([f"{loop.BIN}/echelon", "data", *words], capture_output=True, text=True, timeout=100, cwd=where,
                          env=dict(os.environ, ECH_SHM=str(where / "shm"), ECH_START_SECONDS=str(watch), **env))


def nothing_left(where, name, before):
    until = time.time() + 30
    while True:
        left = started(str(where / "shm")) + os.listdir(where / "shm") + sorted(set(os.listdir(where)) - before)
        if not left:
            return
        if time.time() > until:
            sys.exit(f"FAIL {name}: left after 30 s: {left}")
        time.sleep(0.1)


def same(a, b):
    """Datasets of equal bytes, apart from where they came from."""
    files = sorted(os.listdir(a))
    return files == sorted(os.listdir(b)) and loop.digest(a) == loop.digest(b)


def hit(where, name, fault, status, words, verb):
    """verb: import into a new dataset, or append to one that is there."""
    target = where / f"{name}-{verb}"
    if verb == "append":
        shutil.copytree(where / "old", target)
    command = [verb, "texts.jsonl", target.name, "--ranks", str(RANKS)] + (["--shard-bytes", "300000"] if verb == "import" else [])
    before = set(os.listdir(where))
    began = time.time()
    done = echelon(where, command, ECH_FAULT=fault)
    name = f"{name}, {verb}"
    if done.returncode != status or not all(w in done.stderr for w in words):
        sys.exit(f"FAIL {name}: status {done.returncode} ({status} expected), said: {done.stderr}")
    nothing_left(where, name, before)
    if verb == "append" and not same(target, where / "old"):
        sys.exit(f"FAIL {name}: the dataset has changed")
    took = time.time() - began
    again = echelon(where, command)
    if again.returncode != 0 or not same(target, where / ("new" if verb == "import" else "grown")):
        sys.exit(f"FAIL {name}: once more: status {again.returncode}, {again.stderr}")
    print(f"{name}: status {status} after {took:.1f} s, nothing half made, then the same bytes", flush=True)


def nobody_comes(where):
    """A host that never answers: mpirun alone would wait for ever."""
    (where / "agent").write_text("#!/bin/sh\nexec sleep 600\n")
    (where / "agent").chmod(0o755)
    (where / "elsewhere").write_text("elsewhere slots=3\n")
    before, began = set(os.listdir(where)), time.time()
    done = echelon(where, ["import", "texts.jsonl", "far", "--ranks", str(RANKS)], watch=3, OMPI_MCA_plm_rsh_agent=str(where / "agent"),
                   OMPI_MCA_orte_default_hostfile=str(where / "elsewhere"))
    took = time.time() - began
    if done.returncode != 75 or "no rank has started within 3" not in done.stderr or took > 13:
        sys.exit(f"FAIL nobody: status {done.returncode} after {took:.1f} s, said: {done.stderr}")
    nothing_left(where, "nobody", before)
    print(f"nobody: status 75 after {took:.1f} s", flush=True)


def main():
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "lost-import"
    (where / "shm").mkdir(parents=True)
    rng = random.Random(3)
    with open(where / "texts.jsonl", "w") as out:
        for i in range(ROWS):
            out.write(json.dumps({"id": i, "text": " ".join(rng.choice(loop.WORDS) for _ in range(rng.randint(1, 30)))}) + "\n")
    for command in (["import", "texts.jsonl", "new", "--shard-bytes", "300000"], ["import", "texts.jsonl", "old", "--shard-bytes", "300000"]):
        if echelon(where, command).returncode != 0:
            sys.exit("FAIL: the import without ranks")
    shutil.copytree(where / "old", where / "grown")
    if echelon(where, ["append", "texts.jsonl", "grown"]).returncode != 0:
        sys.exit("FAIL: the append without ranks")
    for case in CASES:
        for verb in ("import", "append"):
            hit(where, *case, verb)
    nobody_comes(where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
