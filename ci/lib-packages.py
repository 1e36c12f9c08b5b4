#!/usr/bin/env python3
"""apt-cache dumpavail | lib-packages.py COUNT: COUNT packages, evenly over the list by name, as JSON lines
{"id": package, "text": summary, then the long description where apt has it}. COUNT 0: all."""
import json
import sys


def records(lines):
    """Field name -> value of each paragraph; a line that begins with a space continues the field."""
    record, name = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if record:
                yield record
            record, name = {}, None
        elif line[0] in " \t":
            if name:
                record[name] += "\n" + line[1:]
        else:
            name, _, value = line.partition(":")
            record[name] = value.strip()
    if record:
        yield record


def text_of(record):
    """Summary and description as running text: " ." is Debian's mark of an empty line."""
    value = record.get("Description-en") or record.get("Description") or ""
    summary, *rest = value.split("\n")
    words = " ".join("" if line.strip() == "." else line.strip() for line in rest).split()
    return summary.strip() + (". " + " ".join(words) if words else "")


def main():
    count = int(sys.argv[1])
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    texts = {}
    for record in records(sys.stdin):
        text = text_of(record)
        if text and record.get("Package"):
            texts.setdefault(record["Package"], text)
    names = sorted(texts)
    if 0 < count < len(names):
        names = [names[i * len(names) // count] for i in range(count)]
    for name in names:
        print(json.dumps({"id": name, "text": texts[name]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
