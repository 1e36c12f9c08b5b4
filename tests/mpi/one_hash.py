#!/usr/bin/python3
"""one_hash.py [--every K] [--full]: the same output bytes whatever runs the job.

Every K-th document of SciFact (default 96; --full: 16, with every combination; made-up texts where the data is
absent) is embedded on 1, 2, 3, 4 and 7 ranks,
with 1 and 2 threads, with leases of 16 and 256 rows, with AVX2 forced and AVX-512, each rank also as a node of its own;
all shards and manifests (less provenance) must be equal. The OpenBLAS path, bf16 and int8 give one hash each.
"""
import argparse, json, os, pathlib, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "bench")]
import loop, scifact

DATA = os.environ.get("ECH_TEST_DATA", "../shared")


def documents(every):
    """[{id, text}] of every K-th document; made-up texts where the data is absent."""
    path = pathlib.Path(DATA) / "data/scifact/scifact.zip"
    if path.exists():
        return list(scifact.documents(str(path)))[::every]
    return [{"id": str(i), "text": t} for i, t in enumerate(loop.texts(300))]


def combos(full, flags):
    base = dict(ranks=1, threads=1, lease=16, backend="auto", fake=False)
    wide = [dict(base, ranks=r, threads=t, lease=l) for r in (1, 2, 3, 4, 7) for t in (1, 2) for l in (16, 256)]
    few = [base, dict(base, ranks=2, threads=2, lease=256), dict(base, ranks=3), dict(base, ranks=4, fake=True),
           dict(base, ranks=7, lease=1)]
    backends = [dict(base, backend="avx2", threads=2)] + ([dict(base, backend="avx512")] if "avx512f" in flags else [])
    fakes = [dict(base, ranks=r, fake=True) for r in (2, 3, 7)] if full else []
    blas = [dict(base, backend="openblas"), dict(base, backend="openblas", ranks=3, threads=2, lease=7)]
    groups = {"f32": (wide if full else few) + backends + fakes, "openblas": blas}
    for precision in ("bf16", "int8"):
        groups[precision] = [dict(c, precision=precision) for c in few[:3] + backends]
    return groups


def run(where, i, c):
    job = where / f"job-{i}.yaml"
    job.write_text(f"""kind: embed
model: {loop.MODELS}/all-MiniLM-L6-v2
input: {{dataset: {where}/docs, column: text}}
output: {{dataset: {where}/out-{i}, keep: [id], shard_bytes: 64KiB}}
resources: {{threads: {c['threads']}, backend: {c['backend']}}}
balance: {{lease_rows: {c['lease']}, probe: false}}
precision: {c.get('precision', 'f32')}
runs: {where}/runs
""")
    env = dict(os.environ, ECH_RANKS_A_NODE="1" if c["fake"] else "0")
    start = time.time()
    p = subprocess.run([f"{loop.BIN}/echelon", "run", str(job), "--ranks", str(c["ranks"])], env=env,
                       capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"FAIL {c}: status {p.returncode}\n{p.stderr[-2000:]}")
    h = loop.digest(where / f"out-{i}")
    print(f"{h[:16]} {c} {time.time() - start:.1f} s", flush=True)
    return h


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--every", type=int, default=96)
    p.add_argument("--full", action="store_true")
    a = p.parse_args()
    if loop.lacks():
        return 77
    docs = documents(16 if a.full else a.every)
    where = pathlib.Path.cwd() / "hash"
    where.mkdir()
    (where / "docs.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "docs.jsonl"), str(where / "docs")], check=True,
                   stdout=subprocess.DEVNULL)
    flags = open("/proc/cpuinfo").read()
    groups, i, said = combos(a.full, flags), 0, []
    for name, ways in groups.items():
        hashes = set()
        for c in ways:
            hashes.add(run(where, i, c))
            i += 1
        if len(hashes) != 1:
            sys.exit(f"FAIL: {len(hashes)} hashes in {name}, 1 expected")
        said.append(f"{name} {len(ways)} ways")
    print(f"{len(docs)} documents, one hash each: {', '.join(said)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
