#!/usr/bin/python3
"""loop.py [--n N] [--seed S] [--rows R] [--hosts H]: random faults, resume with another number of ranks, compare bytes.

Each turn starts a run on H hosts (3 namespaces of tests/mpi/hosts; 1 where they are refused or asked for), lets one thing
happen at a random moment, resumes with another number of ranks (with another fault now and then) until the run is sealed,
and compares the output's shards and manifest (less provenance) with those of an undisturbed run. Faults: a rank killed or
stopped (and woken later), the whole mpirun, the launcher; on several hosts also a host switched off, its link down (up
again later), slowed to 20 Mbit/s. After each attempt no process of the run may be left after 30 s, and nothing of it in
/dev/shm, on any host that lives and is connected; on the others neither, once the run is sealed, and then nothing of MPI's
daemon in TMPDIR where the last attempt ran. Ends with 1 at the first difference.
"""
import argparse, hashlib, os, pathlib, random, signal, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mpi", "hosts"))
import hosts

BIN = os.environ.get("ECH_BIN", "build/bin")
MODELS = os.environ.get("ECH_TEST_MODELS", "models")
WORDS = "wood stone river light engine paper signal forest copper window winter market harbour letter garden".split()


def lacks(peers=False):
    """Says what a test misses here. Else the environment is ready for mpirun."""
    try:
        if peers:
            import h5py, numpy
    except ImportError:
        print("SKIP python peers: h5py and numpy are not there", file=sys.stderr)
        return True
    if not os.path.exists(f"{MODELS}/all-MiniLM-L6-v2/model.safetensors"):
        print("SKIP data: all-MiniLM-L6-v2 is not there (ci/get-model)", file=sys.stderr)
        return True
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return False


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


class Here:
    """This machine alone, with the calls of a lab that the loop uses."""

    def __init__(self):
        self.shm_dir = pathlib.Path(f"/dev/shm/loop-{os.getpid()}")  # others may run jobs of their own meanwhile
        self.pids = {1: None}

    def __enter__(self):
        self.shm_dir.mkdir()
        os.environ["ECH_SHM"] = str(self.shm_dir)
        return self

    def __exit__(self, *_):
        for left in self.shm_dir.iterdir():
            print(f"left in {left}")
        self.shm_dir.rmdir()

    def environment(self, slots):
        return {}

    def popen(self, k, argv, env, **more):
        return subprocess.Popen(argv, env=dict(os.environ, **env), stdin=subprocess.DEVNULL, **more)

    def shm(self, k):
        return os.listdir(self.shm_dir)

    def left(self, k, run_dir):
        return processes(run_dir)

    def left_in_tmp(self, run_dir):
        return []  # mpirun's own files lie in /dev/shm


class Many(hosts.Lab):
    def left(self, k, run_dir):
        return [(pid, comm) for pid, comm, _ in self.processes(k)]

    def left_in_tmp(self, run_dir):
        """On the hosts where its last attempt ran: each start sweeps what earlier ones left."""
        last = max(int(r.stem.split("-")[1]) for r in run_dir.glob("result-*.json"))
        ran = {e.parent.name for e in run_dir.glob(f"nodes/*/events-{last}-*")}
        return [(k, name) for k in self.pids if f"node{k}" in ran for name in self.tmp(k)]


class Faults:
    """What happens to one attempt, and what has to be mended before the next."""

    def __init__(self, rng, lab):
        self.rng, self.lab, self.cut, self.stopped = rng, lab, set(), []

    def strike(self, child, runs):
        """One thing at a random moment; what it was, or None where the run ended first."""
        wait = time.time() + self.rng.uniform(0.05, 3.0)
        while time.time() < wait and child.poll() is None:
            time.sleep(0.005)
        if child.poll() is not None:
            return None
        kinds = ["rank", "rank", "rank stopped", "mpirun", "launcher"]
        what = self.rng.choice(kinds + (["host off", "link down", "link slow"] if len(self.lab.pids) > 1 else []))
        if what.startswith(("host", "link")):
            return self.strike_host(what)
        run_dir = run_dir_of(runs)
        name = {"mpirun": "mpirun", "launcher": "echelon"}.get(what, "echelon-rank")
        named = [pid for pid, comm in (processes(run_dir) if run_dir else []) if comm == name]
        victim = self.rng.choice(sorted(named)) if named else None
        try:
            os.kill(victim or child.pid, signal.SIGSTOP if victim and what == "rank stopped" else signal.SIGKILL)
        except ProcessLookupError:
            pass
        if victim and what == "rank stopped":
            self.stopped.append((victim, time.time() + self.rng.uniform(0.5, 8)))
        return what if victim else "starter"

    def strike_host(self, what):
        k = self.rng.choice(sorted(self.lab.pids)[1:])  # the first one has the launcher
        if what == "host off":
            self.lab.kill(k)
        elif what == "link down":
            self.lab.link(k, False)
            self.cut.add(k)
        else:
            self.lab.rate(k, "20mbit")
        return f"{what} {k}"

    def wake(self, now=False):
        for pid, when in list(self.stopped):
            if now or time.time() > when:
                self.stopped.remove((pid, when))
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass

    def mend(self):
        """Sometimes: the hosts are back for the next attempt."""
        self.wake(now=True)
        for k in sorted(self.cut):
            if self.rng.random() < 0.7:
                self.lab.link(k, True)
                self.cut.discard(k)
        for k in range(2, getattr(self.lab, "count", 1) + 1):
            if k not in self.lab.pids and self.rng.random() < 0.7:
                self.lab.boot(k)


def wait_clean(lab, faults, run_dir, seconds=30):
    """What is left on the hosts that live and are connected, after 30 s at most."""
    until = time.time() + seconds
    while True:
        faults.wake()
        left = [(k, what) for k in lab.pids if k not in faults.cut for what in lab.left(k, run_dir) + lab.shm(k)]
        if not left or time.time() > until:
            return left
        time.sleep(0.1)


def attempt(faults, lab, env, command, runs, may_strike, log):
    with open(log, "ab") as out:
        child = lab.popen(1, command, env, stdout=subprocess.DEVNULL, stderr=out)
        struck = faults.strike(child, runs) if may_strike else None
        until = time.time() + 150
        while child.poll() is None:
            faults.wake()
            time.sleep(0.01)
            if time.time() > until:
                sys.exit(f"FAIL: {' '.join(command)} did not end in 150 s (after {struck})\n{log.read_text()[-3000:]}")
    return child.returncode, struck


def turn(i, rng, lab, where, want):
    name = f"out-{i}"
    file = where / f"{name}.yaml"
    file.write_text(job(where, name))
    runs, log, story = where / f"runs-{name}", where / f"{name}.log", []
    faults = Faults(rng, lab)
    for step in range(12):
        ranks = rng.choice([1, 2, 3, 4] if len(lab.pids) == 1 else [2, 3, 4, 6])
        run_dir = run_dir_of(runs)
        command = [f"{BIN}/echelon"] + (["resume", str(run_dir)] if run_dir else ["run", str(file)])
        env = lab.environment(2 if ranks > 3 else 1)
        code, struck = attempt(faults, lab, env, command + ["--ranks", str(ranks)], runs, step < 8 and rng.random() < 0.8, log)
        story.append(f"{ranks} ranks, {struck or 'nothing'}: {code}")
        run_dir = run_dir_of(runs)
        left = wait_clean(lab, faults, run_dir) if run_dir else []
        if left:
            sys.exit(f"FAIL turn {i}: left after 30 s: {left}; {story}")
        if code == 0:
            until = time.time() + 30
            while lab.left_in_tmp(run_dir) and time.time() < until:
                time.sleep(0.1)
            if lab.left_in_tmp(run_dir):
                sys.exit(f"FAIL turn {i}: in TMPDIR after 30 s: {lab.left_in_tmp(run_dir)}; {story}")
            break
        if code not in (75, -signal.SIGKILL, 128 + signal.SIGKILL):
            sys.exit(f"FAIL turn {i}: status {code}; {story}\n{log.read_text()[-2000:]}")
        faults.mend()
    if code != 0 or digest(where / name) != want:
        sys.exit(f"FAIL turn {i}: {'other bytes' if code == 0 else 'never sealed'}; {story}\n{log.read_text()[-2000:]}")
    print(f"turn {i}: " + "; ".join(story), flush=True)


def prepare(where, rows):
    where.mkdir()
    (where / "texts.txt").write_text("\n".join(texts(rows)) + "\n")
    subprocess.run([f"{BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], check=True,
                   stdout=subprocess.DEVNULL)
    (where / "calm.yaml").write_text(job(where, "calm"))
    subprocess.run([f"{BIN}/echelon", "run", str(where / "calm.yaml"), "--ranks", "1"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return digest(where / "calm")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--n", type=int, default=5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rows", type=int, default=3000)
    p.add_argument("--hosts", type=int, default=1 if hosts.refused() else 3)
    a = p.parse_args()
    if lacks():
        return 77
    if a.hosts > 1:
        hosts.enter()
    where, began = pathlib.Path.cwd() / "fault", time.time()
    want = prepare(where, a.rows)
    for i in range(1, a.n + 1):
        with (Many(a.hosts) if a.hosts > 1 else Here()) as lab:
            turn(i, random.Random(a.seed * 1000003 + i), lab, where, want)
    print(f"{a.n} turns on {a.hosts} host{'s' if a.hosts > 1 else ''} in {time.time() - began:.0f} s: every output equal to the "
          f"undisturbed one ({want[:16]}), 0 hangs, 0 orphans")
    return 0


if __name__ == "__main__":
    sys.exit(main())
