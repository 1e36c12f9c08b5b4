#!/usr/bin/python3
"""perplexity.py COMPUTE WINDOW...: `echelon eval perplexity` of Gemma 3 270M (GGUF) on the first 2,048 tokens of
WikiText-2, in windows of 512 or as one (2048), within 0.5 % of the reference implementation's over the dequantised
weights."""
import json, os, subprocess, sys

ECHELON = os.environ["ECH_BIN"] + "/echelon"
MODEL = os.environ["ECH_TEST_MODELS"] + "/gemma-3-270m"
DATA = os.environ["ECH_TEST_DATA"]
TEXT, GOLDENS = DATA + "/data/text/wikitext2-test.txt", DATA + "/goldens/gemma3/"

for capability, path, hint in (("data", TEXT, "ECH_TEST_DATA names the folder"),
                               ("data", GOLDENS, "ECH_TEST_DATA names the folder"),
                               ("models", MODEL, "ci/get-model gemma-3-270m")):
    if not os.path.exists(path):
        print("SKIP %s: %s is not there (%s)" % (capability, path, hint), file=sys.stderr)
        sys.exit(77)


def measure(window):
    p = subprocess.run([ECHELON, "eval", "perplexity", MODEL, "--text", TEXT, "--tokens", "2048", "--window",
                        str(window), "--compute", sys.argv[1], "--json"], capture_output=True, text=True, timeout=280)
    if p.returncode:
        sys.exit("FAIL: status %d\n%s%s" % (p.returncode, p.stdout, p.stderr))
    return json.loads(p.stdout)


want = json.load(open(GOLDENS + "hf-perplexity.json"))
failed = len(sys.argv) < 3
for window in map(int, sys.argv[2:]):
    name, got = {2048: "whole", 512: "windows512"}[window], measure(window)
    far = got["perplexity"] / want[name]["ppl"] - 1
    good = abs(far) <= 0.005 and got["predictions"] == 2048 - 2048 // window
    print("%s: %.4f, %.4f was expected (%+.3f %%), %d predictions, %s, %.1f s" % (
        name, got["perplexity"], want[name]["ppl"], 100 * far, got["predictions"], got["numerics"], got["seconds"]))
    failed |= not good
sys.exit(failed)
