#!/usr/bin/python3
"""plan.py: what is planned, and that a run keeps to it.

The probe: measured once and kept by what it depends on, whatever lies in the cache; measured again after a run that saw
another speed. A job that cannot end within resources.time is refused by plan and run, and begins with --force. A rank
without a place in memory rests, in the plan as in the run, and the bytes stay the same. Described clusters: named and
counted nodes, known, relative and unknown speeds, memory a class, and nothing is started there. The report tells plan
and actual of each rank, and its leases.
"""
import json, os, pathlib, shutil, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

WHERE = pathlib.Path.cwd() / "plan"
CACHE = WHERE / "cache"
ECHELON = f"{loop.BIN}/echelon"


def job(name, data="few", **more):
    resources = {"threads": 1, **more.pop("resources", {})}
    path = WHERE / f"{name}.yaml"
    path.write_text(json.dumps({"kind": "embed", "model": f"{loop.MODELS}/all-MiniLM-L6-v2",
                                "input": {"dataset": f"{WHERE}/{data}"}, "output": {"dataset": f"{WHERE}/{name}"},
                                "resources": resources, "runs": f"{WHERE}/runs-{name}", **more}))
    return path


def call(*words, status=0, **env):
    p = subprocess.run([ECHELON, *map(str, words)], capture_output=True, text=True, timeout=150,
                       env=dict(os.environ, **env))
    if status is not None and p.returncode != status:
        sys.exit(f"FAIL {' '.join(map(str, words))}: status {p.returncode}, {status} was expected\n{p.stdout}\n{p.stderr}")
    return p


def run_dir(name):
    return sorted((WHERE / f"runs-{name}").glob("*"))[-1]


def logs(name):
    return "".join(p.read_text() for p in sorted(run_dir(name).glob("nodes/*/log-*")))


def events(name, kind):
    found = [json.loads(line) for p in sorted(run_dir(name).glob("nodes/*/events-*")) for line in p.read_text().splitlines()]
    return [e for e in found if e["type"] == kind]


def expect(good, what, *more):
    if not good:
        sys.exit(f"FAIL {what}: {' '.join(map(str, more))[:3000]}")
    print(what, flush=True)


def said(name, word):
    return sum(word in line for line in logs(name).splitlines())


def run(name, *more, data="few", ranks=2, status=0, cache=CACHE, **change):
    p = call("run", job(name, data, **change), "--ranks", ranks, *more, status=status, XDG_CACHE_HOME=str(cache))
    return p


# --- the probe ---

def run_calm(name, fresh=False, **change):
    """Again where others disturbed the machine: a run that sees another speed than its probe keeps nothing of it."""
    for _ in range(5):
        run(name, **change)
        if not said(name, "it is measured again"):
            return
        shutil.rmtree(WHERE / name)
        if fresh:
            shutil.rmtree(CACHE)


def probe():
    run_calm("first", fresh=True)
    expect(said("first", "probe: measured:") == 2, "both ranks measure at first", logs("first"))
    kept = list((CACHE / "echelon/speeds").glob("*.jsonl"))
    expect(len(kept) == 1 and len(kept[0].read_text().splitlines()) == 2, "one file a host, a line a rank", kept)
    speeds = sorted(events("first", "probe"), key=lambda e: e["rank"])
    expect(all(e["tokens_per_s"] > 0 and e["few_tokens_per_s"] > 0 and e["weights_bytes_per_s"] > 1e6 and
               not e["cached"] for e in speeds), "many and few rows are measured apart", speeds)
    run("second")
    again = sorted(events("second", "probe"), key=lambda e: e["rank"])
    expect(said("second", "probe: cached:") == 2 and [e["tokens_per_s"] for e in again] == [
        e["tokens_per_s"] for e in speeds], "the second start takes what the first measured", logs("second"))
    run_calm("third", ranks=1)
    expect(said("third", "probe: measured:") == 1, "another number of ranks is measured", logs("third"))
    run("bf16", precision="bf16")
    expect(said("bf16", "probe: measured:") == 2, "another precision is measured", logs("bf16"))
    two = {"HWLOC_SYNTHETIC": "numa:2 core:1 pu:1"}
    for threads, env in ((1, {}), ("auto", two)):
        path = job("third", resources={"threads": threads})
        plan = json.loads(call("plan", path, "--json", XDG_CACHE_HOME=str(CACHE), **env).stdout)
        dry = call("run", path, "--dry-run", "--set", "output.exists=replace", **env).stderr
        expect(f"dry run: third, {len(plan['ranks'])} rank" in dry, f"plan and run agree on {len(plan['ranks'])} ranks", dry)
        expect(not env or len(plan["ranks"]) == 2, "a rank a NUMA domain", plan)
    plan = json.loads(call("plan", job("third"), "--ranks", 1, "--json", XDG_CACHE_HOME=str(CACHE)).stdout)
    expect([r["speed_from"] for r in plan["ranks"]][0] == "cached", "plan knows this machine from a run", plan)

    good = kept[0].read_text()
    kept[0].write_text("{\"v\": 1, \"key\"\n" + good.replace('"tokens_per_s":', '"tokens_per_s":-'))
    run("hostile")
    expect(said("hostile", "the cache is ignored in part: line") == 2 and said("hostile", "probe: measured:") == 2,
           "a damaged cache is ignored with a reason", logs("hostile"))
    kept[0].unlink()
    os.mkfifo(kept[0])
    run("fifo")
    expect(said("fifo", "not a plain file") >= 2, "so is what is no file", logs("fifo"))
    kept[0].unlink()
    run("closed", cache="/proc/nowhere")
    expect(said("closed", "; not kept: ") == 2, "no cache: one line in the log", logs("closed"))


def departs():
    run("honest", data="many")
    path = next((CACHE / "echelon/speeds").glob("*.jsonl"))
    keys = sorted({json.loads(line)["key"] for line in path.read_text().splitlines()})
    path.write_text("".join(json.dumps({"v": 1, "key": key, "tokens_per_s": 1e9}) + "\n" for key in keys))
    run("lied", data="many")
    expect(said("lied", "probe: cached:") == 2 and said("lied", "it is measured again at the next start") == 2,
           "a run that sees another speed drops it", logs("lied"))
    run("anew", data="many")
    expect(said("anew", "probe: measured:") == 2, "and the next start measures", logs("anew"))
    digests = {loop.digest(WHERE / name) for name in ("honest", "lied", "anew")}
    expect(len(digests) == 1, "equal bytes, whatever the speeds were held to be")


# --- time ---

def in_time():
    late = {"resources": {"time": "2s"}, "limits": {"stop_margin": "1s"}, "data": "many"}
    text = call("plan", job("late", **late), "--ranks", 2, status=69, XDG_CACHE_HOME=str(CACHE))
    expect("resources.time leaves 1.0 s for rows" in text.stderr and "100%" in text.stdout,
           "plan refuses a job that cannot end in time, and shows why", text.stdout, text.stderr)
    call("plan", job("late", **late), "--ranks", 2, "--force", XDG_CACHE_HOME=str(CACHE))
    p = run("late", **late, status=69)
    expect("is expected to take" in p.stderr and not (WHERE / "late").exists() and not events("late", "lease"),
           "run refuses it as well, before any row", p.stderr)
    p = run("late", "--force", **late, status=75)
    expect(events("late", "lease"), "with --force it begins, and stops in time", p.stderr)
    call("resume", run_dir("late"), "--set", "resources.time=1h", XDG_CACHE_HOME=str(CACHE))
    expect(loop.digest(WHERE / "late") == loop.digest(WHERE / "honest"), "a resume ends it, with the same bytes")


# --- memory ---

def working(name):
    return sorted((e["rank"], e["works"]) for e in events(name, "model"))


def find_memory(look, least, most):
    """A budget for which look gives 1 of 2 ranks that work; look: 0 where none can."""
    for _ in range(24):
        middle = (least + most) // 2
        count = look(middle)
        if count == 1:
            return middle
        least, most = (middle, most) if count == 0 else (least, middle)
    sys.exit(f"FAIL: between {least} and {most} bytes there is no room for one rank alone")


def rests():
    def planned(memory):
        p = call("plan", job("small", resources={"memory": memory}), "--ranks", 2, "--json", status=None,
                 XDG_CACHE_HOME=str(CACHE))
        return sum(not r["rests"] for r in json.loads(p.stdout)["ranks"]) if p.returncode == 0 else 0

    def ran(memory):
        p = run("small", status=None, resources={"memory": memory})
        expect(p.returncode in (0, 69), f"a budget of {memory} bytes", p.stderr)
        count = sum(works for _, works in working("small")) if p.returncode == 0 else 0
        if count != 1:
            shutil.rmtree(WHERE / "small", ignore_errors=True)
        return count

    memory = find_memory(planned, 1 << 20, 4 << 30)
    text = call("plan", job("small", resources={"memory": memory}), "--ranks", 2, XDG_CACHE_HOME=str(CACHE)).stdout
    expect("rests: no place" in text and "1 rank gets no work (the first is rank 1" in text,
           "the plan says who rests", text)
    expect("100.0%" in text, "and who has all of the work", text)
    call("plan", job("small", resources={"memory": "40MiB"}), "--ranks", 2, status=69, XDG_CACHE_HOME=str(CACHE))
    memory = find_memory(ran, memory * 4 // 5, memory * 5 // 4)
    expect(working("small") == [(0, True), (1, False)] and said("small", "this rank rests") == 1,
           "a run: rank 1 rests and says so", logs("small"))
    rows = {e["rank"]: e["rows"] for e in events("small", "progress")}
    expect(rows.get(0, 0) == 300 and rows.get(1, 0) == 0, "and computes no row", rows)
    plan = json.loads((run_dir("small") / "plan.json").read_text())
    expect([r["rests"] for r in plan["ranks"]] == [False, True], "plan.json of the run says it", plan)
    expect(loop.digest(WHERE / "small") == loop.digest(WHERE / "first"), "equal bytes")
    p = call("report", run_dir("small"))
    expect("1 rank had no work for lack of memory" in p.stderr, "the report advises", p.stderr)
    expect("no place in its node's memory" in (run_dir("small") / "report.html").read_text(), "and draws it")
    roomy = json.loads(call("plan", job("small", resources={"memory": memory * 8}), "--ranks", 2, "--json",
                            XDG_CACHE_HOME=str(CACHE)).stdout)
    tight = json.loads(call("plan", job("small", resources={"memory": int(memory * 1.15)}), "--ranks", 1, "--json",
                            XDG_CACHE_HOME=str(CACHE)).stdout)
    expect(tight["ranks"][0]["memory_bytes"] <= 2 * roomy["ranks"][0]["memory_bytes"], "a plan within memory", tight)


# --- described clusters ---

CLUSTER = """launch: {agent}
exclude: [n02]
classes:
  fast: {{hosts: "n[01-03]", cores: 8, ranks_per_node: 2, threads: 4, speed: 1, memory: 64GiB}}
  old: {{hosts: [m1], cores: 4, ranks_per_node: 1, threads: 4, speed: 0.5}}
  known: {{hosts: [k1], cores: 4, ranks_per_node: 1, threads: 4, tokens_per_s: 12345}}
  small: {{hosts: [s1], cores: 4, ranks_per_node: 4, threads: 1, memory: 90MiB}}
"""


def plan_for(*words, status=0, as_json=True):
    p = call("plan", WHERE / "far.yaml", *words, *(["--json"] if as_json else []), status=status,
             XDG_CACHE_HOME=str(CACHE))
    return json.loads(p.stdout) if as_json and status == 0 else p


def clusters():
    agent = WHERE / "agent"
    agent.write_text(f"#!/bin/sh\ntouch {WHERE}/started\nexit 1\n")
    agent.chmod(0o755)
    cluster = WHERE / "cluster.yaml"
    cluster.write_text(CLUSTER.format(agent=agent))
    job("far", data="many", resources={"threads": "auto"})
    plan = plan_for("--cluster", cluster)
    by = {}
    for r in plan["ranks"]:
        by.setdefault(r["host"], []).append(r)
    expect({h: len(r) for h, r in by.items()} == {"n01": 2, "n03": 2, "m1": 1, "k1": 1, "s1": 4}, "ranks a node", by)
    fast, old, known = by["n01"][0], by["m1"][0], by["k1"][0]
    expect(abs(old["speed"] / fast["speed"] - 0.5) < 1e-6 and old["speed_from"] == "relative", "relative speeds", plan)
    expect(known["speed"] == 12345 and known["speed_from"] == "known", "a speed that is known", known)
    expect(all(r["rests"] and r["rows"] == 0 for r in by["s1"]), "a class without memory rests", by["s1"])
    expect(sum(r["rows"] for r in plan["ranks"]) == plan["rows"], "all rows are planned", plan)
    expect(any("is assumed to be as fast as 4 threads of this machine" in n for n in plan["notes"]) and
           any("4 ranks get no work" in n for n in plan["notes"]), "what is assumed is said", plan["notes"])
    text = plan_for("--cluster", cluster, "--set", "resources.time=1h", as_json=False).stdout
    expect("late" in text and "chance to end in time 100 %" in text, "the risk against the time limit", text)
    plan_for("--cluster", cluster, "--set", "resources.time=100ms", "--set", "limits.stop_margin=90ms", status=69)
    plan_for("--cluster", cluster, "--set", "resources.time=100ms", "--set", "limits.stop_margin=90ms", "--force")
    hosts = WHERE / "hosts"
    hosts.write_text("x1 slots=3\nx2:1\n")
    plan = plan_for("--hosts", hosts)
    expect([r["host"] for r in plan["ranks"]] == ["x1"] * 3 + ["x2"] and
           all(r["speed_from"] == "assumed" for r in plan["ranks"]), "a list of hosts", plan)
    plan = plan_for("--hosts", hosts, "--ranks", 2)
    expect(len(plan["ranks"]) == 2, "--ranks", plan)
    cluster.write_text("classes: {a: {count: 3000, cores: 64, ranks_per_node: 4, threads: 16}, b-2: {count: 7, cores: 4}}\n")
    start = time.time()
    text = plan_for("--cluster", cluster, as_json=False).stdout
    expect("0-11999" in text and "a-1..a-3000" in text and "b-2-1..b-2-7" in text and len(text.splitlines()) < 20,
           f"12,007 ranks that are only counted, in {time.time() - start:.1f} s", text)
    cluster.write_text("classes: {a: {hosts: n1}, b: {count: -1}}\n")
    plan_for("--cluster", cluster, as_json=False, status=78)
    plan_for("--cluster", WHERE / "none.yaml", as_json=False, status=66)
    expect(not (WHERE / "started").exists(), "nothing was started")
    left = [p for p in pathlib.Path(os.environ.get("TMPDIR", "/tmp")).glob("echelon-nodes-*") if p.stat().st_uid == os.geteuid()
            and time.time() - p.stat().st_mtime < 100]
    expect(not left, "no file is left", left)


# --- plan and actual ---

def report():
    got = json.loads(call("report", run_dir("honest"), "--json").stdout)
    ranks = got["ranks"]
    expect(sum(r["planned"]["rows"] for r in ranks) == got["rows"] and got["planned_makespan_s"] > 0, "planned rows", got)
    for r in ranks:
        rows = sum(s[2] for s in r["spans"])
        ends = [s[1] for s in r["spans"]]
        expect(rows == r["rows"] and ends == sorted(ends) and all(s[0] <= s[1] for s in r["spans"]),
               f"spans of rank {r['rank']} tell all its rows", r)
        expect(abs(r["finish_s"] - ends[-1]) < 1e-3 and 0 < r["finish_s"] <= got["makespan_s"] + 0.1, "when it was done", r)
    expect(0.9 < got["makespan_over_fluid"], "the fluid optimum", got["makespan_over_fluid"])


def main():
    if loop.lacks():
        return 77
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            del os.environ[name]
    WHERE.mkdir()
    texts = loop.texts(300)
    for name, lines in (("few", texts), ("many", [f"{t} {i}" for i in range(10) for t in texts])):
        (WHERE / f"{name}.txt").write_text("\n".join(lines) + "\n")
        subprocess.run([ECHELON, "data", "import", str(WHERE / f"{name}.txt"), str(WHERE / name)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    start = time.time()
    for part in (probe, departs, in_time, rests, clusters, report):
        part()
        print(f"-- {part.__name__}: {time.time() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
