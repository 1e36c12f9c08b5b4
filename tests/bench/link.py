#!/usr/bin/python3
"""link.py [--rate 100mbit] [--rows N] [--window S] [--runs R]: three hosts, the links of two rate-limited.

A job on three hosts (namespaces of tests/mpi/hosts, so all on this machine's cores), one rank each. Prints the job's
throughput from the first lease to the last row beside the sum of the ranks' speeds, a speed being a rank's tokens/s over
the window in the middle in which all run; the median of R runs. Goal: 0.90. Needs root.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "mpi", "hosts"), os.path.join(HERE, "..", "fault")]
import hosts, loop


def events(run_dir):
    for path in run_dir.glob("nodes/*/events-1-*.jsonl"):
        for line in path.read_text().splitlines():
            yield json.loads(line)


def at(marks, t):
    """Tokens of a rank at a time, between its progress events."""
    before = [m for m in marks if m[0] <= t] or [(marks[0][0], 0)]
    after = [m for m in marks if m[0] >= t] or [marks[-1]]
    (t0, a), (t1, b) = before[-1], after[0]
    return a if t1 <= t0 else a + (b - a) * (t - t0) / (t1 - t0)


def measure(run_dir, window):
    """(throughput, sum of speeds) in tokens/s; one machine, so the ranks' monotonic clocks are one."""
    marks, first, last = {}, None, 0
    for e in events(run_dir):
        t = e["mono_ns"] * 1e-9
        if e["type"] == "progress":
            marks.setdefault(e["rank"], []).append((t, e["tokens"]))
        elif e["type"] == "lease":
            first = min(first or t, t)
        elif e["type"] == "phase" and e["name"] == "verify":
            last = max(last, t)
    tokens = sum(max(n for _, n in m) for m in marks.values())
    middle = (first + last) / 2
    half = min(window, 0.8 * (last - first)) / 2
    speeds = [(at(m, middle + half) - at(m, middle - half)) / (2 * half) for m in map(sorted, marks.values())]
    return tokens / (last - first), sum(speeds), speeds


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rate", default="100mbit")
    p.add_argument("--rows", type=int, default=100000)
    p.add_argument("--window", type=float, default=30)
    p.add_argument("--runs", type=int, default=3)
    a = p.parse_args()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    hosts.enter()
    where = pathlib.Path.cwd() / "link"
    where.mkdir()
    (where / "texts.txt").write_text("\n".join(loop.texts(a.rows)) + "\n")
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], check=True)
    ratios = []
    for n in range(a.runs):
        job = loop.job(where, f"out-{n}").replace("heartbeat: 1s, ", "").replace("lease_rows: 16, ", "")
        (where / f"{n}.yaml").write_text(job.replace("spool_sync: 0.1s", "spool_sync: 2s").replace("phase: 20s, ", ""))
        with hosts.Lab(3) as lab:
            lab.rate(2, a.rate)
            lab.rate(3, a.rate)
            done = lab.run(1, [f"{loop.BIN}/echelon", "run", str(where / f"{n}.yaml"), "--ranks", "3"], lab.environment(),
                           stdout=subprocess.DEVNULL)
        if done.returncode:
            return done.returncode
        throughput, total, speeds = measure(loop.run_dir_of(where / f"runs-out-{n}"), a.window)
        ratios.append(throughput / total)
        print(f"run {n + 1}: {throughput:,.0f} tokens/s, sum of speeds {total:,.0f} ({', '.join(f'{s:,.0f}' for s in speeds)}), "
              f"ratio {ratios[-1]:.3f}", flush=True)
    print(f"three hosts, links at {a.rate}: median ratio {statistics.median(ratios):.3f} (goal 0.90)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
