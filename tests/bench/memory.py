#!/usr/bin/python3
"""memory.py RANKS THREADS [--every K]: the peak over time of the sum over ranks of Pss_Anon + Pss_Shmem.

Samples smaps_rollup of every rank each 100 ms while a job over every K-th SciFact document runs, and prints the peak
beside the goal: the packed weights once, and 200 MiB a rank. Writes ./memory.
"""
import argparse, json, os, pathlib, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "bench")]
import loop, scifact, unequal


def pss(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(l.split()[1]) for l in lines if l.startswith(("Pss_Anon:", "Pss_Shmem:"))) * 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("ranks", type=int)
    p.add_argument("threads", type=int)
    p.add_argument("--every", type=int, default=16)
    a = p.parse_args()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "memory"
    where.mkdir(exist_ok=True)
    docs = list(scifact.documents(str(pathlib.Path(unequal.DATA) / "data/scifact/scifact.zip")))[:: a.every]
    name = f"{a.ranks}x{a.threads}"
    (where / f"{name}.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / f"{name}.jsonl"), str(where / f"docs-{name}")],
                   check=True, stdout=subprocess.DEVNULL)
    (where / f"{name}.yaml").write_text(f"""kind: embed
model: {loop.MODELS}/all-MiniLM-L6-v2
input: {{dataset: {where}/docs-{name}, column: text}}
output: {{dataset: {where}/out-{name}, keep: [id]}}
resources: {{threads: {a.threads}}}
runs: {where}/runs-{name}
""")
    child = subprocess.Popen([f"{loop.BIN}/echelon", "run", str(where / f"{name}.yaml"), "--ranks", str(a.ranks)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while child.poll() is None:
        run_dir = loop.run_dir_of(where / f"runs-{name}")
        if run_dir:
            ranks = [pid for pid, program in loop.processes(run_dir) if program == "echelon-rank"]
            peak = max(peak, sum(map(pss, ranks)))
        time.sleep(0.1)
    packed = next(e["packed_bytes"] for e in unequal.events(run_dir, 0) if e["type"] == "model")
    goal = packed + a.ranks * 200 * 2**20
    mib = 1 / 2**20
    print(f"{a.ranks} ranks x {a.threads} threads: peak {peak * mib:.0f} MiB, packed weights {packed * mib:.0f} MiB, "
          f"goal {goal * mib:.0f} MiB: {'met' if peak <= goal else 'NOT MET'} (status {child.returncode})")


if __name__ == "__main__":
    main()
