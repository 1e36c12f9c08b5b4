#!/usr/bin/env python3
"""stsb.py DEV.csv: the sentences of STS-B as JSON lines {"text"}, the two of a pair one after the other.

The file has no heading: sentence, sentence, score from 0 to 5. 1,500 pairs are 3,000 sentences, 48,709 tokens."""
import csv
import json
import sys


def pairs(path):
    """[(sentence, sentence, score)]"""
    with open(path, encoding="utf-8", newline="") as text:
        return [(a, b, float(score)) for a, b, score in csv.reader(text)]


def sentences(path):
    return [sentence for a, b, _ in pairs(path) for sentence in (a, b)]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for sentence in sentences(sys.argv[1]):
        print(json.dumps({"text": sentence}, ensure_ascii=False))


if __name__ == "__main__":
    main()
