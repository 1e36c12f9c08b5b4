#!/usr/bin/env python3
"""quality.py: how far vectors of echelon at lower precisions are from its f32, on STS-B dev: cosine and largest
difference to the vectors of f32, and Spearman's correlation of the pairs' cosines with the scores that people gave.

Needs the standard library alone; with --venv the same of the engines of embed-peers is shown beside it, and with
--vectors of .npy files whose rows are the set's 3,000 sentences. --check: the limits of LIMITS hold, else exit 1.

example: tests/bench/quality.py --precision bf16,int8 --check
exit status: 0 measured, 1 a limit is broken or an engine failed, 64 usage, 66 no texts or model, 69 no program"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import engines
import jobs
import sets
import stsb
import vectors

PAIRS = 1500
REFERENCE = 0.86716  # Spearman of torch f32 over all pairs
LIMITS = {  # mean cosine to f32, at least; Spearman's difference to f32, at most
    "f32": (0.999999, 0),
    "bf16": (0.9999, 0.0005),
    "int8": (0.997, 0.002),
}


def correlation(rows, scores):
    return vectors.spearman([vectors.cosine(rows[2 * i], rows[2 * i + 1]) for i in range(len(scores))], scores)


def figures(label, precision, path, reference, scores):
    rows = vectors.read(path)
    return dict(vectors.distance(rows, reference), label=label, precision=precision,
                spearman=correlation(rows, scores))


def broken(f, base, pairs):
    """What of the limits does not hold; a NaN breaks both."""
    least, most = LIMITS[f["precision"]]
    out = []
    if not f["mean"] >= least:
        out.append("mean cosine %.6f, at least %g" % (f["mean"], least))
    if f["precision"] == "f32" and pairs == PAIRS and not abs(base - REFERENCE) <= 0.00005:
        out.append("Spearman %.5f, the reference implementation has %.5f" % (base, REFERENCE))
    if not abs(f["spearman"] - base) <= most:
        out.append("Spearman %.5f, f32 has %.5f, at most %g apart" % (f["spearman"], base, most))
    return out


def peers(given, texts, work):
    """(label, precision, file) of each engine asked for."""
    python = os.path.join(given.venv, "bin", "python")
    for name, (engine, precision, label) in engines.PEERS.items():
        if engine in given.peers:
            out = os.path.join(work, name + ".npy")
            with open(os.path.join(work, name + ".log"), "w") as log:
                command = [python, os.path.join(sets.HERE, "engines.py"), "vectors", name, sets.MODEL, texts, work, out]
                if subprocess.run(command, stdout=log, stderr=log).returncode:
                    sys.exit("quality.py: %s failed; see %s (--work keeps it)" % (label, log.name))
            yield label, precision, out


def show(rows, base):
    print("| engine | Spearman | - f32 | cosine to f32: mean | min | max abs |\n|---|---|---|---|---|---|")
    for f in rows:
        print("| %s | %.5f | %+.5f | %.6f | %.5f | %.1e |" % (
            f["label"], f["spearman"], f["spearman"] - base, f["mean"], f["min"], f["max_abs"]))


def parse():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.error = lambda message: fail(64, message)
    o.add_argument("--precision", default="f32", metavar="LIST", help="of f32,bf16,int8; f32 is computed in any case")
    o.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help="the first N pairs; the limits are meant for"
                   " all 1,500")
    o.add_argument("--ranks", type=int, default=1, metavar="N")
    o.add_argument("--threads", type=int, default=2, metavar="N")
    o.add_argument("--venv", metavar="DIR", help="environment of the peers, made by embed-peers")
    o.add_argument("--peers", default=",".join(engines.ENGINES), metavar="LIST", help="of st,ort,ov,ct2")
    o.add_argument("--vectors", action="append", default=[], metavar="LABEL=FILE")
    o.add_argument("--work", metavar="DIR", help="datasets, converted models, logs; default: a temporary one")
    o.add_argument("--echelon", default=os.path.join(sets.BIN, "echelon"), metavar="X")
    o.add_argument("--check", action="store_true", help="exit 1 where a limit is broken")
    o.add_argument("--json", metavar="FILE")
    given = o.parse_args()
    given.precision, given.peers = given.precision.split(","), given.peers.split(",")
    for value, known in [(p, LIMITS) for p in given.precision] + [(p, engines.ENGINES) for p in given.peers]:
        if value not in known:
            fail(64, "%s is not one of %s" % (value, ", ".join(known)))
    if not all("=" in v for v in given.vectors) or not 2 <= given.pairs <= PAIRS:
        fail(64, "--vectors takes LABEL=FILE, --pairs 2 to 1500")
    return given


def fail(status, text):
    print("quality.py: " + text, file=sys.stderr)
    sys.exit(status)


def measure(given, work):
    chosen = stsb.pairs(sets.SOURCES["stsb"])[: given.pairs]
    texts, scores = os.path.join(work, "stsb-%d-pairs.jsonl" % given.pairs), [score for _, _, score in chosen]
    with open(texts, "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"text": text}) + "\n" for a, b, _ in chosen for text in (a, b))
    rows, reference = [], None
    for precision in ["f32"] + [p for p in given.precision if p != "f32"]:
        job = jobs.Job(given.echelon, sets.MODEL, texts, work, given.ranks, given.threads, precision)
        job.run()
        path = job.vectors()
        reference = reference or vectors.read(path)
        rows.append(figures("echelon " + precision, precision, path, reference, scores))
    others = [(label, None, path) for label, path in (v.split("=", 1) for v in given.vectors)]
    if given.venv:
        others += peers(given, texts, work)
    return rows, [figures(label, precision, path, reference, scores) for label, precision, path in others]


def main():
    given = parse()
    absent = sets.missing(["stsb"])
    if absent:
        fail(66, absent)
    if not os.access(given.echelon, os.X_OK):
        fail(69, "no %s: ci/build" % given.echelon)
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or temporary
        os.makedirs(work, exist_ok=True)
        try:
            own, others = measure(given, work)
        except (OSError, ValueError) as e:  # of files that --vectors names
            fail(66, str(e))
    base = own[0]["spearman"]
    print("STS-B dev, %d pairs\n" % given.pairs)
    show(own + others, base)
    if given.json:
        with open(given.json, "w") as out:
            json.dump({"pairs": given.pairs, "echelon": own, "others": others}, out, indent=1)
    wrong = ["%s: %s" % (f["label"], text) for f in own for text in broken(f, base, given.pairs)]
    if given.check and wrong:
        fail(1, "; ".join(wrong))


if __name__ == "__main__":
    main()
