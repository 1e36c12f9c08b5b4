#!/usr/bin/python3
"""generate.py: what a language model writes is the same whatever runs the job, byte for byte.

Texts of a model with random weights, drawn with every option of sampling on, and their scores: on 1, 2, 3 and 4 ranks,
each rank as a node of its own, with leases of 1, 7 and 64 rows, one row or many in flight, one and two threads, a cache
that holds a single row, and with a rank killed while rows run. One hash each.
"""
import json, os, pathlib, random, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop, writers

ROWS = 90
W = pathlib.Path.cwd() / "generate"
SAMPLING = {"temperature": 1.1, "top_k": 50, "top_p": 0.97, "min_p": 0.001, "repetition_penalty": 1.2, "seed": 5,
            "stop": ["q", "z "], "log_probabilities": True, "max_tokens": 30}
WAYS = [dict(ranks=1), dict(ranks=2, lease=1), dict(ranks=4, lease=7, batch=3), dict(ranks=3, lease=1, batch=1, nodes=True),
        dict(ranks=1, lease=64, threads=2, batch=64, backend="avx2")]
KILL = dict(ranks=3, lease=2, batch=2, fault="turn:4:kill@1")


def run(name, kind, options, ranks, lease="auto", batch="auto", threads=1, nodes=False, backend="auto", fault=None):
    path = W / f"{name}.yaml"
    path.write_text(json.dumps({
        "kind": kind, "model": f"{W}/model", "input": {"dataset": f"{W}/in"}, "output": {"dataset": f"{W}/{name}", "keep": ["id"]},
        "options": {**options, "batch": batch}, "resources": {"threads": threads, "backend": backend},
        "balance": {"probe": False, "lease_rows": lease, "lease_rows_max": lease}, "limits": {"heartbeat": "1s"}, "runs": f"{W}/{name}-runs"}))
    env = dict(os.environ, ECH_RANKS_A_NODE="1" if nodes else "0", **({"ECH_FAULT": fault} if fault else {}))
    start = time.time()
    p = subprocess.run([f"{loop.BIN}/echelon", "run", str(path), "--ranks", str(ranks)], env=env, capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"FAIL {name}: status {p.returncode}\n{p.stderr[-2000:]}")
    h = loop.digest(W / name)
    print(f"{h[:16]} {name}: {ranks} ranks, leases of {lease}, {batch} in flight {time.time() - start:.1f} s", flush=True)
    return h


def check_killed(name):
    """The rank did die while rows ran, and others wrote its rows."""
    run_dir = loop.run_dir_of(W / f"{name}-runs")
    said = json.loads(subprocess.run([f"{loop.BIN}/echelon", "status", str(run_dir), "--json"], capture_output=True, text=True).stdout)
    if said["dead"] != [1]:
        sys.exit(f"FAIL {name}: rank 1 was to die, dead are {said['dead']}")


def main():
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    W.mkdir()
    writers.mixed(W / "model")
    chance = random.Random(11)
    prompts = ["".join(chance.choice(writers.WORDS[3:29] + [" "]) for _ in range(chance.randint(1, 33))) for _ in range(ROWS)]
    (W / "in.jsonl").write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(prompts)))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(W / "in.jsonl"), str(W / "in")], check=True, stdout=subprocess.DEVNULL)
    hashes = {run(f"drawn-{i}", "generate", SAMPLING, **way) for i, way in enumerate(WAYS)}
    hashes.add(run("drawn-killed", "generate", SAMPLING, **KILL))
    check_killed("drawn-killed")
    scores = {run(f"scores-{i}", "score", {}, **WAYS[i]) for i in (0, 2)}
    if len(hashes) != 1 or len(scores) != 1:
        sys.exit(f"FAIL: {len(hashes)} hashes of texts, {len(scores)} of scores; 1 each expected")
    export = W / "drawn.jsonl"
    subprocess.run([f"{loop.BIN}/echelon", "data", "export", str(W / "drawn-0"), str(export)], check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in export.read_text().splitlines()]
    ends = {r["finish"] for r in rows}
    if len({r["generated"] for r in rows}) < ROWS * 0.9 or any(r["errors"] for r in rows) or not {"stop", "length"} <= ends:
        sys.exit(f"FAIL: the texts are not what they should be: {rows[:3]}, ends {ends}")
    print(f"{ROWS} rows, {len(WAYS) + 1} ways, one hash; ends: {', '.join(sorted(ends))}")


if __name__ == "__main__":
    main()
