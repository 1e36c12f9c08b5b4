"""Echelon as a user runs it, for the scripts of this folder: data import, run, the run's events, data export; and
the machine in a line."""
import glob
import json
import os
import re
import subprocess
import sys
import time


def machine():
    with open("/proc/cpuinfo") as text:
        about = dict(re.findall(r"^([^\t\n]+)\t*: (.*)$", text.read(), re.M))
    flags = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
             if f in about.get("flags", "").split()]
    return "%s (family %s, model %s), %d cores, %s; load %.1f before" % (
        about.get("model name", "?"), about.get("cpu family", "?"), about.get("model", "?"),
        len(os.sched_getaffinity(0)), " ".join(flags) or "no vector flags known", os.getloadavg()[0])


def call(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("%s ended with %d:\n%s" % (" ".join(command), done.returncode, done.stderr))
    return done.stdout


def events(run):
    for path in glob.glob(os.path.join(run, "nodes", "*", "events-*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # a torn last line


def measure(run):
    """{seconds, tokens, forward}: from the first lease of any rank to the end of the seal, on the machine's common
    monotonic clock; tokens of the rows, each counted once; forward: tokens/s of the forward passes in it, the sum over
    ranks of tokens / time in them (where idle ranks took rows that another had begun, these count here twice)."""
    leases, seals, tokens, last = [], [], 0, {}
    for event in events(run):
        if event["type"] == "lease":
            leases.append(event["mono_ns"])
        elif event["type"] == "seal":
            seals.append(event["mono_ns"])
        elif event["type"] == "todo":
            tokens = max(tokens, event["tokens_done"])
        elif event["type"] == "progress":
            last[event["rank"]] = max(last.get(event["rank"], event), event, key=lambda e: e["seq"])
    if not leases or not seals:
        sys.exit("the events of %s hold no lease or no seal" % run)
    return {"seconds": (max(seals) - min(leases)) / 1e9, "tokens": tokens,
            "forward": sum(e["tokens"] / e["busy_s"] for e in last.values() if e["busy_s"] > 0)}


class Job:
    """The embedding of a JSON Lines file's `text` by some ranks at a precision."""

    def __init__(self, echelon, model, texts, work, ranks=1, threads=2, precision="f32"):
        os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        work = os.path.abspath(work)
        name = os.path.splitext(os.path.basename(texts))[0]
        self.echelon, self.dataset = echelon, os.path.join(work, name)
        self.out = "%s-%s-%dx%d" % (self.dataset, precision, ranks, threads)
        self.more = [] if precision == "f32" else ["--set", "precision=" + precision]
        call([echelon, "data", "import", texts, self.dataset, "--replace"])
        with open(self.out + ".yaml", "w") as job:
            json.dump({"kind": "embed", "model": os.path.abspath(model),
                       "input": {"dataset": self.dataset, "column": "text"},
                       "output": {"dataset": self.out, "exists": "replace"},
                       "resources": {"ranks_per_node": ranks, "threads": threads},
                       "runs": os.path.join(work, "runs")}, job)

    def run(self):
        """measure() of one run, and the wall time of the command."""
        started = time.monotonic()
        said = call([self.echelon, "run", self.out + ".yaml"] + self.more)
        return dict(measure(said.strip().splitlines()[-1]), wall=time.monotonic() - started)

    def vectors(self):
        """The .npy file of what the last run wrote."""
        target = self.out + ".npy"
        call([self.echelon, "data", "export", self.out, target, "--columns", "embedding", "--replace"])
        return target
