#!/usr/bin/python3
"""worker.py: a model split over the ranks of a worker gives the bytes of the whole one, whatever happens.

Workers of 1, 2 and 3 ranks and mixtures of them, ranks of one node and each a node of its own, f32 and int8; a memory
budget that forces the split, and one that nothing can meet; a stage, a head or the only worker killed in the middle:
the job ends with the same bytes, or with 75 and `resume` ends it with workers grouped anew.
"""
import json, os, pathlib, re, signal, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

WHERE = pathlib.Path.cwd() / "worker"


def job(name, data, extra):
    file = WHERE / f"{name}.yaml"
    file.write_text(f"""kind: embed
model: {loop.MODELS}/all-MiniLM-L6-v2
input: {{dataset: {WHERE}/{data}, column: text}}
output: {{dataset: {WHERE}/{name}, shard_bytes: 256KiB}}
limits: {{heartbeat: 1s, phase: 30s, spool_sync: 0.1s}}
balance: {{lease_rows: 16}}
runs: {WHERE}/runs-{name}
{extra}
""")
    return file


def command(*words, nodes=False):
    env = dict(os.environ, ECH_RANKS_A_NODE="1" if nodes else "0")
    return subprocess.Popen([f"{loop.BIN}/echelon", *map(str, words)], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(child, code, what):
    try:
        out, err = child.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        child.kill()
        sys.exit(f"FAIL {what}: no end in 100 s")
    if child.returncode != code:
        sys.exit(f"FAIL {what}: status {child.returncode}, {code} was expected\n{err[-2000:]}")
    return err


def events(name):
    found = []
    for p in (WHERE / f"runs-{name}").glob("*/nodes/*/events-*.jsonl"):
        for line in p.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
    return found


def stages(name):
    """{(worker, stage): (rank, first, end)} of the last attempt."""
    found = [e for e in events(name) if e["type"] == "worker"]
    last = max((e["attempt"] for e in found), default=0)
    return {(e["worker"], e["stage"]): (e["rank"], e["layer_first"], e["layer_end"]) for e in found
            if e["attempt"] == last}


def check(name, truth, what):
    if loop.digest(WHERE / name) != truth:
        sys.exit(f"FAIL {what}: other bytes")
    layers = {}
    for (worker, _), (_, first, end) in stages(name).items():
        layers.setdefault(worker, []).append((first, end))
    for worker, cuts in layers.items():
        if sum(end - first for first, end in cuts) != 6:
            sys.exit(f"FAIL {what}: worker {worker} has the layers {cuts}")
    print(f"{what}: equal bytes, layers {layers}", flush=True)


def same_bytes():
    for precision in ("f32", "int8"):
        extra = f"precision: {precision}\nresources: {{threads: 1"
        finish(command("run", job(f"whole-{precision}", "few", extra + "}"), "--ranks", 1), 0, "whole")
        truth = loop.digest(WHERE / f"whole-{precision}")
        ways = [(2, 2, False), (3, 3, True), (5, 2, False)] if precision == "int8" else [
            (1, "auto", False), (2, 1, False), (2, 2, False), (3, 3, False), (4, 2, False), (4, 2, True), (5, 2, False),
            (5, 3, True), (7, 7, False)]
        for ranks, per, nodes in ways:
            name = f"{precision}-{ranks}-{per}-{int(nodes)}"
            file = job(name, "few", f"{extra}, ranks_per_worker: {per}}}")
            finish(command("run", file, "--ranks", ranks, nodes=nodes), 0, name)
            check(name, truth, f"{precision}, {ranks} ranks by {per}{', each a node' if nodes else ''}")
            workers = len({w for w, _ in stages(name)})
            if per not in ("auto", 1) and workers != ranks // per:
                sys.exit(f"FAIL {name}: {workers} workers")
    return loop.digest(WHERE / "whole-f32")


def sum_needed(err):
    """Bytes in the refusal: the budget, what one rank needs, the weights in that, and the rest."""
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    return [float(n) * units[u] for n, u in re.findall(r"([\d.]+) ([KMG]iB)", err)]


def budgets(truth):
    file = job("tight", "few", "resources: {threads: 1, memory: 60MiB, ranks_per_worker: 1}")
    err = finish(command("run", file, "--ranks", 2, nodes=True), 69, "no budget")
    all_needed, weights = sum_needed(err)[1:3]
    memory = int(all_needed - weights * 0.25)  # too little for the whole, enough for the halves
    file = job("forced", "few", f"resources: {{threads: 1, memory: {memory}}}")
    finish(command("run", file, "--ranks", 2, nodes=True), 0, "forced")
    check("forced", truth, f"a budget of {memory >> 20} MiB a node")
    if len(stages("forced")) != 2:
        sys.exit(f"FAIL: the budget of {memory} bytes forced no split")
    memory = int(all_needed + weights * 0.5)
    file = job("ample", "few", f"resources: {{threads: 1, memory: {memory}}}")
    finish(command("run", file, "--ranks", 2, nodes=True), 0, "ample")
    if stages("ample"):
        sys.exit("FAIL: a model that fits was split")
    memory = int(all_needed - weights * 0.6)
    file = job("none", "few", f"resources: {{threads: 1, memory: {memory}}}")
    err = finish(command("run", file, "--ranks", 2, nodes=True), 69, "too little for all")
    if "each lacks" not in err:
        sys.exit(f"FAIL: nothing says how much is lacking: {err}")


def kill_rank(name, rank):
    """Once rows run and some are done."""
    until = time.time() + 40
    while time.time() < until:
        seen = events(name)
        if any(e["type"] == "progress" and e.get("rows", 0) > 0 for e in seen):
            os.kill([e["pid"] for e in seen if e["type"] == "start" and e["rank"] == rank][-1], signal.SIGKILL)
            return
        time.sleep(0.05)
    sys.exit(f"FAIL {name}: no progress in 40 s")


def deaths(truth):
    # rank 0 heads the first worker: the coordinator stays when its worker breaks
    for victim, nodes in ((1, False), (3, False), (2, False), (1, True), (3, True)):
        name = f"kill-{victim}-{int(nodes)}"
        child = command("run", job(name, "many", "resources: {threads: 1, ranks_per_worker: 2}"), "--ranks", 4,
                        nodes=nodes)
        kill_rank(name, victim)
        finish(child, 0, name)
        if not any(e["type"] == "dead" and e["who"] == victim for e in events(name)):
            sys.exit(f"FAIL {name}: the death was not told")
        check(name, truth, f"rank {victim} killed{', each rank a node' if nodes else ''}")
    name = "last"
    child = command("run", job(name, "many", "resources: {threads: 1, ranks_per_worker: 2}"), "--ranks", 2)
    kill_rank(name, 1)
    err = finish(child, 75, name)
    if "no worker has all its ranks" not in err:
        sys.exit(f"FAIL {name}: {err}")
    run = loop.run_dir_of(WHERE / f"runs-{name}")
    finish(command("resume", run, "--ranks", 3), 0, "resume of last")
    check(name, truth, "the only worker killed, resumed on 3 ranks")


def stop(truth):
    name = "stop"
    child = command("run", job(name, "many", "resources: {threads: 1, ranks_per_worker: 2}"), "--ranks", 4)
    until = time.time() + 40
    while time.time() < until and not any(e["type"] == "progress" and e.get("rows", 0) > 0 for e in events(name)):
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    start = time.time()
    finish(child, 75, name)
    took = time.time() - start
    if took > 8:
        sys.exit(f"FAIL stop: {took:.1f} s")
    finish(command("resume", loop.run_dir_of(WHERE / f"runs-{name}"), "--ranks", 3), 0, "resume of stop")
    check(name, truth, f"stopped in {took:.1f} s, resumed on 3 ranks")


def main():
    if loop.lacks():
        return 77
    WHERE.mkdir()
    for name, rows in (("few", 150), ("many", 2500)):
        (WHERE / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in loop.texts(rows)))
        subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(WHERE / f"{name}.jsonl"), str(WHERE / name)],
                       check=True, stdout=subprocess.DEVNULL)
    budgets(same_bytes())
    finish(command("run", job("whole", "many", "resources: {threads: 1}"), "--ranks", 2), 0, "whole")
    truth = loop.digest(WHERE / "whole")
    deaths(truth)
    stop(truth)
    return 0


if __name__ == "__main__":
    sys.exit(main())
