#!/usr/bin/python3
"""unequal.py [--scenarios steady,slowed,killed,equal] [--seconds 120] [--repeat 3] [--quotas 0.22,0.22,0.44,0.88]

Ranks of one thread and of unequal speed run one job over SciFact documents, as many as take about --seconds, each
rank held to a part of a core by the kernel (cgroup v1 or v2, a period of 5 ms; where neither can be had, by stopping
and waking it each 20 ms). A rank's speed is its tokens/s over 30 s while all run. Scenarios, each --repeat times:
  steady  throughput / sum of speeds; target >= 0.95
  equal   the same with policy equal, once: steady is to be >= 1.7 times as fast
  slowed  in the middle the last rank's quota becomes a quarter: time / ideal <= 1.10, where the ideal knows it:
          work left at that moment / sum of the speeds after it
  killed  in the middle the last rank is killed: time / ideal <= 1.15 (the ideal gets the heartbeat time as well);
          the output is the same as the steady run's
--every K: every K-th document alone, whatever the time. Writes ./unequal. Needs root for cgroups.
"""
import argparse, json, os, pathlib, shutil, signal, statistics, subprocess, sys, threading, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "bench")]
import loop, scifact

DATA = os.environ.get("ECH_TEST_DATA", "../shared")
V1, V2 = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")


class Quota:
    """A cgroup of its own that may use `cores` of the processor."""

    def __init__(self, name, cores):
        self.root = V1 if (V1 / "cpu.cfs_quota_us").exists() else V2
        self.dir = self.root / f"echelon-{os.getpid()}-{name}"
        self.dir.mkdir()
        self.set(cores)

    def set(self, cores):
        if self.root == V1:
            (self.dir / "cpu.cfs_period_us").write_text("5000")
            (self.dir / "cpu.cfs_quota_us").write_text(str(int(5000 * cores)))
        else:
            (self.root / "cgroup.subtree_control").write_text("+cpu")
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

    def set(self, cores):
        self.cores = cores

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


def curve(run_dir, rank):
    return [(e["mono_ns"] / 1e9, e["tokens"]) for e in events(run_dir, rank) if e["type"] == "progress"]


def at(points, t):
    """Tokens at a moment, between two events in proportion."""
    if not points or t <= points[0][0]:
        return 0
    for (t0, n0), (t1, n1) in zip(points, points[1:]):
        if t <= t1:
            return n0 + (n1 - n0) * (t - t0) / (t1 - t0)
    return points[-1][1]


def speeds(curves, low, high):
    """tokens/s of each between two moments, cut to the events inside"""
    out = []
    for c in curves:
        inside = [p for p in c if low <= p[0] <= high] or [(0, 0), (1, 0)]
        out.append((inside[-1][1] - inside[0][1]) / max(inside[-1][0] - inside[0][0], 1e-9))
    return out


class Measured:
    """Moments and speeds of a finished run; `event`: the moment of the disturbance, or None."""

    def __init__(self, run_dir, ranks, event, heartbeat, lost):
        all_events = [list(events(run_dir, r)) for r in range(ranks)]
        when = lambda e: e["mono_ns"] / 1e9
        self.start = min(when(e) for mine in all_events for e in mine if e["type"] == "lease")
        self.end = max(when(e) for mine in all_events for e in mine if e["type"] == "phase" and e["name"] == "verify"
                       and when(e) > self.start)
        self.makespan = self.end - self.start
        self.tokens = max(e["tokens_done"] for e in all_events[0] if e["type"] == "todo")
        curves = [curve(run_dir, r) for r in range(ranks)]
        middle = (self.start + self.end) / 2
        span = min(30, 0.35 * self.makespan)
        low, high = (middle - span / 2, middle + span / 2) if event is None else (event - span, event)
        self.speeds = speeds(curves, low, high)
        self.optimum = self.tokens / sum(self.speeds)
        if event is not None:
            left = self.tokens - sum(at(c, event) for c in curves)
            # Leases of a rank that has become slow end seldom: its speed shows over all that is left but the tail.
            after = speeds(curves, event + 0.05 * (self.end - event), event + 0.85 * (self.end - event))
            self.after = [0 if r == lost else s for r, s in enumerate(after)]
            self.optimum = event - self.start + left / sum(self.after) + (heartbeat if lost is not None else 0)
        self.ratio = self.makespan / self.optimum


HEARTBEAT = 10


def rows_done(run_dir):
    last = None
    for e in events(run_dir, 0):
        last = e if e["type"] == "todo" else last
    return last["rows_done"] / last["rows"] if last and last["rows"] else 0


def disturb(scenario, run_dir, groups, quotas):
    """In the middle of the rows; the moment."""
    if scenario == "slowed":
        groups[-1].set(quotas[-1] / 4)
    elif scenario == "killed":
        os.kill(pid_of(run_dir, len(quotas) - 1), signal.SIGKILL)
    return time.monotonic()


def run(where, name, scenario, quotas):
    policy = "equal" if scenario == "equal" else "adaptive"
    job = where / f"{name}.yaml"
    job.write_text(f"""kind: embed
model: {loop.MODELS}/all-MiniLM-L6-v2
input: {{dataset: {where}/docs, column: text}}
output: {{dataset: {where}/{name}}}
resources: {{threads: 1}}
balance: {{policy: {policy}}}
limits: {{heartbeat: {HEARTBEAT}s}}
runs: {where}/runs-{name}
""")
    groups = [limit(f"{name}-{i}", q) for i, q in enumerate(quotas)]
    child = subprocess.Popen([f"{loop.BIN}/echelon", "run", str(job), "--ranks", str(len(quotas))],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    placed, event, run_dir = set(), None, None
    while child.poll() is None:
        run_dir = run_dir or loop.run_dir_of(where / f"runs-{name}")
        for r in range(len(quotas)):
            pid = run_dir and r not in placed and pid_of(run_dir, r)
            if pid:
                groups[r].take(pid)
                placed.add(r)
        wants = scenario in ("slowed", "killed") and event is None and len(placed) == len(quotas)
        if wants and rows_done(run_dir) >= 0.5:
            event = disturb(scenario, run_dir, groups, quotas)
        time.sleep(0.01 if len(placed) < len(quotas) else 0.2)
    said = child.communicate()[1]
    for g in groups:
        g.close()
    if child.returncode:
        sys.exit(f"{name}: status {child.returncode}\n{said[-2000:]}")
    m = Measured(run_dir, len(quotas), event, HEARTBEAT, len(quotas) - 1 if scenario == "killed" else None)
    shown = m.speeds if event is None else m.after
    print(f"| {scenario} | {m.makespan:.1f} | {m.optimum:.1f} | {m.makespan / m.optimum:.3f} "
          f"| {m.tokens / m.makespan:.0f} | " + " + ".join(f"{s:.0f}" for s in shown) + f" | {m.tokens} |", flush=True)
    return m


def import_docs(where, docs):
    (where / "docs.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "docs.jsonl"), str(where / "docs")], check=True,
                   stdout=subprocess.DEVNULL)


def sized(where, docs, quotas, seconds):
    """As many documents as take so long: by the rate of a few."""
    import_docs(where, docs[::10])
    m = run(where, "sizing", "steady", quotas)
    rows = int(seconds * len(docs[::10]) / m.tokens * sum(m.speeds))
    shutil.rmtree(where / "docs")
    return [docs[i % len(docs)] for i in range(rows)]


TARGETS = {"steady": ("throughput / sum of speeds", ">= 0.95"), "slowed": ("time / ideal", "<= 1.10"),
           "killed": ("time / ideal", "<= 1.15")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--scenarios", default="steady,slowed,killed,equal")
    p.add_argument("--seconds", type=float, default=120)
    p.add_argument("--every", type=int)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--quotas", default="0.22,0.22,0.44,0.88")
    a = p.parse_args()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "unequal"
    where.mkdir()
    docs = list(scifact.documents(str(pathlib.Path(DATA) / "data/scifact/scifact.zip")))
    quotas = [float(q) for q in a.quotas.split(",")]
    print(f"ranks of {quotas} cores\n\n| scenario | makespan s | ideal s | ratio | tokens/s | speeds (after the "
          "event) tokens/s | tokens |\n|---|---|---|---|---|---|---|", flush=True)
    docs = docs[:: a.every] if a.every else sized(where, docs, quotas, a.seconds)
    import_docs(where, docs)
    results, hashes = {}, {}
    for scenario in a.scenarios.split(","):
        for i in range(1 if scenario == "equal" else a.repeat):
            results.setdefault(scenario, []).append(run(where, f"{scenario}-{i}", scenario, quotas))
            hashes[f"{scenario}-{i}"] = loop.digest(where / f"{scenario}-{i}")
    print()
    for scenario, runs in results.items():
        if scenario == "equal":  # its ranks do not all run in the middle
            continue
        what, target = TARGETS[scenario]
        ratio = statistics.median(m.ratio for m in runs)
        print(f"{scenario}: {what} {ratio if '<' in target else 1 / ratio:.3f} target {target}")
    if "equal" in results and "steady" in results:
        gain = results["equal"][0].makespan / statistics.median(m.makespan for m in results["steady"])
        print(f"steady / equal split: {gain:.2f} times as fast, target >= 1.7")
    same = len(set(hashes.values())) == 1
    print(f"outputs of {len(hashes)} runs: {'the same bytes' if same else f'DIFFERENT {hashes}'}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
