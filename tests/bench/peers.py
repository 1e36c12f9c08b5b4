#!/usr/bin/env python3
"""Speed of `echelon run` beside two other engines on the same texts; started by embed-peers, which makes the
environment. `peers.py compare` plays the rounds and prints a Markdown table, `peers.py engine NAME` is one peer.

How it is counted. Peers: texts in, normalised vectors out, tokenisation included, batches of 32 sorted by length,
model loaded before and one warm-up round. Echelon: from the first lease to the end of the seal (the run's events),
so writing the dataset is in it; starting and loading are apart for all. Tokens: after truncation, no padding.
The engines take turns, one at a time; figures are medians over the rounds."""
import argparse
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import time

BATCH = 32
MAX_TOKENS = 256
TOLERANCE = 1e-5  # of a peer's vectors against the goldens, max abs
PEERS = {"st": "sentence-transformers, torch f32", "ort": "onnxruntime f32, fused"}
FORMS = [(1, 2), (2, 1)]  # echelon: ranks, threads a rank


def read_texts(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def tokenizer(model):
    from tokenizers import Tokenizer
    made = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    made.no_padding()
    made.enable_truncation(MAX_TOKENS)
    return made


# ---- peers: load() gives a function from texts to vectors -------------------------------------------------

def load_st(model, threads, work):
    import sentence_transformers
    import torch
    torch.set_num_threads(threads)
    encoder = sentence_transformers.SentenceTransformer(model, device="cpu")

    def encode(texts):
        return encoder.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
    return encode, "torch %s, sentence-transformers %s" % (torch.__version__, sentence_transformers.__version__)


def export_onnx(model, target):
    """The encoder as an ONNX graph with free batch and length, fused by onnxruntime's own optimizer."""
    import torch
    from onnxruntime.transformers import optimizer
    from transformers import BertModel
    bert = BertModel.from_pretrained(model, add_pooling_layer=False, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = tuple(torch.ones(2, 8, dtype=torch.long) for _ in names)

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.bert(input_ids=input_ids, attention_mask=attention_mask,
                             token_type_ids=token_type_ids).last_hidden_state
    axes = {name: {0: "batch", 1: "length"} for name in names + ["hidden"]}
    plain = target + ".plain"
    torch.onnx.export(Graph(), example, plain, input_names=names, output_names=["hidden"], dynamic_axes=axes,
                      opset_version=17, dynamo=False)
    fused = optimizer.optimize_model(plain, model_type="bert", num_heads=bert.config.num_attention_heads,
                                     hidden_size=bert.config.hidden_size)
    found = fused.get_fused_operator_statistics()
    layers = bert.config.num_hidden_layers
    if found.get("Attention", 0) + found.get("MultiHeadAttention", 0) != layers:
        raise SystemExit("peers.py: the optimizer fused %s, expected attention in %d layers" % (found, layers))
    fused.save_model_to_file(target)
    os.remove(plain)


def load_ort(model, threads, work):
    import numpy
    import onnxruntime
    graph = os.path.join(work, "fused.onnx")
    if not os.path.exists(graph):
        subprocess.run([sys.executable, __file__, "export", model, graph], check=True, stdout=sys.stderr)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    tokens = tokenizer(model)

    def batch(encoded):
        longest = max(len(e.ids) for e in encoded)
        ids = numpy.zeros((len(encoded), longest), numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, e in enumerate(encoded):
            ids[row, : len(e.ids)] = e.ids
            mask[row, : len(e.ids)] = 1
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask,
                                    "token_type_ids": numpy.zeros_like(ids)})[0]
        pooled = (hidden * mask[:, :, None]).sum(1, dtype=numpy.float32) / mask.sum(1, keepdims=True)
        return pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)

    def encode(texts):
        encoded = tokens.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
        vectors = numpy.empty((len(texts), 384), numpy.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start: start + BATCH]
            vectors[rows] = batch([encoded[i] for i in rows])
        return vectors
    return encode, "onnxruntime %s" % onnxruntime.__version__


def engine(given):
    """One peer in a process of its own: a line in, one round, a line of JSON out."""
    import numpy
    started = time.monotonic()
    encode, versions = {"st": load_st, "ort": load_ort}[given.name](given.model, given.threads, given.work)
    load = time.monotonic() - started
    texts = read_texts(given.texts)
    worst = None
    if given.goldens:
        expected = numpy.load(os.path.join(given.goldens, "embeddings.npy"))
        worst = float(numpy.abs(encode(read_texts(os.path.join(given.goldens, "texts.jsonl"))) - expected).max())
    numpy.save(os.path.join(given.work, given.name + ".npy"), encode(texts))  # the warm-up round
    print(json.dumps({"load": load, "versions": versions, "golden": worst}), flush=True)
    for _ in sys.stdin:
        started = time.monotonic()
        encode(texts)
        print(json.dumps({"seconds": time.monotonic() - started}), flush=True)


class Peer:
    def __init__(self, given, name):
        self.name, self.label, self.rounds = name, PEERS[name], []
        command = [sys.executable, __file__, "engine", name, given.model, given.texts, given.work,
                   "--threads", str(given.threads)]
        if given.goldens:
            command += ["--goldens", given.goldens]
        self.form = "1 process x %d threads" % given.threads
        with open(os.path.join(given.work, name + ".log"), "w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                            text=True)
        about = self.read(given)
        self.load, self.versions = about["load"], about["versions"]
        if about["golden"] is not None and not about["golden"] <= TOLERANCE:
            sys.exit("peers.py: %s is %.2g away from the goldens, expected at most %g"
                     % (self.label, about["golden"], TOLERANCE))
        self.check = "goldens: %.1e" % about["golden"] if about["golden"] is not None else "not compared"

    def read(self, given):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("peers.py: %s ended; see %s/%s.log" % (self.label, given.work, self.name))
        return json.loads(line)

    def round(self, given):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.rounds.append(self.read(given)["seconds"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- echelon ------------------------------------------------------------------------------------------------

def run_seconds(run):
    """From the first claim of any rank to the seal, on the machine's common monotonic clock."""
    leases, seals = [], []
    for path in glob.glob(os.path.join(run, "nodes", "*", "events-*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # a torn last line
                if event["type"] in ("lease", "seal"):
                    (leases if event["type"] == "lease" else seals).append(event["mono_ns"])
    if not leases or not seals:
        sys.exit("peers.py: the events of %s hold no lease or no seal" % run)
    return (max(seals) - min(leases)) / 1e9


class Echelon:
    def __init__(self, given, ranks, threads):
        self.label, self.rounds, self.starts = "echelon f32", [], []
        self.form = "%d rank%s x %d thread%s" % (ranks, "s"[: ranks > 1], threads, "s"[: threads > 1])
        self.out = os.path.join(given.work, "vectors-%dx%d" % (ranks, threads))
        self.job = self.out + ".yaml"
        self.versions, self.check = "", "not compared"
        with open(self.job, "w") as job:
            job.write("kind: embed\nmodel: %s\ninput: {dataset: %s/texts, column: text}\n"
                      "output: {dataset: %s, keep: [id], exists: replace}\n"
                      "resources: {ranks_per_node: %d, threads: %d}\nruns: %s/runs\n"
                      % (given.model, given.work, self.out, ranks, threads, given.work))

    def round(self, given):
        started = time.monotonic()
        done = subprocess.run([given.echelon, "run", self.job], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        wall = time.monotonic() - started
        if done.returncode:
            sys.exit("peers.py: echelon run %s ended with %d:\n%s" % (self.job, done.returncode, done.stderr))
        self.rounds.append(run_seconds(done.stdout.strip().splitlines()[-1]))
        self.starts.append(wall - self.rounds[-1])
        self.load = statistics.median(self.starts)

    def compare(self, given, reference):
        """Its vectors against the first peer's: both did the same work."""
        import numpy
        target = self.out + ".npy"
        subprocess.run([given.echelon, "data", "export", self.out, target, "--columns", "embedding", "--replace"],
                       check=True, stdout=subprocess.DEVNULL)
        difference = float(numpy.abs(numpy.load(target) - numpy.load(reference)).max())
        if not difference <= TOLERANCE:
            sys.exit("peers.py: %s differs from the peer by %.2g" % (self.out, difference))
        self.check = "%s: %.1e" % (os.path.basename(reference)[:-4], difference)

    def close(self):
        pass


# ---- the comparison -------------------------------------------------------------------------------------------

def machine():
    with open("/proc/cpuinfo") as text:
        cpu = re.search(r"^model name\s*: (.*)$", text.read(), re.M)
    return "%s, %d cores, load %.1f before" % (cpu.group(1) if cpu else "?", os.cpu_count(), os.getloadavg()[0])


def table(engines, texts, tokens):
    print("| engine | form | tokens/s | [min-max] | texts/s | s | start and load, s | vectors, max abs to |")
    print("|---|---|---|---|---|---|---|---|")
    for e in engines:
        middle = statistics.median(e.rounds)
        print("| %s | %s | %s | %s-%s | %.1f | %.2f | %.1f | %s |" % (
            e.label, e.form, format(round(tokens / middle), ","), format(round(tokens / max(e.rounds)), ","),
            format(round(tokens / min(e.rounds)), ","), texts / middle, middle, e.load, e.check))


def compare(given):
    texts = read_texts(given.texts)
    tokens = sum(len(e.ids) for e in tokenizer(given.model).encode_batch(texts))
    about = machine()
    engines = [Peer(given, name) for name in PEERS]
    if given.echelon:
        dataset = os.path.join(given.work, "texts")
        if not os.path.exists(dataset):
            subprocess.run([given.echelon, "data", "import", given.texts, dataset], check=True,
                           stdout=subprocess.DEVNULL)
        engines += [Echelon(given, ranks, threads) for ranks, threads in FORMS]
    for number in range(given.runs + (1 if given.echelon else 0)):
        if number == 1 and given.echelon:  # echelon's warm-up round (file cache, hash of the model) is over
            for e in engines:
                e.rounds.clear()
        for e in engines:
            time.sleep(given.pause)  # the one before has stopped spinning
            e.round(given)
            print("round %d: %s, %s: %.2f s" % (number, e.label, e.form, e.rounds[-1]), file=sys.stderr)
    for e in engines:
        if isinstance(e, Echelon):
            e.compare(given, os.path.join(given.work, "st.npy"))
        e.close()
    print("%s texts, %s tokens (cut at %d), median of %d, one engine at a time in turns.\n%s. %s.\n"
          % (format(len(texts), ","), format(tokens, ","), MAX_TOKENS, given.runs, about,
             "; ".join(e.versions for e in engines if e.versions)))
    table(engines, len(texts), tokens)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = options.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("engine")
    one.add_argument("name", choices=PEERS)
    every = verbs.add_parser("compare")
    every.add_argument("--echelon", help="the command; left out: peers alone")
    every.add_argument("--runs", type=int, default=5)
    every.add_argument("--pause", type=float, default=1.0, help="seconds between two engines")
    for verb in (one, every):
        for name in ("model", "texts", "work"):
            verb.add_argument(name)
        verb.add_argument("--threads", type=int, default=2)
        verb.add_argument("--goldens", help="folder with texts.jsonl and embeddings.npy")
    export = verbs.add_parser("export")
    export.add_argument("model")
    export.add_argument("target")
    given = options.parse_args()
    if given.verb == "export":
        export_onnx(given.model, given.target)
    else:
        {"engine": engine, "compare": compare}[given.verb](given)


if __name__ == "__main__":
    main()
