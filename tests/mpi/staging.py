#!/usr/bin/python3
"""staging.py: model.stage changes where the model is read, and no byte of the output.

none, broadcast, node (nothing there yet, then there), on ranks of one node and of several: equal bytes; the files are
read once for the whole job, and not at all where a copy is whole. A damaged copy is found and made anew, what a killed
job left is removed, more than model.most is not kept, a folder that others may write is refused by name.
"""
import json, os, pathlib, shutil, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

WHERE = pathlib.Path.cwd() / "staging"
LOCAL = WHERE / "local"
BASE = LOCAL / f"echelon-models-{os.geteuid()}"
number = 0


def run(stage, ranks=2, a_node=0, code=0, model=None, most="64GiB"):
    """(digest, bytes read, text on stderr) of a run."""
    global number
    number += 1
    name = f"out-{number}"
    file = WHERE / f"{name}.yaml"
    file.write_text(f"""kind: embed
model: {{path: {model or loop.MODELS + '/all-MiniLM-L6-v2'}, stage: {stage}, folder: {LOCAL}, most: {most}}}
input: {{dataset: {WHERE}/docs, column: text}}
output: {{dataset: {WHERE}/{name}}}
resources: {{threads: 1}}
balance: {{probe: false}}
limits: {{phase: 60s}}
runs: {WHERE}/runs-{name}
""")
    env = dict(os.environ, ECH_RANKS_A_NODE=str(a_node))
    p = subprocess.run([f"{loop.BIN}/echelon", "run", str(file), "--ranks", str(ranks)], env=env, capture_output=True,
                       text=True, timeout=100)
    if p.returncode != code:
        sys.exit(f"FAIL {stage}, {ranks} ranks: status {p.returncode}, {code} was expected\n{p.stderr[-2000:]}")
    read = 0
    for events in (WHERE / f"runs-{name}").glob("*/nodes/*/events-*.jsonl"):
        for line in events.read_text().splitlines():
            event = json.loads(line)
            read += event["read_bytes"] if event["type"] == "stage" else 0
    return (loop.digest(WHERE / name) if code == 0 else None), read, p.stderr


def expect(what, got, truth, read):
    if got[0] != truth:
        sys.exit(f"FAIL {what}: other bytes")
    if read is not None and got[1] != read:
        sys.exit(f"FAIL {what}: {got[1]} bytes were read, {read} were expected")
    print(f"{what}: equal bytes, {got[1]:,} bytes read", flush=True)


def kept():
    return sorted(p.name for p in BASE.iterdir() if p.is_dir()) if BASE.exists() else []


def main():
    source = pathlib.Path(loop.MODELS) / "all-MiniLM-L6-v2"
    if not (source / "model.safetensors").exists():
        print("SKIP data: all-MiniLM-L6-v2 is not there (ci/get-model)", file=sys.stderr)
        return 77
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    WHERE.mkdir()
    (WHERE / "docs.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in loop.texts(80)))
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(WHERE / "docs.jsonl"), str(WHERE / "docs")], check=True,
                   stdout=subprocess.DEVNULL)
    truth = run("none", ranks=1)[0]
    once = run("broadcast", ranks=1)
    expect("broadcast, 1 rank", once, truth, None)
    size = once[1]
    if size < (source / "model.safetensors").stat().st_size:
        sys.exit(f"FAIL: {size} bytes are less than the weights")
    expect("broadcast, 4 ranks on 2 nodes", run("broadcast", 4, 2), truth, size)
    if list(BASE.iterdir()):
        sys.exit(f"FAIL: broadcast left {list(BASE.iterdir())}")
    stale = BASE / "job-1-0"
    stale.mkdir()
    (stale / "model.safetensors").write_text("torn")
    (BASE / "job-1-0.lock").touch()
    expect("node, the first time", run("node", 2), truth, size)
    if stale.exists() or len(kept()) != 1:
        sys.exit(f"FAIL: {kept()} lie in {BASE}, one model was expected and what a killed job left gone")
    expect("node, again", run("node", 2), truth, 0)
    expect("node, again, 3 nodes", run("node", 3, 1), truth, 0)
    first = kept()[0]
    with open(BASE / first / "model.safetensors", "r+b") as f:
        f.seek(40_000_000)
        byte = f.read(1)
        f.seek(40_000_000)
        f.write(bytes([byte[0] ^ 1]))
    expect("node, a damaged copy", run("node", 2), truth, size)
    expect("node, mended", run("node", 2), truth, 0)
    other = WHERE / "other"
    shutil.copytree(source, other)
    expect("node, another model", run("node", 2, model=other, most=f"{size * 3 // 2}"), truth, size)
    if len(kept()) != 1 or kept()[0] == first:
        sys.exit(f"FAIL: {kept()}: the longest unused model was to go")
    expect("node, no room to keep it", run("node", 2, most="1MiB"), truth, size)
    if any(name.startswith("job-") for name in kept()):
        sys.exit(f"FAIL: a job's own copy stayed: {kept()}")
    shutil.rmtree(BASE)
    BASE.mkdir(mode=0o700)
    BASE.chmod(0o777)
    err = run("node", 2, code=74)[2]
    if "is not a folder that this user alone may write" not in err:
        sys.exit(f"FAIL: {err}")
    err = run("broadcast", 2, code=66, model=WHERE / "docs")[2]
    if "has no weights" not in err:
        sys.exit(f"FAIL: {err}")
    print("a folder that others may write and a folder without a model are refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
