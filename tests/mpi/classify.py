#!/usr/bin/python3
"""classify.py: labels of texts, of pairs and of tokens, the same bytes on up to 4 ranks with other leases.

The model is all-MiniLM-L6-v2 with made-up classes behind it. What a job gives is compared with numpy's, from the vectors
that kind embed makes of the same texts by the model's pooler; labels of tokens are compared with each other and with the
tokens. Then what users get wrong.
"""
import json, os, pathlib, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "mpi")]
import loop
from retrieve import column

LABELS = ["praise", "blame", "neither"]
TAGS = ["O", "B-THING", "I-THING", "B-PLACE", "I-PLACE"]


def put_model(folder, classes, labels):
    """The weights of MiniLM and a classifier, with the config that names them."""
    import numpy as np
    source = pathlib.Path(loop.MODELS) / "all-MiniLM-L6-v2"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (source / name).exists():
            (folder / name).symlink_to(os.path.abspath(source / name))
    config = json.loads((source / "config.json").read_text())
    config.update(architectures=[classes], id2label=dict(enumerate(labels)))
    (folder / "config.json").write_text(json.dumps(config))
    blob = (source / "model.safetensors").read_bytes()
    length = int.from_bytes(blob[:8], "little")
    header, data = json.loads(blob[8:8 + length]), blob[8 + length:]
    r = np.random.default_rng(5)
    w = (r.standard_normal((len(labels), 384)) * 0.3).astype(np.float32)
    b = r.standard_normal(len(labels)).astype(np.float32)
    for name, a in (("classifier.weight", w), ("classifier.bias", b)):
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    return w, b


def start(where, name, ranks, **job):
    path = where / f"{name}.yaml"
    job.setdefault("kind", "classify")
    path.write_text(json.dumps({"output": {"dataset": f"{where}/{name}", "shard_bytes": "64KiB"},
                                "resources": {"threads": 1}, "runs": f"{where}/runs",
                                "balance": {"probe": False, "lease_rows": 3 + 10 * ranks}, **job}))
    return subprocess.run([f"{loop.BIN}/echelon", "run", str(path), "--ranks", str(ranks)], capture_output=True, text=True)


def run(where, name, ranks, **job):
    p = start(where, name, ranks, **job)
    if p.returncode:
        sys.exit(f"FAIL {name}: status {p.returncode}\n{p.stderr[-2000:]}")
    return where / name


def same_on(where, name, ranks=(1, 4), **job):
    found = [run(where, f"{name}-{n}", n, **job) for n in ranks]
    if len({loop.digest(f) for f in found}) != 1:
        sys.exit(f"FAIL {name}: other bytes on other ranks")
    return found[0]


def check_rows(where, texts, model, w, b):
    import numpy as np
    data = {"dataset": f"{where}/texts", "column": "text"}
    vectors = np.array(column(run(where, "vectors", 2, kind="embed", model=model, input=data,
                                  options={"pooling": "pooler", "normalize": "no"}), "embedding"))
    logits = vectors.astype(np.float64) @ w.T.astype(np.float64) + b
    want = np.exp(logits - logits.max(1, keepdims=True))
    want /= want.sum(1, keepdims=True)
    found = same_on(where, "rows", (1, 2, 4), model=model, input=data)
    scores, labels = np.array(column(found, "scores")), column(found, "label")
    if scores.shape != (len(texts), len(LABELS)) or not np.abs(scores - want).max() < 1e-5:
        sys.exit(f"FAIL rows: {np.abs(scores - want).max()} from numpy's scores")
    if labels != [LABELS[i] for i in want.argmax(1)] or len(set(labels)) < 2:
        sys.exit(f"FAIL rows: labels {labels[:5]}")
    if not (np.array(column(found, "score")).ravel() == scores.max(1)).all():
        sys.exit("FAIL rows: score is not the label's")
    raw = np.array(column(run(where, "logits", 1, model=model, input=data, options={"scores": "none"}), "scores"))
    if not np.abs(raw - logits).max() < 1e-4:
        sys.exit("FAIL rows: logits")


def check_pairs(where, model):
    import numpy as np
    data = {"dataset": f"{where}/pairs", "column": "query"}
    found = same_on(where, "pair", model=model, input=data, options={"pair": "passage", "scores": "none"})
    turned = run(where, "turned", 2, model=model, input={"dataset": f"{where}/pairs", "column": "passage"},
                 options={"pair": "query", "scores": "none"})
    a, b = np.array(column(found, "scores")), np.array(column(turned, "scores"))
    same = [q == p for q, p in zip(column(where / "pairs", "query"), column(where / "pairs", "passage"))]
    if not ((a == b).all(1) == same).all():
        sys.exit("FAIL pairs: the order of the two texts does not count")


def check_tokens(where, texts, model):
    data = {"dataset": f"{where}/texts", "column": "text"}
    found = same_on(where, "tokens", model=model, input=data)
    seen = set()
    for text, tokens, spans in zip(texts, column(found, "tokens"), column(found, "spans")):
        tokens, spans = json.loads(tokens), json.loads(spans)
        whole = "".join(t["token"].removeprefix("##") if t["token"].startswith("##") else " " + t["token"] for t in tokens)
        if whole.strip() != text or not all(0 < t["score"] <= 1 and t["label"] in TAGS for t in tokens):
            sys.exit(f"FAIL tokens: {tokens} of {text}")
        covered = [i for s in spans for i in range(s["first"], s["first"] + s["count"])]
        if covered != [i for i, t in enumerate(tokens) if t["label"] != "O"]:
            sys.exit(f"FAIL tokens: spans {spans} over {tokens}")
        for s in spans:
            part = tokens[s["first"]:s["first"] + s["count"]]
            if any(t["label"][2:] != s["label"] for t in part) or any(t["label"][0] == "B" for t in part[1:]) or \
                    not abs(sum(t["score"] for t in part) / len(part) - s["score"]) < 2e-6 or s["text"] not in text:
                sys.exit(f"FAIL tokens: span {s} over {part}")
            seen.add(s["label"])
    if seen != {"THING", "PLACE"}:
        sys.exit(f"FAIL tokens: spans of {seen}")


def check_wrong(where, rows, tokens):
    data = {"dataset": f"{where}/pairs", "column": "query"}
    wrong = [({"model": rows, "input": data, "options": {"pair": "pasage"}}, "options.pair: "),
             ({"model": tokens, "input": data, "options": {"pair": "passage"}}, "labels tokens of single texts"),
             ({"model": f"{loop.MODELS}/all-MiniLM-L6-v2", "input": data}, '"architectures" says BertModel'),
             ({"model": rows, "input": {"dataset": f"{where}/vectors", "column": "embedding"}}, "text is expected")]
    for i, (job, says) in enumerate(wrong):
        p = start(where, f"wrong-{i}", 2, **job)
        if p.returncode not in (65, 78) or says not in p.stderr:
            sys.exit(f"FAIL wrong {i}: status {p.returncode}\n{p.stderr[-1000:]}")


def main():
    if loop.lacks(peers=True):
        return 77
    where = pathlib.Path.cwd() / "classify"
    where.mkdir()
    texts = loop.texts(200)
    for name, lines in (("texts", [{"text": t} for t in texts]),
                        ("pairs", [{"query": a, "passage": b} for a, b in zip(texts[:60], texts[20:40] + texts[20:60])])):
        (where / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run([f"{loop.BIN}/echelon", "data", "import", f"{where}/{name}.jsonl", f"{where}/{name}"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows, tokens = where / "model-rows", where / "model-tokens"
    w, b = put_model(rows, "BertForSequenceClassification", LABELS)
    put_model(tokens, "BertForTokenClassification", TAGS)
    check_rows(where, texts, str(rows), w, b)
    check_pairs(where, str(rows))
    check_tokens(where, texts, str(tokens))
    check_wrong(where, str(rows), str(tokens))
    print(f"{len(texts)} texts, 60 pairs, labels of rows and tokens: numpy's scores, one hash on any ranks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
