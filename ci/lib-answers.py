#!/usr/bin/env python3
"""lib-answers.py ANSWERS.jsonl QUESTION...: rows of a `retrieve` output that joined id and text, for people."""
import json
import sys


def main():
    questions = sys.argv[2:]
    with open(sys.argv[1], encoding="utf-8") as lines:
        answers = [json.loads(line) for line in lines]
    if len(answers) != len(questions):
        sys.exit("%s: %d rows, expected %d" % (sys.argv[1], len(answers), len(questions)))
    for question, answer in zip(questions, answers):
        print("\n%s" % question)
        for score, name, text in zip(answer["scores"], answer["hits.id"], answer["hits.text"]):
            print("  %.3f  %-28s %s" % (score, name, text if len(text) <= 74 else text[:73] + "\u2026"))


if __name__ == "__main__":
    main()
