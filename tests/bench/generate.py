#!/usr/bin/env python3
"""generate.py: prompt and decode tokens/s of a GGUF decoder, echelon beside llama.cpp, on the same token ids.

  prompt N    N ids in, one token out: N / seconds
  decode N    N tokens written behind one id, one after the other: N / seconds
  rows R      R texts at a time, 16 ids in and 32 tokens out each: R x 32 / seconds, the prompts' time included

Both choose the best token and stop at no end. Both open the model once; they take turns, one at a time, after a round
that does not count; figures are medians over the rounds. llama.cpp as llama-cpp-python brings it (PyPI, built here for
this processor): its defaults, batches of 512, `llama_decode` and its own greedy sampler, no Python between tokens but
the call itself. echelon: `generator_speed`, the generator of the job kinds (also its queue and its threads' waking).
Before timing, both write 8 tokens behind the goldens' prompts: who writes something else is not timed. Threads of
echelon wait as in a job; llama.cpp's as it likes and asleep (passive), and the ratio is to the better.

example: tests/bench/generate.py models/gemma-3-270m/gemma-3-270m-q4_k_m.gguf --venv /tmp/peers/llama
exit status: 0 measured, 1 an engine failed or wrote something else, 64 usage, 66 no model, 69 no environment"""
import argparse
import ctypes
import json
import os
import random
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "llama-cpp-python"
CONTEXT, STEP, ROWS = 2048, 512, 64
WAITS = {"llama.cpp": {}, "llama.cpp, passive": {"OMP_WAIT_POLICY": "passive"}}
AS_A_JOB = {"OMP_WAIT_POLICY": "passive"}  # runtime/main.c
SAME = 0.5  # of the tokens up to where two texts part: two good engines part where two tokens are near


def fail(status, text):
    print("generate.py: " + text, file=sys.stderr)
    sys.exit(status)


# ---- llama.cpp: the part that runs in its environment ------------------------------------------------------------

class Llama:
    def __init__(self, path, threads, context, rows):
        import llama_cpp
        self.l = l = llama_cpp
        silent = l.llama_log_callback(lambda *given: None)
        l.llama_log_set(silent, ctypes.c_void_p(0))
        l.llama_backend_init()
        self.silent = silent
        self.model = l.llama_model_load_from_file(path.encode(), l.llama_model_default_params())
        options = l.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch, options.n_seq_max = context, STEP, STEP, rows
        options.n_threads = options.n_threads_batch = threads
        options.no_perf, options.kv_unified = True, True
        self.context = l.llama_init_from_model(self.model, options)
        if not self.model or not self.context:
            raise SystemExit("llama.cpp opens no %s" % path)
        self.sampler = l.llama_sampler_init_greedy()
        self.batch = l.llama_batch_init(STEP, 0, 1)

    def step(self, tokens):
        """tokens: (id, position, row, wanted)"""
        b = self.batch
        b.n_tokens = len(tokens)
        for i, (token, position, row, wanted) in enumerate(tokens):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, position, 1, wanted
            b.seq_id[i][0] = row
        if self.l.llama_decode(self.context, b):
            raise SystemExit("llama_decode failed")

    def best(self, i):
        return self.l.llama_sampler_sample(self.sampler, self.context, i)

    def write(self, most, prompts):
        """Greedy texts behind prompts of one length, all rows side by side."""
        self.l.llama_memory_clear(self.l.llama_get_memory(self.context), True)
        length, out, last = len(prompts[0]), [[] for _ in prompts], [0] * len(prompts)
        together = max(1, STEP // length)
        for first in range(0, len(prompts), together):
            rows = range(first, min(first + together, len(prompts)))
            self.step([(prompts[r][i], i, r, i == length - 1) for r in rows for i in range(length)])
            for at, r in enumerate(rows):
                last[r] = self.best(at * length + length - 1)
                out[r].append(last[r])
        for n in range(1, most):
            self.step([(last[r], length + n - 1, r, True) for r in range(len(prompts))])
            for r in range(len(prompts)):
                last[r] = self.best(r)
                out[r].append(last[r])
        return [token for row in out for token in row]


def serve(path, threads, rows):
    engine = Llama(path, threads, CONTEXT if rows == 1 else rows * 64, rows)
    print(json.dumps({"version": "%s %s, %s" % (PACKAGE, engine.l.__version__, system(engine.l))}), flush=True)
    for line in sys.stdin:
        texts = [list(map(int, text.split())) for text in line.split(";")]
        begun = time.monotonic()
        ids = engine.write(texts[0][0], [text[1:] for text in texts])
        print(json.dumps({"seconds": time.monotonic() - begun, "ids": ids}), flush=True)


def system(l):
    """The instruction sets that its kernels say they use."""
    parts = l.llama_print_system_info().decode().split("|")
    return " ".join(part.split("=")[0].split(":")[-1].strip() for part in parts if part.strip().endswith("= 1"))


# ---- those who take turns ----------------------------------------------------------------------------------------

class Engine:
    def __init__(self, label, command, environ={}):
        self.label, self.rates = label, {}
        self.child = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.PIPE if label.startswith("llama") else None,
                                      env=dict(os.environ, **environ))

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            fail(1, "%s ended: %s" % (self.label, self.child.stderr.read()[-2000:] if self.child.stderr else ""))
        return json.loads(line)

    def write(self, most, prompts):
        self.child.stdin.write(";".join("%d %s" % (most, " ".join(map(str, ids))) for ids in prompts) + "\n")
        self.child.stdin.flush()
        return self.read()

    def memory(self):
        """MiB: what is its own, what it has of files."""
        with open("/proc/%d/smaps_rollup" % self.child.pid) as lines:
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB\n")}
        own = sizes["Pss_Anon"] + sizes["Pss_Shmem"]
        return own / 1024, (sizes["Rss"] - own) / 1024

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def tests_of(given, bos):
    """name: (tokens that count, most, prompts)"""
    draw = random.Random(7)

    def ids(count):
        return [bos] + [draw.randrange(1000, given.vocabulary) for _ in range(count - 1)]
    tests = {"prompt %d" % n: (n, 1, [ids(n)]) for n in given.prompt}
    tests.update({"decode %d" % n: (n, n, [[bos]]) for n in given.decode})
    tests.update({"rows %d" % n: (32 * n, 32, [ids(16) for _ in range(n)]) for n in given.rows})
    return tests


def check(given, engines):
    """Do they write alike behind the goldens' prompts?"""
    path = os.path.join(given.data, "goldens", "gemma3", "prompts.jsonl")
    if given.peer_only or not os.path.exists(path) or "gemma-3" not in given.model:
        return "not compared"
    with open(path, encoding="utf-8") as lines:
        prompts = [json.loads(line)["ids"] for line in lines]
    written = [[e.write(8, [ids])["ids"] for ids in prompts] for e in engines]
    same = sum(a[:i + 1] == b[:i + 1] for a, b in zip(written[0], written[-1]) for i in range(len(a)))
    if same < SAME * 8 * len(prompts):
        fail(1, "only %d of %d tokens before texts part: %s" % (same, 8 * len(prompts), written))
    return "%d of %d tokens written before texts part" % (same, 8 * len(prompts))


def measure(given, engines, tests):
    for number in range(given.runs + 1):
        for name, (tokens, most, prompts) in tests.items():
            for e in engines:
                time.sleep(given.pause)  # the one before has stopped spinning
                rate = tokens / e.write(most, prompts)["seconds"]
                if number:  # the first warms up
                    e.rates.setdefault(name, []).append(rate)
    return {name: {e.label: {"median": statistics.median(e.rates[name]), "rounds": e.rates[name]} for e in engines}
            for name in tests}


def show(figures, labels, ours):
    print("\n| tokens/s | %s | ratio |\n|%s" % (" | ".join(labels), "---|" * (len(labels) + 2)))
    for name, found in figures.items():
        cells = ["%.1f [%.1f-%.1f]" % (r["median"], min(r["rounds"]), max(r["rounds"])) for r in found.values()]
        best = max((r["median"] for label, r in found.items() if label != ours), default=None)
        ratio = "%.2f" % (found[ours]["median"] / best) if best and ours in found else ""
        print("| %s | %s | %s |" % (name, " | ".join(cells), ratio))


# ---- what is there -----------------------------------------------------------------------------------------------

def environment(venv):
    """Its python, with the peer."""
    python = os.path.join(venv, "bin", "python")
    look = [python, "-c", "import llama_cpp"]
    if os.path.exists(python) and subprocess.run(look, stderr=subprocess.DEVNULL).returncode == 0:
        return python
    print("generate.py: building %s in %s, some minutes" % (PACKAGE, venv), file=sys.stderr)
    if not os.path.exists(python) and subprocess.run([sys.executable, "-m", "venv", venv]).returncode:
        fail(69, "python3 -m venv failed (Debian: apt-get install python3-venv)")
    if subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-cache-dir", PACKAGE]).returncode:
        fail(69, "%s could not be built (it needs cmake and a C++ compiler)" % PACKAGE)
    return python


class Options(argparse.ArgumentParser):
    def error(self, message):
        fail(64, message + " (see --help)")


def parse():
    def numbers(value):
        found = [int(v) for v in value.split(",") if v]
        if any(v < 1 for v in found):
            raise argparse.ArgumentTypeError("%s: counts from 1 on" % value)
        return found
    root = os.path.dirname(os.path.dirname(HERE))
    o = Options(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("model", help="a GGUF file")
    o.add_argument("--venv", metavar="DIR", help="environment of llama.cpp, made if it is not there;"
                   " without: echelon alone")
    o.add_argument("--peer-only", action="store_true", help="without echelon")
    o.add_argument("--threads", type=int, default=2, metavar="N")
    o.add_argument("--compute", default="int8", help="of echelon: f32, int8 (default)")
    o.add_argument("--prompt", type=numbers, default=[512], metavar="LIST", help="default 512; 1 to 1024")
    o.add_argument("--decode", type=numbers, default=[128], metavar="LIST", help="default 128")
    o.add_argument("--rows", type=numbers, default=[], metavar="LIST", help="e.g. 8,32; at most 64")
    o.add_argument("--runs", type=int, default=5, metavar="N", help="rounds, 5")
    o.add_argument("--pause", type=float, default=0.5, metavar="S", help="between two engines, 0.5 s")
    o.add_argument("--bos", type=int, default=2, metavar="ID", help="first id of all prompts, 2")
    o.add_argument("--vocabulary", type=int, default=30000, metavar="N", help="ids are drawn from 1000 to N - 1")
    o.add_argument("--data", default=os.environ.get("ECH_TEST_DATA", os.path.join(root, "..", "shared")), metavar="DIR")
    o.add_argument("--bin", default=os.environ.get("ECH_BIN", os.path.join(root, "build", "bin")), metavar="DIR")
    o.add_argument("--json", metavar="FILE", help="all figures")
    given = o.parse_args()
    if given.peer_only and not given.venv:
        o.error("--peer-only without --venv leaves nothing to measure")
    if max(given.rows, default=1) > ROWS or max(given.prompt, default=1) > CONTEXT // 2:
        o.error("at most %d rows, prompts of at most %d" % (ROWS, CONTEXT // 2))
    return given


def main():
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    import jobs
    given = parse()
    if not os.path.exists(given.model):
        fail(66, "no %s: ci/get-model gemma-3-270m" % given.model)
    about, engines, label = jobs.machine(), [], "echelon %s" % given.compute
    if not given.peer_only:
        program = os.path.join(given.bin, "generator_speed")
        if not os.access(program, os.X_OK):
            fail(69, "no %s: ci/build" % program)
        engines.append(Engine(label, [program, given.model, given.threads, given.compute], AS_A_JOB))
    version = ""
    if given.venv:
        command = [environment(given.venv), os.path.abspath(__file__), "serve", given.model, given.threads]
        for name, environ in WAITS.items():
            engines.append(Engine(name, command + [max(given.rows, default=1)], environ))
            version = engines[-1].read()["version"]
    print("Median of %d, in turns, %d threads. %s." % (given.runs, given.threads, about))
    print("%s; %s." % (version, check(given, engines)) if len(engines) > 1 else version)
    figures = measure(given, engines, tests_of(given, given.bos))
    show(figures, [e.label for e in engines], label)
    size = os.path.getsize(given.model) / 2**20
    print()
    for e in engines:
        own, files = e.memory()
        print("%s: %.0f MiB of its own, %.0f MiB of files (the model's has %.0f MiB)" % (e.label, own, files, size))
    for e in engines:
        e.close()
    if given.json:
        with open(given.json, "w") as out:
            json.dump({"machine": about, "version": version, "threads": given.threads, "figures": figures}, out,
                      indent=1)


if __name__ == "__main__":
    main()
