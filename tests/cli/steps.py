#!/usr/bin/python3
"""steps.py: `echelon run` of a file with steps, with the real rank program and MiniLM: order, what is skipped, what is
made again after a change, what goes on, what is refused."""
import json, os, pathlib, signal, subprocess, sys, time

ECHELON = os.environ["ECH_BIN"] + "/echelon"
MODEL = os.environ["ECH_TEST_MODELS"] + "/all-MiniLM-L6-v2"
DONE = "nothing to do"


def echelon(*words, expect=0):
    p = subprocess.run([ECHELON, *words], capture_output=True, text=True, timeout=100)
    if p.returncode != expect:
        sys.exit("FAIL %s: %d, %d was expected\n%s%s" % (words, p.returncode, expect, p.stdout, p.stderr))
    return p.stdout.split(), p.stderr


def check(what, good, said=""):
    if not good:
        sys.exit("FAIL %s\n%s" % (what, said))
    print(what, flush=True)


def write_file(query="topic 3", **vectors):
    steps = [{"name": "hits", "after": "vectors", "kind": "retrieve", "output": {"dataset": "out/h"},
              "options": {"index": "out/v", "query": [query], "top_k": 2}},
             dict({"name": "vectors", "kind": "embed", "input": {"dataset": "data"},
                   "output": {"dataset": "out/v"}}, **vectors)]
    pathlib.Path("p.yaml").write_text(json.dumps(
        {"model": MODEL, "resources": {"threads": 1}, "balance": {"probe": False}, "steps": steps}))


def import_rows(count):
    pathlib.Path("rows.txt").write_text("".join("row %d of topic %d\n" % (i, i % 7) for i in range(count)))
    echelon("data", "append" if os.path.exists("data") else "import", "rows.txt", "data")


def order_and_skips():
    write_file()
    out, said = echelon("run", "p.yaml", "--dry-run")
    check("a dry run prints a command a step", not os.path.exists("runs") and said.count("nothing was started") == 2, said)
    first, said = echelon("run", "p.yaml")
    check("in the order of after", ["-vectors-" in first[0], "-hits-" in first[1]] == [True, True], said)
    again, said = echelon("run", "p.yaml")
    check("what is done is not done again", again == first and said.count(DONE) == 2, said)
    return first


def changes(first):
    write_file(query="topic 4")
    out, said = echelon("run", "p.yaml", expect=73)
    check("a changed step does not replace by itself", "step hits: output.dataset" in said, said)
    out, said = echelon("run", "p.yaml", "--set", "output.exists=replace")
    check("only the changed step is run", out[0] == first[0] and out[1] != first[1] and said.count(DONE) == 1, said)
    subprocess.run(["rm", "-r", "out/v"], check=True)
    again, said = echelon("run", "p.yaml")
    check("a lost output is made again, its reader stays", again == out and said.count(DONE) == 1, said)
    import_rows(30)
    again, said = echelon("run", "p.yaml", "--set", "output.exists=replace")
    check("new rows: both are run", again[0] != out[0] and again[1] != out[1] and DONE not in said, said)


def goes_on():
    """Stopped in its first step, the same command goes on with that run."""
    import_rows(6000)
    p = subprocess.Popen([ECHELON, "run", "p.yaml", "--set", "output.exists=replace"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    run = p.stdout.readline().strip()
    end = time.monotonic() + 30
    while time.monotonic() < end and not list(pathlib.Path(run).glob("nodes/*/spool-*")):
        time.sleep(0.02)
    p.send_signal(signal.SIGTERM)
    rest, said = p.communicate(timeout=60)
    check("stopped with 75 in the first step", p.returncode == 75 and rest == "" and "step vectors: " in said, said)
    out, said = echelon("run", "p.yaml", "--set", "output.exists=replace")
    check("the same command goes on", out[0] == run and "step vectors: goes on with" in said, said)


def refusals():
    write_file(name="other")
    out, said = echelon("run", "p.yaml", expect=78)
    check("an unknown name", "after: no step is called \"vectors\"" in said, said)
    write_file(output={"dataset": "out/h"})
    out, said = echelon("run", "p.yaml", expect=78)
    check("one output for two", "both write" in said, said)
    text = pathlib.Path("p.yaml").read_text().replace("\"after\": \"vectors\", ", "").replace("out/h\"}}]", "out/v\"}}]")
    pathlib.Path("p.yaml").write_text(text)
    out, said = echelon("run", "p.yaml", expect=78)
    check("read before it is written", "it needs after: [vectors]" in said, said)
    write_file(input={"dataset": "nowhere"})
    out, said = echelon("run", "p.yaml", expect=66)
    check("an input that no step makes", "step vectors: input.dataset" in said, said)
    out, said = echelon("config", "show", "p.yaml", expect=78)
    check("one job alone", "--step NAME takes one of them" in said, said)
    out, said = echelon("config", "show", "p.yaml", "--step", "hits")
    out, said = echelon("config", "check", "p.yaml")


import_rows(60)
changes(order_and_skips())
goes_on()
refusals()
