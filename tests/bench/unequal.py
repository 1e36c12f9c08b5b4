#!/usr/bin/python3
"""unequal.py [--every K] [--repeat N] [--quotas 0.9,0.22] [--policies adaptive,equal]: ranks of unequal speed.

Two ranks of one thread run one job over every K-th SciFact document, each held to a part of a core by the kernel
(cgroup v1 or v2 with a period of 5 ms; where neither can be had, by stopping and waking it each 20 ms). Prints for each policy: makespan (first lease to the last row safe), total
tokens / sum of the speeds measured while both run (the fluid optimum), and their ratio. Writes ./unequal.
"""
import argparse, json, os, pathlib, signal, statistics, subprocess, sys, threading, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "bench")]
import loop, scifact

DATA = os.environ.get("ECH_TEST_DATA", "../shared")
V1, V2 = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")


class Quota:
    """A cgroup of its own that may use `cores` of the processor."""

    def __init__(self, name, cores):
        root = V1 if (V1 / "cpu.cfs_quota_us").exists() else V2
        self.dir = root / f"echelon-{os.getpid()}-{name}"
        self.dir.mkdir()
        if root == V1:
            (self.dir / "cpu.cfs_period_us").write_text("5000")
            (self.dir / "cpu.cfs_quota_us").write_text(str(int(5000 * cores)))
        else:
            (root / "cgroup.subtree_control").write_text("+cpu")
            (self.dir / "cpu.max").write_text(f"{int(5000 * cores)} 5000")

    def take(self, pid):
        (self.dir / "cgroup.procs").write_text(str(pid))

    def close(self):
        until = time.time() + 10
        while time.time() < until:
            try:
                return self.dir.rmdir()
            except OSError:
                time.sleep(0.1)


class Throttle:
    """The same without cgroups: the process is stopped for a part of each 20 ms."""

    def __init__(self, name, cores):
        self.cores, self.ended = cores, threading.Event()

    def take(self, pid):
        threading.Thread(target=self.hold, args=(pid,), daemon=True).start()

    def hold(self, pid):
        try:
            while not self.ended.is_set():
                time.sleep(0.02 * self.cores)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.02 * (1 - self.cores))
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def close(self):
        self.ended.set()


def limit(name, cores):
    try:
        return Quota(name, cores)
    except OSError as e:
        print(f"no cgroup ({e}): stopping and waking instead", file=sys.stderr)
        return Throttle(name, cores)


def events(run_dir, rank):
    for f in run_dir.glob(f"nodes/*/events-1-{rank}.jsonl"):
        for line in f.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass


def pid_of(run_dir, rank):
    return next((e["pid"] for e in events(run_dir, rank) if e["type"] == "start"), None)


def measure(run_dir, ranks):
    """(makespan, sum of speeds while all run, tokens)"""
    at = lambda e: e["mono_ns"] / 1e9
    curves, first, last = [], [], []
    for r in range(ranks):
        mine = list(events(run_dir, r))
        first += [at(e) for e in mine if e["type"] == "lease"]
        last += [at(e) for e in mine if e["type"] == "phase" and e["name"] == "verify"][-1:]
        curves.append([(at(e), e["tokens"]) for e in mine if e["type"] == "progress"])
    start, end = min(first), max(last)
    busy_until = min(next(t for t, n in c if n == c[-1][1]) for c in curves)  # the first to have nothing more
    low, high = start + 0.15 * (busy_until - start), start + 0.9 * (busy_until - start)
    speeds = []
    for c in curves:
        inside = [p for p in c if low <= p[0] <= high]
        speeds.append((inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]))
    return end - start, speeds, sum(c[-1][1] for c in curves)


def run(where, name, policy, quotas):
    job = where / f"{name}.yaml"
    job.write_text(f"""kind: embed
model: {loop.MODELS}/all-MiniLM-L6-v2
input: {{dataset: {where}/docs, column: text}}
output: {{dataset: {where}/{name}}}
resources: {{threads: 1}}
balance: {{policy: {policy}}}
runs: {where}/runs-{name}
""")
    groups = [limit(f"{name}-{i}", q) for i, q in enumerate(quotas)]
    child = subprocess.Popen([f"{loop.BIN}/echelon", "run", str(job), "--ranks", str(len(quotas))],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    placed = set()
    while len(placed) < len(quotas) and child.poll() is None:
        run_dir = loop.run_dir_of(where / f"runs-{name}")
        for r in range(len(quotas)):
            pid = run_dir and r not in placed and pid_of(run_dir, r)
            if pid:
                groups[r].take(pid)
                placed.add(r)
        time.sleep(0.01)
    said = child.communicate()[1]
    for g in groups:
        g.close()
    if child.returncode:
        sys.exit(f"{name}: status {child.returncode}\n{said[-2000:]}")
    makespan, speeds, tokens = measure(run_dir, len(quotas))
    optimum = tokens / sum(speeds)
    print(f"| {policy} | {makespan:.1f} | {optimum:.1f} | {makespan / optimum:.3f} | "
          + " + ".join(f"{s:.0f}" for s in speeds) + f" | {tokens} |", flush=True)
    return makespan / optimum


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--every", type=int, default=2)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--quotas", default="0.9,0.22")
    p.add_argument("--policies", default="adaptive,equal")
    a = p.parse_args()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "unequal"
    where.mkdir()
    docs = list(scifact.documents(str(pathlib.Path(DATA) / "data/scifact/scifact.zip")))[:: a.every]
    (where / "docs.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "docs.jsonl"), str(where / "docs")], check=True,
                   stdout=subprocess.DEVNULL)
    quotas = [float(q) for q in a.quotas.split(",")]
    print(f"{len(docs)} documents, ranks of {quotas} cores\n")
    print("| policy | makespan s | optimum s | ratio | tokens/s while both run | tokens |\n|---|---|---|---|---|---|")
    for policy in a.policies.split(","):
        times = a.repeat if policy == "adaptive" else 1
        ratios = [run(where, f"{policy}-{i}", policy, quotas) for i in range(times)]
        print(f"\n{policy}: median ratio {statistics.median(ratios):.3f}\n", flush=True)


if __name__ == "__main__":
    main()
