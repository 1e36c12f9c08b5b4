#!/usr/bin/python3
"""memory.py RANKS THREADS [--every K]: the peak over time of the sum over ranks of Pss_Anon + Pss_Shmem.
memory.py RANKS THREADS --gguf FILE: the same with the files' pages (Pss), of a job that writes behind prompts.

Samples smaps_rollup of every rank each 100 ms while a job over every K-th SciFact document runs, and prints the peak
beside the goal: the packed weights once, and 200 MiB a rank; with a GGUF file its size once, 15 % and the ranks' caches.
Writes ./memory.
"""
import argparse, json, os, pathlib, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "bench")]
import loop, scifact, unequal


PARTS = {False: ("Pss_Anon:", "Pss_Shmem:"), True: ("Pss_Anon:", "Pss_Shmem:", "Pss_File:")}
CONTEXT = 512  # of one sequence at a time
ROW = 2 * 18 * 256 * 4  # bytes of Gemma 3 270M's keys and values of a token, f32


def pss(pid, files):
    """Bytes by part."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return [0] * len(PARTS[files])
    found = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_")}
    return [found.get(part, 0) for part in PARTS[files]]


def job(a, where, name):
    if not a.gguf:
        return f"""kind: embed
model: {loop.MODELS}/all-MiniLM-L6-v2
input: {{dataset: {where}/docs-{name}, column: text}}
output: {{dataset: {where}/out-{name}, keep: [id]}}
resources: {{threads: {a.threads}}}
runs: {where}/runs-{name}
"""
    return f"""kind: generate
model: {os.path.abspath(a.gguf)}
input: {{dataset: {where}/docs-{name}, column: text}}
output: {{dataset: {where}/out-{name}, keep: [id]}}
options: {{max_tokens: 16, context: {CONTEXT}, batch: 1, on_long: truncate}}
precision: {{compute: int8}}
resources: {{threads: {a.threads}}}
runs: {where}/runs-{name}
"""


def peak_of(a, where, name):
    """Of the run: its folder, the parts at the peak of their sum, the exit status."""
    child = subprocess.Popen([f"{loop.BIN}/echelon", "run", str(where / f"{name}.yaml"), "--ranks", str(a.ranks)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, run_dir = [0] * len(PARTS[bool(a.gguf)]), None
    while child.poll() is None:
        run_dir = loop.run_dir_of(where / f"runs-{name}")
        if run_dir:
            ranks = [pid for pid, program in loop.processes(run_dir) if program == "echelon-rank"]
            each = [pss(pid, bool(a.gguf)) for pid in ranks]
            peak = max(peak, [sum(part) for part in zip(*each)] if each else peak, key=sum)
        time.sleep(0.1)
    return run_dir, peak, child.returncode


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("ranks", type=int)
    p.add_argument("threads", type=int)
    p.add_argument("--every", type=int, default=16)
    p.add_argument("--gguf", metavar="FILE")
    a = p.parse_args()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "memory"
    where.mkdir(exist_ok=True)
    docs = list(scifact.documents(str(pathlib.Path(unequal.DATA) / "data/scifact/scifact.zip")))[:: a.every]
    name = f"{a.ranks}x{a.threads}" + ("-gguf" if a.gguf else "")
    (where / f"{name}.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / f"{name}.jsonl"), str(where / f"docs-{name}")],
                   check=True, stdout=subprocess.DEVNULL)
    (where / f"{name}.yaml").write_text(job(a, where, name))
    run_dir, parts, status = peak_of(a, where, name)
    packed = next(e["packed_bytes"] for e in unequal.events(run_dir, 0) if e["type"] == "model")
    size, mib = os.path.getsize(a.gguf) if a.gguf else 0, 1 / 2**20
    goal = size * 1.15 + a.ranks * CONTEXT * ROW if a.gguf else packed + a.ranks * 200 * 2**20
    print(f"{a.ranks} ranks x {a.threads} threads: peak {sum(parts) * mib:.0f} MiB, packed weights {packed * mib:.0f} MiB, "
          + (f"file {size * mib:.0f} MiB, " if a.gguf else "")
          + ", ".join(f"{part[4:-1]} {bytes * mib:.0f}" for part, bytes in zip(PARTS[bool(a.gguf)], parts))
          + f"; goal {goal * mib:.0f} MiB: {'met' if sum(parts) <= goal else 'NOT MET'} (status {status})")


if __name__ == "__main__":
    main()
