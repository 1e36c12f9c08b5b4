#!/usr/bin/env python3
"""whole-job.py: the whole job beside the forward pass alone, over the same texts.

whole    tokens/s from the first lease to the end of the seal: tokenizer, reading, dispatch, spool, checks, seal
inside   tokens/s of the forward passes in that run (its events): what they lose to the threads beside them
alone    the same counted where nothing else runs (engine_forward)
The three take turns; medians over the rounds, ratios too (of the two values of a round).

example: tests/bench/whole-job.py --every 16 --forms 2x1
exit status: 0 measured, 1 --least is missed or a run failed, 64 usage, 66 no texts or model, 69 no program"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import jobs
import sets

PRECISIONS = ("f32", "bf16", "int8")
FORMS = {"1x2": (1, 2), "2x1": (2, 1)}


class Forward:
    def __init__(self, program, dataset, engines, threads, precision):
        self.process = subprocess.Popen([program, sets.MODEL, dataset, str(engines), str(threads), precision],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("whole-job.py: the forward pass ended with %d" % self.process.wait())
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(given, texts, precision, form, work):
    ranks, threads = FORMS[form]
    job = jobs.Job(given.echelon, sets.MODEL, texts, work, ranks, threads, precision)
    forward = Forward(given.forward, job.dataset, ranks, threads, precision)
    rounds = []
    for number in range(given.runs + 1):
        time.sleep(given.pause)
        alone = forward.round()
        time.sleep(given.pause)
        done = job.run()
        if number:  # the first warms up
            rounds.append({"whole": alone["tokens"] / done["seconds"], "inside": done["forward"],
                           "alone": alone["tokens_per_s"]})
            print("%s %s: %s" % (precision, form, rounds[-1]), file=sys.stderr)
    forward.close()
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    middle.update(ratio=statistics.median(r["whole"] / r["alone"] for r in rounds),
                  contention=statistics.median(r["inside"] / r["alone"] for r in rounds),
                  form=form, precision=precision, tokens=alone["tokens"], rounds=rounds)
    return middle


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.error = lambda message: (print("whole-job.py: " + message, file=sys.stderr), sys.exit(64))
    o.add_argument("--set", choices=sets.SOURCES, default="scifact")
    o.add_argument("--every", type=int, default=16, metavar="N", help="scifact: every N-th document, 16")
    o.add_argument("--precision", default="f32", metavar="LIST", help="f32,bf16,int8; default f32")
    o.add_argument("--forms", default="2x1,1x2", metavar="LIST", help="ranks x threads; default 2x1,1x2")
    o.add_argument("--runs", type=int, default=5, metavar="N", help="rounds, 5")
    o.add_argument("--pause", type=float, default=0.5, metavar="S")
    o.add_argument("--least", type=float, default=0, metavar="X", help="exit 1 where whole / alone is below")
    o.add_argument("--echelon", default=os.path.join(sets.BIN, "echelon"), metavar="X")
    o.add_argument("--forward", default=os.path.join(sets.BIN, "engine_forward"), metavar="X")
    o.add_argument("--json", metavar="FILE")
    given = o.parse_args()
    precisions, forms = given.precision.split(","), given.forms.split(",")
    for value, known in [(p, PRECISIONS) for p in precisions] + [(f, FORMS) for f in forms]:
        if value not in known:
            o.error("%s is not one of %s" % (value, ", ".join(known)))
    if given.runs < 1 or given.every < 1:
        o.error("--runs and --every are at least 1")
    absent = sets.missing([given.set])
    if absent:
        print("whole-job.py: " + absent, file=sys.stderr)
        sys.exit(66)
    for program in (given.echelon, given.forward):
        if not os.access(program, os.X_OK):
            print("whole-job.py: no %s: ci/build" % program, file=sys.stderr)
            sys.exit(69)
    about = jobs.machine()
    with tempfile.TemporaryDirectory() as work:
        texts, name = sets.write(given.set, work, given.every)
        rows = [measure(given, texts, precision, form, work) for precision in precisions for form in forms]
    print("%s, %s tokens, median of %d. %s.\n" % (name, format(rows[0]["tokens"], ","), given.runs, about))
    print("| precision | ranks x threads | whole job, tokens/s | inside | alone | whole / alone | inside / alone |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        print("| %s | %s | %s | %s | %s | %.3f | %.3f |" % (
            r["precision"], r["form"], *(format(round(r[n]), ",") for n in ("whole", "inside", "alone")), r["ratio"],
            r["contention"]))
    if given.json:
        with open(given.json, "w") as out:
            json.dump({"machine": about, "set": name, "runs": given.runs, "figures": rows}, out, indent=1)
    if not all(r["ratio"] >= given.least for r in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
