#!/usr/bin/env python3
"""scifact.py SCIFACT.zip [--every N]: the SciFact corpus as JSON lines {"id", "text"} on standard output.

Text: title, space, the sentences of the abstract joined by spaces. The column `abstract` is NumPy's print of a
list of strings, so each quoted literal is unescaped as Python does. --every 16: every 16th document (324)."""
import argparse
import ast
import csv
import io
import json
import re
import sys
import zipfile

LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.S)


def sentences(printed, where):
    """The strings of a printed NumPy list; anything but them, blanks and brackets is an error."""
    rest = LITERAL.sub("", printed)
    if rest.strip("[] \t\r\n"):
        sys.exit("%s: not a list of quoted strings: %.60r is left over" % (where, rest))
    return [ast.literal_eval(literal) for literal in LITERAL.findall(printed)]


def documents(path):
    csv.field_size_limit(1 << 30)
    with zipfile.ZipFile(path) as archive, archive.open("corpus_train.csv") as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline="")):
            where = "%s: document %s" % (path, row["doc_id"])
            yield {"id": row["doc_id"], "text": " ".join([row["title"]] + sentences(row["abstract"], where))}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("zip")
    options.add_argument("--every", type=int, default=1, metavar="N")
    given = options.parse_args()
    for number, document in enumerate(documents(given.zip)):
        if number % given.every == 0:
            print(json.dumps(document, ensure_ascii=False))


if __name__ == "__main__":
    main()
