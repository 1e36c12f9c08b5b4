#!/usr/bin/python3
"""writers.py [CASE...]: jobs of kind generate and score as a person types them, right and wrong, with a model that counts.

Wrong keys are told with file, line and column by `config check`; what only the model's files tell ends in one line and
the right status; bad rows say why in the column errors, and those beside them are written.
"""
import json, math, os, pathlib, re, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "mpi")]
import writers
from writers import ACCENT, RIGHT, WRONG

os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
ECHELON = f"{os.environ.get('ECH_BIN', 'build/bin')}/echelon"
W = pathlib.Path.cwd() / "writers"
MODEL = W / "counter"


def fail(name, why, p=None):
    sys.exit(f"FAIL {name}: {why}" + (f"\nstdout: {p.stdout}\nstderr: {p.stderr}" if p else ""))


def call(*words):
    return subprocess.run([ECHELON, *map(str, words)], capture_output=True, text=True, timeout=100)


def write_job(name, kind="generate", **change):
    job = {"kind": kind, "model": str(MODEL), "input": {"dataset": f"{W}/{name}-in"}, "output": {"dataset": f"{W}/{name}-out"},
           "resources": {"threads": 1}, "balance": {"probe": False}, "runs": f"{W}/{name}-runs"}
    job.update({k: {**job.get(k, {}), **v} if isinstance(v, dict) and isinstance(job.get(k, {}), dict) else v
                for k, v in change.items()})
    path = W / f"{name}.yaml"
    path.write_text(json.dumps(job, indent=1))
    return path


def run(name, rows, kind="generate", **change):
    """rows: dicts, or texts (bytes where they are not UTF-8) -> the finished process and the output's rows."""
    if isinstance(rows[0], dict):
        source = W / f"{name}.jsonl"
        source.write_text("".join(json.dumps(r) + "\n" for r in rows))
    else:
        source = W / f"{name}.txt"
        source.write_bytes(b"".join((r if isinstance(r, bytes) else r.encode()) + b"\n" for r in rows))
    p = call("data", "import", source, W / f"{name}-in", "--invalid-utf8", "keep")
    if p.returncode:
        fail(name, "import", p)
    p = call("run", write_job(name, kind, **change), "--ranks", "1")
    if p.returncode:
        return p, []
    e = call("data", "export", W / f"{name}-out", W / f"{name}-out.jsonl")
    if e.returncode:
        fail(name, "export", e)
    return p, [json.loads(line) for line in (W / f"{name}-out.jsonl").read_text().splitlines()]


def equal(name, got, want):
    if got != want:
        fail(name, f"{got!r}, {want!r} was expected")


def near(name, got, want):
    if not abs(got - want) <= 2e-6 * max(1, abs(want)):
        fail(name, f"{got!r}, {want!r} was expected")


# --- right ---

def texts():
    p, rows = run("texts", ["a", "hello", "x"], options={"max_tokens": 5, "log_probabilities": True, "context": 32})
    equal("texts", [r["generated"] for r in rows], ["bcdef", "pqrst", f"yz{ACCENT} "])
    equal("texts", [r["finish"] for r in rows], ["length"] * 3)
    equal("texts", rows[0]["tokens"], [4, 5, 6, 7, 8])
    equal("texts", [r["errors"] for r in rows], [""] * 3)
    for value in rows[0]["log_probabilities"]:
        near("texts", value, RIGHT)


def stops():
    _, rows = run("stops", ["a", "u", "d"], options={"max_tokens": 9, "stop": ["gh", f"{ACCENT} "]})
    equal("stops", [(r["generated"], r["finish"]) for r in rows], [("bcdef", "stop"), ("vwxyz", "stop"), ("ef", "stop")])
    equal("stops", rows[0]["tokens"], [4, 5, 6, 7, 8, 9, 10])  # those of the stop string are among them
    equal("stops", rows[0]["log_probabilities"], [])


def half_letter():
    _, rows = run("half_letter", ["y"], options={"max_tokens": 2})
    equal("half_letter", rows[0]["generated"], "z\ufffd")


def template():
    rows = [{"id": 7, "title": "q", "body": "m"}, {"id": 8, "title": "r", "body": "b"}]
    _, rows = run("template", rows, input={"template": "{title}: {body}"}, output={"keep": ["id"]}, options={"max_tokens": 2})
    equal("template", [(r["id"], r["generated"]) for r in rows], [(7, "no"), (8, "cd")])


def chat_folder(name, template, file="tokenizer_config.json"):
    folder = writers.counter(W / name, positions=256)
    text = template if file.endswith("jinja") else json.dumps({"chat_template": template, "eos_token": "</s>"})
    (folder / file).write_text(text)
    return str(folder)


def log_of(name):
    return "".join(p.read_text() for p in (W / f"{name}-runs").glob("*/nodes/*/log-*"))


CHATML = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"


def chat():
    """A template ends in a new line: what the counter writes behind it is "!", whatever stood before."""
    lists = [{"name": "tools", "template": "[INST]"}, {"name": "default", "template": CHATML}]
    for name, template, file in (("chat-text", CHATML, "tokenizer_config.json"), ("chat-list", lists, "tokenizer_config.json"),
                                 ("chat-file", CHATML, "chat_template.jinja")):
        _, rows = run(name, ["a"], model=chat_folder(f"{name}-model", template, file), options={"max_tokens": 3})
        equal(name, rows[0]["generated"], "!\"#")
        if "chat template: chatml, as the model's files say" not in log_of(name):
            fail(name, f"the log does not name the template: {log_of(name)}")
    _, rows = run("chat-named", ["a"], options={"max_tokens": 3, "chat": "phi"})
    equal("chat-named", rows[0]["generated"], "!\"#")
    _, rows = run("chat-unknown", ["a"], model=chat_folder("chat-unknown-model", "{{ 'Q: ' + m.content }}"), options={"max_tokens": 3})
    equal("chat-unknown", rows[0]["generated"], "bcd")
    if "of no known family" not in log_of("chat-unknown"):
        fail("chat-unknown", "the log does not say so")


def other_chat():
    """A template whose tokens the model lacks is applied as asked, and the log says what that means."""
    p, _ = run("other-chat", ["a"], options={"chat": "llama3", "max_tokens": 2})
    if p.returncode or "the model has no token <|eot_id|>: it does not know the chat template llama3" not in log_of("other-chat"):
        fail("other_chat", "a warning was expected", p)


def messages():
    say = lambda *turns: json.dumps([{"role": r, "content": c} for r, c in turns])
    rows = [say(("user", "a")), say(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c")), say(("user", "</s><|im_end|>")),
            "not json", '{"role": "user"}', say(("robot", "a")), '[{"role": "user", "content": 3}]', say(("user", "a"), ("assistant", "b")),
            "[]", '[{"role": "user", "role": "user", "content": "a"}]', say(("user", "a" * 300))]
    _, rows = run("messages", rows, model=chat_folder("messages-model", CHATML), options={"max_tokens": 2, "messages": True})
    equal("messages", [r["generated"] for r in rows], ["!\""] * 3 + [""] * 8)
    says = ["", "", "", "not JSON: line 1, column", "not a JSON array of {role, content}", "message 1: {role: system, user or assistant",
            "message 1: {role", "the last message is the assistant's", "without a user's message", "duplicate", "tokens, at most 254 leave room"]
    for row, want in zip(rows, says):
        if (want not in row["errors"]) or (not want and row["errors"]):
            fail("messages", f"{row['errors']!r} does not say {want!r}")


def scores():
    _, rows = run("scores", ["abcd", "abx", "a"], "score")
    near("scores", rows[0]["log_probability"], 3 * RIGHT)
    near("scores", rows[0]["perplexity"], math.exp(-RIGHT))
    near("scores", rows[1]["log_probability"], RIGHT + WRONG)
    equal("scores", [r["tokens"] for r in rows], [3, 2, 0])
    near("scores", rows[1]["scores"][1], WRONG)
    if "nothing to score" not in rows[2]["errors"] or rows[2]["scores"] is not None:
        fail("scores", str(rows[2]))


def completions():
    asked = [{"prompt": "ab", "completion": "cd"}, {"prompt": "ab", "completion": "cx"}, {"prompt": "ab"}, {"prompt": "", "completion": "bc"},
             {"prompt": "ab", "completion": ""}, {"prompt": "a" * 70, "completion": "bc"}]
    rows = [{"text": json.dumps(a)} for a in asked]
    change = {"options": {"mode": "completion", "on_long": "truncate"}}
    _, rows = run("completions", rows, "score", **change)
    for row, want in zip(rows, (2 * RIGHT, RIGHT + WRONG, None, RIGHT, None, 2 * RIGHT)):
        if want is None:
            if not row["errors"]:
                fail("completions", str(row))
        else:
            near("completions", row["log_probability"], want)
    equal("completions", [r["tokens"] for r in rows], [2, 2, 0, 1, 0, 2])  # cut before the prompt's end


def choices():
    asked = [{"prompt": "a", "choices": ["c", "b", "x"]}, {"prompt": "a", "choices": ["x", "bcdefghx"]}, {"prompt": "a", "choices": []}]
    for by, second in (("sum", 0), ("bytes", 1)):
        _, rows = run(f"choices-{by}", [{"text": json.dumps(a)} for a in asked], "score", options={"mode": "choice", "by": by})
        equal(f"choices-{by}", [r["choice"] for r in rows], [1, second, 0])
        near(f"choices-{by}", rows[0]["scores"][1], RIGHT)
        if "choices: [text, ...]" not in rows[2]["errors"]:
            fail(f"choices-{by}", str(rows[2]))


# --- wrong rows, keys and files ---

def bad_rows():
    _, rows = run("bad_rows", ["a", b"x\xff", "", "b" * 61, "b" * 60, "c"], options={"max_tokens": 4})
    says = ["", "invalid UTF-8 at byte 2", "an empty prompt", "61 tokens, at most 60 leave room in options.context", "", ""]
    equal("bad_rows", [r["errors"] for r in rows], says)
    equal("bad_rows", [r["generated"] for r in rows], ["bcde", "", "", "", "cdef", "defg"])
    equal("bad_rows", [r["log_probabilities"] for r in rows], [[], None, None, None, [], []])
    _, rows = run("truncated", ["b" * 100 + "k"], options={"max_tokens": 4, "on_long": "truncate"})
    equal("truncated", rows[0]["generated"], "lmno")


def keys():
    wrong = [
        ({"options": {"temperature": "hot"}}, r"options\.temperature.*hot"),
        ({"options": {"top_p": 2}}, r"options\.top_p"),
        ({"options": {"max_tokens": 0}}, r"options\.max_tokens"),
        ({"options": {"max_token": 5}}, r"max_token.*max_tokens"),
        ({"options": {"stop": ["x", ""]}}, r"options\.stop: an empty text"),
        ({"options": {"chat": "chatm"}}, r"options\.chat.*chatml"),
        ({"options": {"chat": "none", "messages": True}}, r"options\.messages are written in a chat template"),
        ({"options": {"chat": "none", "system": "x"}}, r"options\.system is written in a chat template"),
        ({"options": {"chat": "phi", "messages": True, "prefix": "x"}}, r"options\.prefix goes before a text"),
        ({"options": {"max_tokens": 50, "context": 50}}, r"options\.max_tokens is 50, less than options\.context"),
        ({"options": {"repetition_penalty": 0}}, r"repetition_penalty"),
        ({"precision": {"kv": "int8"}}, r"precision\.kv"),
        ({"model": {"adapter": "x"}}, r"model\.adapter is merged into a model: model\.path is missing"),
        ({"kind": "score", "options": {"by": "bytes"}}, r"options\.by says how a choice is made"),
        ({"kind": "score", "options": {"mode": "words"}}, r"options\.mode.*words"),
    ]
    for i, (change, says) in enumerate(wrong):
        kind = change.pop("kind", "generate")
        p = call("config", "check", write_job(f"keys-{i}", kind, **change))
        if p.returncode != 78 or not re.search(rf"keys-{i}\.yaml:\d+:\d+: .*{says}", p.stderr):
            fail("keys", f"/{says}/ was expected, with file, line and column", p)


def files():
    bare = writers.counter(W / "bare")
    (bare / "tokenizer.json").unlink()
    (W / "no-adapter").mkdir()
    encoder = W / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (encoder / "model.safetensors").write_bytes((MODEL / "model.safetensors").read_bytes())
    cases = [
        ({"model": str(bare)}, 66, r"bare has no tokenizer"),
        ({"model": f"{W}/nowhere"}, 66, r"nowhere does not exist"),
        ({"model": str(encoder)}, 65, r"encoder"),
        ({"model": {"path": str(MODEL), "adapter": f"{W}/nowhere"}}, 66, r"model\.adapter: .*nowhere does not exist"),
        ({"model": {"path": str(MODEL), "adapter": f"{W}/no-adapter"}}, 66, r"adapter_config\.json"),
        ({"options": {"messages": True, "max_tokens": 2}}, 78, r"options\.messages: the model has no chat template"),
    ]
    for i, (change, status, says) in enumerate(cases):
        p, _ = run(f"files-{i}", ["a"], **change)
        last = (p.stderr.strip().splitlines() or [""])[-1]
        if p.returncode != status or not re.search(says, last) or (W / f"files-{i}-out").exists():
            fail("files", f"status {p.returncode} ({status}), /{says}/ was expected", p)


def languages():
    """A language is a token made for it, never the piece of words that is written alike."""
    goldens = pathlib.Path(os.environ.get("ECH_TEST_DATA", "../shared")) / "goldens" / "tiny"
    if not goldens.exists():
        return print(f"SKIP data: {goldens} is not there (ECH_TEST_DATA)", file=sys.stderr)
    words = [*writers.WORDS[:90], "__b__", "<2c>", *writers.WORDS[92:]]
    model = {"model": str(writers.tiny(W / "languages-model", "m2m_100", goldens, words))}
    for i, target in enumerate(("b", "__b__")):
        p, rows = run(f"languages-{i}", ["a"], "translate", options={"source": "b", "target": target, "max_tokens": 2}, **model)
        if p.returncode or not rows[0]["translation"].startswith("__b__"):
            fail("languages", f"{rows} after __b__", p)
    for i, key in enumerate(("source", "target")):
        p, _ = run(f"languages-wrong-{i}", ["a"], "translate", options={key: "a"}, **model)
        if p.returncode != 78 or f'options.{key} is "a", which is no language' not in p.stderr:
            fail("languages", "status 78 and the option were expected", p)
    texts = [run(f"languages-before-{i}", ["ab"], "translate", options={"target": target, "max_tokens": 12, **more}, **model)[1]
             for i, (target, more) in enumerate((("c", {}), ("<2c>", {}), ("<2c>", {"prefix": "some words "})))]
    equal("languages", texts[0], texts[1])  # told to the encoder, however it is spelled
    if texts[0] == texts[2]:
        fail("languages", f"options.prefix changes nothing in {texts[0]}")


def vectors(name, model, **options):
    p, rows = run(name, ["some", "a text of more words"], "embed", model=str(model), options=options)
    if p.returncode:
        fail(name, "run", p)
    p = call("data", "export", W / f"{name}-out", W / f"{name}.npy", "--columns", "embedding")
    if p.returncode:
        fail(name, "export", p)
    return (W / f"{name}.npy").read_bytes()


def encoders():
    """A file that is the whole model: its tokenizer and its pooling are its own; where nothing ends a text 512 tokens do."""
    goldens = pathlib.Path(os.environ.get("ECH_TEST_DATA", "../shared")) / "goldens" / "tiny"
    if not goldens.exists():
        return print(f"SKIP data: {goldens} is not there (ECH_TEST_DATA)", file=sys.stderr)
    whole = W / "encoders-gguf"
    whole.mkdir()
    writers.bert_gguf(whole / "model.gguf", goldens / "bert", pooling=2)
    folder = writers.tiny(W / "encoders-bert", "bert", goldens, writers.WORDS)
    equal("encoders", vectors("encoders-file", whole), vectors("encoders-folder", folder, pooling="cls"))
    if vectors("encoders-mean", folder) == vectors("encoders-cls", whole):
        fail("encoders", "the file's pooling says nothing")
    endless = writers.tiny(W / "encoders-t5", "t5", goldens)
    if len(vectors("encoders-endless", endless)) < 2 * 26 * 4:
        fail("encoders", "no vectors")


def memory():
    p, _ = run("memory", ["a"], options={"max_tokens": 2}, resources={"memory": "1MiB"})
    if p.returncode != 69 or "needs" not in p.stderr or "a smaller options.context" not in p.stderr:
        fail("memory", "status 69 and what would do were expected", p)


def examples():
    """The files of configs/, with small models in place of those they name."""
    configs = TESTS.parent / "configs"
    (W / "examples.jsonl").write_text(json.dumps({"text": "a"}) + "\n")
    (W / "examples-choice.jsonl").write_text(json.dumps({"text": json.dumps({"prompt": "a", "choices": ["x", "b"]})}) + "\n")
    for name in ("examples", "examples-choice"):
        if call("data", "import", W / f"{name}.jsonl", W / name).returncode:
            fail("examples", "import")
    gguf = writers.counter_gguf(W / "counter.gguf")
    models = {"generate": (gguf, "examples", "generated", "t"), "chat": (chat_folder("examples-model", CHATML), "examples", "generated", "!"),
              "score": (gguf, "examples-choice", "choice", 1)}
    for name, (model, source, column, want) in models.items():
        p = call("run", configs / f"{name}.yaml", "--ranks", "1", "--set", f"model={model}", "--set", f"input.dataset={W}/{source}", "--set",
                 f"output.dataset={W}/{name}-example", "--set", f"runs={W}/{name}-runs", *(["--set", "options.max_tokens=1"] if want != 1 else []))
        if p.returncode:
            fail(f"examples {name}", "run", p)
        call("data", "export", W / f"{name}-example", W / f"{name}-example.jsonl")
        equal(f"examples {name}", json.loads((W / f"{name}-example.jsonl").read_text())[column], want)
    for name in ("translate", "translate-ct2"):
        p = call("config", "check", configs / f"{name}.yaml")
        if p.returncode:
            fail(f"examples {name}", "check", p)


CASES = [texts, stops, half_letter, template, chat, other_chat, messages, scores, completions, choices, bad_rows, keys, files,
         languages, encoders, memory, examples]


def main():
    W.mkdir()
    writers.counter(MODEL)
    asked = sys.argv[1:]
    for case in CASES:
        if not asked or case.__name__ in asked:
            case()
            print(f"{case.__name__}: as expected", flush=True)


if __name__ == "__main__":
    main()
