"""The texts that the tables use, as JSON Lines files with `text`."""
import json
import os
import sys

sys.dont_write_bytecode = True
import scifact
import stsb

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.environ.get("ECH_TEST_DATA", os.path.join(ROOT, "..", "shared"))
BIN = os.environ.get("ECH_BIN", os.path.join(ROOT, "build", "bin"))
MODEL = os.path.join(os.environ.get("ECH_TEST_MODELS", os.path.join(ROOT, "models")), "all-MiniLM-L6-v2")
SOURCES = {"scifact": os.path.join(DATA, "data", "scifact", "scifact.zip"),
           "stsb": os.path.join(DATA, "data", "stsb", "dev.en.csv")}


def missing(names):
    """What is not there of the model and the sources of these sets: a sentence, or None."""
    if not os.path.exists(os.path.join(MODEL, "model.safetensors")):
        return "no model at %s (ECH_TEST_MODELS): ci/get-model all-MiniLM-L6-v2" % MODEL
    return next(("%s is not there (ECH_TEST_DATA)" % SOURCES[n] for n in names if not os.path.exists(SOURCES[n])), None)


def write(name, work, every=16):
    """The file, and the name of the set: scifact-16 is every 16th document, stsb both sentences of all pairs."""
    if name == "scifact":
        texts = [row["text"] for row in scifact.documents(SOURCES[name])][::every]
        name = "scifact-%d" % every
    else:
        texts = stsb.sentences(SOURCES[name])
    path = os.path.join(work, name + ".jsonl")
    with open(path, "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return path, name
