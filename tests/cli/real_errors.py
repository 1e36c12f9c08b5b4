#!/usr/bin/python3
"""real_errors.py [CASE...]: what goes wrong in real jobs ends in one clear line, the right status, no half-made output.

Each case makes a job (a dict of overrides), runs it with the real rank program and MiniLM, and states the status and
what the last line of stderr says. After a failing case neither the output nor a partial folder may be there.
"""
import json, os, pathlib, re, shutil, signal, struct, subprocess, sys, time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault")]
import loop

MODEL = f"{loop.MODELS}/all-MiniLM-L6-v2"
ECHELON = f"{loop.BIN}/echelon"
W = pathlib.Path.cwd() / "errors"


def write_job(name, **change):
    job = {"kind": "embed", "model": MODEL, "input": {"dataset": f"{W}/texts", "column": "text"},
           "output": {"dataset": f"{W}/{name}/out"}, "resources": {"threads": 1},
           "balance": {"probe": False}, "limits": {"disk_full": "1s", "heartbeat": "5s"}, "runs": f"{W}/{name}/runs"}
    for key, value in change.items():
        if isinstance(value, dict):
            job[key] = {**job.get(key, {}), **value}
        else:
            job[key] = value
    (W / name).mkdir(exist_ok=True)
    path = W / name / "job.yaml"
    path.write_text(json.dumps(job, indent=1))  # JSON is YAML
    return path


def run(path, *more, env=None, ranks="2"):
    argv = [ECHELON, "run", str(path)] + (["--ranks", ranks] if ranks else []) + list(more)
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=100)


def resume(p, *sets):
    argv = [ECHELON, "resume", p.stdout.strip().splitlines()[0]] + [a for s in sets for a in ("--set", s)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=100)


def check(name, p, status, pattern, output=None):
    last = (p.stderr.strip().splitlines() or [""])[-1]
    out = output or W / name / "out"
    left = [str(x) for x in out.parent.glob(out.name + "*")] if status else []
    if p.returncode != status or not re.search(pattern, last) or left:
        sys.exit(f"FAIL {name}: status {p.returncode} ({status} expected), left {left}, wanted /{pattern}/\nstdout: "
                 f"{p.stdout}\nstderr: {p.stderr}")
    print(f"{name}: {p.returncode}: {last}", flush=True)


def import_lines(name, data, *options):
    (W / f"{name}.txt").write_bytes(data)
    subprocess.run([ECHELON, "data", "import", str(W / f"{name}.txt"), str(W / name), *options], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def copy_model(name):
    target = W / name
    shutil.copytree(MODEL, target, symlinks=False)
    return target


def header_of(file):
    data = file.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + n]), data[8 + n:]


def write_safetensors(file, header, body):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


# --- cases ---

def missing_input():
    check("missing_input", run(write_job("missing_input", input={"dataset": f"{W}/nowhere"})), 66, r"nowhere")


def missing_job():
    check("missing_job", run(W / "no-such-job.yaml"), 66, r"no-such-job\.yaml")


def unknown_key():
    check("unknown_key", run(write_job("unknown_key", resources={"thread": 2})), 78, r"job\.yaml:\d+:\d+: .*threads")


def wrong_type():
    check("wrong_type", run(write_job("wrong_type", resources={"threads": "many"})), 78, r"job\.yaml:\d+:\d+: .*many")


def missing_column():
    check("missing_column", run(write_job("missing_column", input={"column": "texd"})), 78, r"texd.*text")


def damaged_input():
    import_lines("damaged", b"the first text\nthe second text\n")
    shard = W / "damaged/shard-00000.h5"
    data = bytearray(shard.read_bytes())
    data[data.index(b"second")] ^= 1
    shard.write_bytes(data)
    path = write_job("damaged_input", input={"dataset": f"{W}/damaged"})
    check("damaged_input", run(path), 65, r"input\.dataset.*damaged.*shard-00000\.h5.*text.*rows 0 to 1")
    check("damaged_input regardless", run(path, "--set", "input.verify=false"), 0, r"")


def bad_utf8():
    import_lines("bad", b"good\nbad \xff\xfe here\nfine\n", "--invalid-utf8", "keep")
    p = run(write_job("bad_utf8", input={"dataset": f"{W}/bad"}, max_errors=0))
    check("bad_utf8", p, 65, r"row 1\b.*UTF-8")
    import_lines("other", b"another\ninput\nhere\n")
    check("bad_utf8 resumed with another input", resume(p, f"input.dataset={W}/other"), 78, r"other is not the dataset",
          W / "bad_utf8/out")  # and what was refused does not stay
    # All rows may be safe by now: the bad one is still one too many.
    check("bad_utf8 resumed as it was", resume(p), 65, r"max_errors", W / "bad_utf8/out")
    check("bad_utf8 resumed with a higher value", resume(p, "max_errors=1"), 0, r"", W / "bad_utf8/out")


def appended_input():
    import_lines("grows", b"good\nbad \xff here\nfine\n", "--invalid-utf8", "keep")
    p = run(write_job("appended_input", input={"dataset": f"{W}/grows"}, max_errors=0))
    check("appended_input", p, 65, r"row 1\b")
    (W / "more.txt").write_text("new\nnewer\n")
    subprocess.run([ECHELON, "data", "append", str(W / "more.txt"), str(W / "grows")], check=True, stdout=subprocess.DEVNULL)
    check("appended_input resumed", resume(p, "max_errors=1"), 0, r"sealed: 3 rows", W / "appended_input/out")
    want = loop.digest(W / "appended_input/out")
    check("sealed", resume(p), 0, r"sealed already", W / "appended_input/out")
    shutil.rmtree(W / "appended_input/out")
    check("sealed and gone", resume(p), 0, r"sealed: 3 rows", W / "appended_input/out")
    if loop.digest(W / "appended_input/out") != want:
        sys.exit("FAIL appended_input: other bytes when made again")


def replaced_input():
    import_lines("changes", b"good\nbad \xff here\nfine\n", "--invalid-utf8", "keep")
    p = run(write_job("replaced_input", input={"dataset": f"{W}/changes"}, max_errors=0))
    check("replaced_input", p, 65, r"row 1\b")
    shutil.rmtree(W / "changes")
    import_lines("changes", b"good\nbad \xff there\nfine\n", "--invalid-utf8", "keep")
    check("replaced_input resumed", resume(p, "max_errors=1"), 78, r"changes is not the dataset", W / "replaced_input/out")


def too_long():
    import_lines("long", b"short\n" + b"word " * 400 + b"\n")
    p = run(write_job("too_long", input={"dataset": f"{W}/long"}, max_errors=0, options={"on_long": "error"}))
    check("too_long", p, 65, r"row 1\b.*(token|long)")


def missing_tensor():
    model = copy_model("model-without")
    header, body = header_of(model / "model.safetensors")
    name = "encoder.layer.3.output.dense.weight"
    removed = header.pop(name)
    header["encoder.layer.3.output.dense.other"] = removed
    write_safetensors(model / "model.safetensors", header, body)
    check("missing_tensor", run(write_job("missing_tensor", model=str(model))), 65, r"layer\.3\.output\.dense\.weight")


def truncated_model():
    model = copy_model("model-short")
    file = model / "model.safetensors"
    os.truncate(file, file.stat().st_size - 1000)
    check("truncated_model", run(write_job("truncated_model", model=str(model))), 65, r"model\.safetensors")


def lying_model():
    model = copy_model("model-lies")
    header, body = header_of(model / "model.safetensors")
    header["encoder.layer.0.output.dense.weight"]["shape"] = [384, 1 << 40]
    write_safetensors(model / "model.safetensors", header, body)
    check("lying_model", run(write_job("lying_model", model=str(model))), 65, r"model\.safetensors")


def no_model():
    check("no_model", run(write_job("no_model", model=f"{W}/no-model")), 66, r"no-model")


def output_exists():
    path = write_job("output_exists")
    (W / "output_exists/out").mkdir()
    p = run(path)
    (W / "output_exists/out").rmdir()
    check("output_exists", p, 73, r"out.*exists")


def mounted(name, options):
    target = W / name
    target.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(target)], capture_output=True).returncode:
        print(f"{name}: no mount here (not root?)")
        return None
    return target


def read_only_output():
    target = mounted("ro", "ro,size=1m")
    if target:
        try:
            p = run(write_job("read_only_output", output={"dataset": f"{target}/out"}))
            check("read_only_output", p, 73, r"ro/out", target / "out")
        finally:
            subprocess.run(["umount", str(target)])


def full_disk():
    target = mounted("full", "size=300k")
    if target:
        try:
            p = run(write_job("full_disk", output={"dataset": f"{target}/out"}))
            check("full_disk", p, 74, r"(full|space)", target / "out")
        finally:
            subprocess.run(["umount", str(target)])


def full_spool():
    target = mounted("spooldisk", "size=600k")
    if target:
        try:
            p = run(write_job("full_spool", runs=f"{target}/runs"))
            check("full_spool", p, 74, r"(full|space)")
        finally:
            subprocess.run(["umount", str(target)])


def zero_ranks():
    check("zero_ranks", run(write_job("zero_ranks"), ranks="0"), 64, r"ranks")


def no_mpirun():
    env = dict(os.environ, PATH="/nonexistent")
    check("no_mpirun", run(write_job("no_mpirun"), env=env), 69, r"mpirun")


def over_memory():
    check("over_memory", run(write_job("over_memory", resources={"memory": "64MiB"})), 69, r"resources\.memory")


def stopped(number, name):
    path = write_job(name, input={"dataset": f"{W}/many"})
    child = subprocess.Popen([ECHELON, "run", str(path), "--ranks", "2"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    until = time.time() + 30
    while time.time() < until:  # until rows run
        run_dir = loop.run_dir_of(W / name / "runs")
        if run_dir and any('"lease"' in f.read_text() for f in run_dir.glob("nodes/*/events-1-*.jsonl")):
            break
        time.sleep(0.02)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    p = subprocess.CompletedProcess([], child.returncode, out, err)
    check(name, p, 75, r"resume")
    done = subprocess.run([ECHELON, "resume", str(run_dir)], capture_output=True, text=True, timeout=100)
    check(name + " resumed", done, 0, r"", W / name / "out")
    if loop.digest(W / name / "out") != loop.digest(W / "many-calm/out"):
        sys.exit(f"FAIL {name}: other bytes after the resume")


def signals():
    import_lines("many", ("\n".join(loop.texts(2500)) + "\n").encode())
    check("undisturbed", run(write_job("many-calm", input={"dataset": f"{W}/many"})), 0, r"")
    stopped(signal.SIGTERM, "sigterm")
    stopped(signal.SIGINT, "sigint")


def empty_dataset():
    import_lines("none", b"")
    check("empty_dataset", run(write_job("empty_dataset", input={"dataset": f"{W}/none"})), 0, r"")
    subprocess.run([ECHELON, "data", "verify", f"{W}/empty_dataset/out"], check=True, stdout=subprocess.DEVNULL)


def more_ranks_than_rows():
    import_lines("three", b"one\ntwo\nthree\n")
    check("more_ranks_than_rows", run(write_job("seven", input={"dataset": f"{W}/three"}), ranks="7"), 0, r"")
    check("one rank", run(write_job("alone", input={"dataset": f"{W}/three"}), ranks="1"), 0, r"")
    if loop.digest(W / "seven/out") != loop.digest(W / "alone/out"):
        sys.exit("FAIL more_ranks_than_rows: other bytes than one rank's")


def bench_kernels():
    """The verb beside its program: words, statuses, a table. No figure is judged."""
    def bench(*words):
        return subprocess.run([ECHELON, "bench", "kernels", *words], capture_output=True, text=True, timeout=100)
    for status, said, *words in [(64, '"quux" is no operation', "--ops", "linear,quux"),
                                 (64, '"f33" is no format', "--formats", "f33"),
                                 (64, "--threads 0", "--threads", "0"), (64, "--ranks", "--ranks", "2"),
                                 (69, "there is no backend 'quantum'", "--backend", "quantum")]:
        p = bench(*words)
        assert p.returncode == status and said in p.stderr and p.stderr.count("\n") == 1 and not p.stdout, p
    p = bench("--support")
    assert p.returncode == 0 and "| linear f32, f32 to f32 |" in p.stdout and not p.stderr, p
    p = bench("--quick", "--ops", "softmax", "--threads", "1", "--json")
    line, = json.loads(p.stdout)["lines"]
    assert p.returncode == 0 and line["operation"] == "softmax" and line["value"] > 0, p


CASES = [missing_input, missing_job, unknown_key, wrong_type, missing_column, damaged_input, bad_utf8, appended_input,
         replaced_input, too_long, missing_tensor,
         truncated_model, lying_model, no_model, output_exists, read_only_output, full_disk, full_spool, zero_ranks,
         no_mpirun, over_memory, signals, empty_dataset, more_ranks_than_rows, bench_kernels]


def main():
    if not os.path.exists(f"{MODEL}/model.safetensors"):
        print("SKIP data: all-MiniLM-L6-v2 is not there (ci/get-model)", file=sys.stderr)
        return 77
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    W.mkdir()
    import_lines("texts", ("\n".join(loop.texts(600)) + "\n").encode())
    for case in CASES:
        if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
            case()
    print(f"{len(CASES)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
