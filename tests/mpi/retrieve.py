#!/usr/bin/python3
"""retrieve.py: exact search against numpy's, on 1 and 3 ranks, for texts and for vectors, with a joined column.

600 short texts are embedded; 40 queries go over the vectors. Rows must be numpy's order by score (in double) wherever
two scores are further apart than rounding, scores within 1e-5, the joined text that of the row; bytes equal on any ranks.
"""
import json, os, pathlib, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

K = 7


def column(folder, name):
    import h5py
    import numpy as np
    parts = []
    for path in sorted(folder.glob("shard-*.h5")):
        with h5py.File(path) as f:
            group = f["columns"][name]
            if "offsets" not in group:
                parts.extend(np.array(group["values"]))
            else:
                at, data = group["offsets"][()], group["bytes"][()].tobytes()
                parts.extend(data[a:b].decode() for a, b in zip(at[:-1], at[1:]))
    return parts


def run(where, name, ranks, **job):
    path = where / f"{name}.yaml"
    path.write_text(json.dumps({"model": f"{loop.MODELS}/all-MiniLM-L6-v2", "output": {"dataset": f"{where}/{name}", **job.pop("keep", {})},
                                "resources": {"threads": 1}, "balance": {"probe": False}, "runs": f"{where}/runs", **job}))
    p = subprocess.run([f"{loop.BIN}/echelon", "run", str(path), "--ranks", str(ranks)], capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"FAIL {name}: status {p.returncode}\n{p.stderr[-2000:]}")
    return where / name


def import_lines(where, name, lines):
    (where / f"{name}.txt").write_text("\n".join(lines) + "\n")
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / f"{name}.txt"), str(where / name)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check(name, found, queries, vectors, texts):
    import numpy as np
    unit = lambda m: m / np.linalg.norm(m, axis=1, keepdims=True)
    scores = unit(queries.astype(np.float64)) @ unit(vectors.astype(np.float64)).T
    rows, got, joined = column(found, "rows"), column(found, "scores"), column(found, "hits.text")
    if len(rows) != len(queries):
        sys.exit(f"FAIL {name}: {len(rows)} rows for {len(queries)} queries")
    for q, (r, s) in enumerate(zip(rows, got)):
        best = np.argsort(-scores[q], kind="stable")[:K]
        if not np.abs(scores[q][r] - s).max() < 1e-5 or not np.abs(scores[q][r] - scores[q][best]).max() < 1e-5:
            sys.exit(f"FAIL {name}: query {q}: rows {r} with {s}, numpy has {best} with {scores[q][best]}")
        if json.loads(joined[q]) != [texts[i] for i in r]:
            sys.exit(f"FAIL {name}: query {q}: joined {joined[q]}")


def main():
    if loop.lacks(peers=True):
        return 77
    import h5py, numpy as np
    where = pathlib.Path.cwd() / "retrieve"
    where.mkdir()
    texts = [f"{t} {i}" for i, t in enumerate(loop.texts(600))]
    import_lines(where, "texts", texts)
    import_lines(where, "asked", texts[5:45])
    data = lambda name, c: {"dataset": f"{where}/{name}", "column": c}
    index = run(where, "index", 2, kind="embed", input=data("texts", "text"), keep={"keep": ["text"]})
    asked = run(where, "asked-vectors", 1, kind="embed", input=data("asked", "text"))
    vectors, queries = np.array(column(index, "embedding")), np.array(column(asked, "embedding"))
    options = {"index": str(index), "top_k": K, "join": ["text"]}
    for name, source in (("text", data("asked", "text")), ("vector", data("asked-vectors", "embedding"))):
        for ranks in (1, 3):
            found = run(where, f"by-{name}-{ranks}", ranks, kind="retrieve", input=source, options=options)
            check(found.name, found, queries, vectors, texts)
        if loop.digest(where / f"by-{name}-1") != loop.digest(where / f"by-{name}-3"):
            sys.exit(f"FAIL {name}: other bytes on 3 ranks")
    print(f"{len(queries)} queries by text and by vector: numpy's hits, one hash on 1 and 3 ranks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
