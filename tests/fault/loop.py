#!/usr/bin/python3
"""loop.py [--n N] [--seed S] [--rows R]: kill at random, resume with another number of ranks, compare bytes.

Each turn starts a run, kills one of its ranks, the whole mpirun, or the launcher at a random moment, resumes with
another number of ranks (killing again now and then) until the run is sealed, and compares the output's shards and
manifest (less provenance) with those of an undisturbed run. After each kill no process of the run may be left after
30 s, and nothing of it in /dev/shm once it is sealed. Ends with 1 at the first difference.
"""
import argparse, hashlib, os, pathlib, random, signal, subprocess, sys, time

BIN = os.environ.get("ECH_BIN", "build/bin")
MODELS = os.environ.get("ECH_TEST_MODELS", "models")
WORDS = "wood stone river light engine paper signal forest copper window winter market harbour letter garden".split()


def texts(rows):
    r = random.Random(7)
    return [" ".join(r.choice(WORDS) for _ in range(r.randint(1, 40))) for _ in range(rows)]


def job(where, name):
    return f"""kind: embed
model: {MODELS}/all-MiniLM-L6-v2
input: {{dataset: {where}/texts, column: text}}
output: {{dataset: {where}/{name}, keep: [text], shard_bytes: 256KiB}}
resources: {{threads: 1}}
balance: {{lease_rows: 16, probe: false}}
limits: {{heartbeat: 1s, phase: 20s, spool_sync: 0.1s}}
runs: {where}/runs-{name}
"""


def digest(folder):
    h = hashlib.sha256()
    for p in sorted(pathlib.Path(folder).glob("shard-*.h5")):
        h.update(p.name.encode() + p.read_bytes())
    keep = True
    for line in (pathlib.Path(folder) / "dataset.yaml").read_text().splitlines():
        if not line.startswith(" "):
            keep = not line.startswith(("provenance:", "checksum:", "hash:"))
        if keep:
            h.update(line.encode())
    return h.hexdigest()


def processes(run_dir):
    """(pid, name) of processes whose command line names the run directory."""
    found = []
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                line = (p / "cmdline").read_bytes().split(b"\0")
                if any(str(run_dir).encode() in a for a in line) and int(p.name) != os.getpid():
                    found.append((int(p.name), os.path.basename(line[0].decode())))
            except OSError:
                pass
    return found


def run_dir_of(runs):
    dirs = sorted(d for d in runs.glob("*") if (d / "job.yaml").exists())
    return dirs[-1] if dirs else None


def strike(rng, child, runs):
    """Kill one thing at a random moment; what it was, or None where the run ended first."""
    wait = time.time() + rng.uniform(0.05, 3.0)
    while time.time() < wait and child.poll() is None:
        time.sleep(0.005)
    if child.poll() is not None:
        return None
    what = rng.choice(["rank", "rank", "mpirun", "launcher"])
    run_dir = run_dir_of(runs)
    victims = processes(run_dir) if run_dir else []
    named = [pid for pid, name in victims if name == {"rank": "echelon-rank", "mpirun": "mpirun"}.get(what)]
    victim = rng.choice(named) if named else child.pid
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return what if named else "launcher"


def wait_gone(run_dir, seconds=30):
    until = time.time() + seconds
    left = processes(run_dir)
    while left and time.time() < until:
        time.sleep(0.1)
        left = processes(run_dir)
    return left


def attempt(rng, command, runs, may_kill, log):
    with open(log, "ab") as out:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=out, stdin=subprocess.DEVNULL)
        struck = strike(rng, child, runs) if may_kill else None
        try:
            code = child.wait(timeout=120)
        except subprocess.TimeoutExpired:
            child.kill()
            sys.exit(f"FAIL: {' '.join(command)} did not end in 120 s (after killing {struck})")
    return code, struck


def turn(i, rng, where, want, rows):
    name = f"out-{i}"
    file = where / f"{name}.yaml"
    file.write_text(job(where, name))
    runs, log, story = where / f"runs-{name}", where / f"{name}.log", []
    for step in range(12):
        ranks = rng.choice([1, 2, 3, 4])
        run_dir = run_dir_of(runs)
        command = [f"{BIN}/echelon"] + (["resume", str(run_dir)] if run_dir else ["run", str(file)])
        code, struck = attempt(rng, command + ["--ranks", str(ranks)], runs, step < 8 and rng.random() < 0.8, log)
        story.append(f"{ranks} ranks, killed {struck}: {code}")
        run_dir = run_dir_of(runs)
        left = wait_gone(run_dir) if run_dir else []
        if left:
            sys.exit(f"FAIL turn {i}: left after 30 s: {left}; {story}")
        if code == 0:
            break
        if code not in (75, -signal.SIGKILL):
            sys.exit(f"FAIL turn {i}: status {code}; {story}\n{log.read_text()[-2000:]}")
    if code != 0 or digest(where / name) != want:
        sys.exit(f"FAIL turn {i}: {'other bytes' if code == 0 else 'never sealed'}; {story}\n{log.read_text()[-2000:]}")
    print(f"turn {i}: " + "; ".join(story), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--n", type=int, default=5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rows", type=int, default=3000)
    a = p.parse_args()
    if not os.path.exists(f"{MODELS}/all-MiniLM-L6-v2/model.safetensors"):
        print("SKIP data: all-MiniLM-L6-v2 is not there (ci/get-model)", file=sys.stderr)
        return 77
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "fault"
    where.mkdir()
    shm = pathlib.Path(f"/dev/shm/loop-{os.getpid()}")  # others may run jobs of their own meanwhile
    shm.mkdir()
    os.environ["ECH_SHM"] = str(shm)
    (where / "texts.txt").write_text("\n".join(texts(a.rows)) + "\n")
    subprocess.run([f"{BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], check=True,
                   stdout=subprocess.DEVNULL)
    (where / "calm.yaml").write_text(job(where, "calm"))
    subprocess.run([f"{BIN}/echelon", "run", str(where / "calm.yaml"), "--ranks", "1"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    want = digest(where / "calm")
    for i in range(1, a.n + 1):
        turn(i, random.Random(a.seed * 1000003 + i), where, want, a.rows)
    left = os.listdir(shm)
    if left:
        sys.exit(f"FAIL: left in {shm}: {sorted(left)}")
    shm.rmdir()
    print(f"{a.n} turns, every output equal to the undisturbed one ({want[:16]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
