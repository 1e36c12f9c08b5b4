#!/usr/bin/python3
"""adapter.py: LoRA adapters of peft beside their models (`model: {path, adapter}`), by `echelon run`.

generate over goldens/tiny/llama with lora_llama writes the reference's 16 greedy ids, without it others; embed over
goldens/tiny/bert with lora_bert gives the reference's state of a text of one token.
"""
import json, os, pathlib, struct, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "mpi")]
import writers

ECHELON = f"{os.environ.get('ECH_BIN', 'build/bin')}/echelon"
GOLDENS = pathlib.Path(os.environ.get("ECH_TEST_DATA", "../shared")) / "goldens/tiny"
W = pathlib.Path.cwd() / "adapter"


def npy(path):
    """Values of a small .npy file, flat, and its shape; numpy is not needed for that."""
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    head = eval(data[10:10 + size], {"__builtins__": {}})  # the format's header is a Python literal
    code = {"<i8": "q", "<i4": "i", "<f4": "f", "<f8": "d"}[head["descr"]]
    body = data[10 + size:]
    return struct.unpack(f"<{len(body) // struct.calcsize(code)}{code}", body), head["shape"]


def run(name, kind, text, model, **options):
    (W / f"{name}.txt").write_text(text + "\n")
    (W / f"{name}.yaml").write_text(json.dumps({"kind": kind, "model": model, "input": {"dataset": f"{W}/{name}-in"},
                                                "output": {"dataset": f"{W}/{name}-out"}, "options": options,
                                                "resources": {"threads": 1}, "balance": {"probe": False}, "runs": f"{W}/runs"}))
    for words in (["data", "import", f"{W}/{name}.txt", f"{W}/{name}-in"], ["run", f"{W}/{name}.yaml", "--ranks", "2"],
                  ["data", "export", f"{W}/{name}-out", f"{W}/{name}.jsonl"]):
        p = subprocess.run([ECHELON, *words], capture_output=True, text=True)
        if p.returncode:
            sys.exit(f"FAIL {name}: {words[0]} {words[1]}: status {p.returncode}\n{p.stderr}")
    return json.loads((W / f"{name}.jsonl").read_text())


def llama():
    model = str(writers.tiny(W / "llama", "llama", GOLDENS))
    ids, shape = npy(GOLDENS / "lora_llama/ids.npy")
    prompt = writers.text_of(ids[:shape[1]])
    for name, adapter in (("lora_llama", str(GOLDENS / "lora_llama")), ("llama", None)):
        want, _ = npy(GOLDENS / f"{name}/expected_greedy.npy")
        got = run(name, "generate", prompt, {"path": model, **({"adapter": adapter} if adapter else {})}, max_tokens=16)
        if got["tokens"] != list(want):
            sys.exit(f"FAIL {name}: wrote {got['tokens']}, {list(want)} was expected")


def bert():
    model = str(writers.tiny(W / "bert", "bert", GOLDENS))
    ids, shape = npy(GOLDENS / "lora_bert/ids.npy")
    states, (_, tokens, hidden) = npy(GOLDENS / "lora_bert/expected_last_hidden_state.npy")
    row = 2  # a text of one token
    want = states[row * tokens * hidden:][:hidden]
    scale = max(abs(v) for v in states)
    text = writers.text_of(ids[row * shape[1]:][:1])
    far = {}
    for name, more in (("with", {"adapter": str(GOLDENS / "lora_bert")}), ("without", {})):
        got = run(f"bert-{name}", "embed", text, {"path": model, **more}, pooling="mean", normalize="no")
        far[name] = max(abs(a - b) for a, b in zip(got["embedding"], want)) / scale
    if not far["with"] <= 1e-5 or not far["without"] > 1e-3:
        sys.exit(f"FAIL lora_bert: {far} from the reference; within 1e-5 with the adapter was expected, far without")


def main():
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    if not (GOLDENS / "lora_llama").exists():
        print(f"SKIP data: {GOLDENS} is not there (ECH_TEST_DATA names the folder)", file=sys.stderr)
        return 77
    W.mkdir()
    llama()
    bert()
    print("lora_llama, lora_bert: as the reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
