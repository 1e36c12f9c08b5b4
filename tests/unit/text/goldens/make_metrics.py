#!/usr/bin/env python3
"""make_metrics.py > metrics.jsonl: lines, their 13a tokens, and what sacrebleu (2.x, from PyPI) says of them as corpora.
Each object: hypotheses, references (a list a reference), tokens (of the hypotheses), bleu, chrf and their counts."""
import json, random
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

TRICKY = [
    "Hello, world.", "", "   ", "3.14 and 1,000 and .5 and 5. end", "a-b 1-2 3- -4 x1-y", "&quot;quoted&quot; &amp;lt; &lt;b&gt;",
    "...", ",,.,.", "1..2,,3", "don't can't 'tis", "“quotes” — dash… ellipsis", "日本語。テスト、三", "e\u0301 é ñ Ñ",
    "tab\tand\u00a0nbsp\u2003em\u3000ideographic", "<skipped> text <skipped>", "emoji 😀👍🏽 x", "http://a.b/c?d=e&f=g#h",
    "$5.00 (50%) [x] {y} ~z @w ^v `u |t \\s /r", "A.B.C. U.S.A.,Inc.", "1,2,3.4.5-6", "é.è,ê", "a\u001cb\u001fc", "the the the the",
    "The cat sat on the mat.", "-", "&", "&amp;", "0", "9.", ".9", "x.", ".x", "  leading and trailing  ", "Ünïcödé,Wörds.Here",
]
WORDS = "the a cat dog sat on mat , . - 1,000 3.5 é naïve \u00a0 ' \" & ( ) U.S. x-y 50% don't".split(" ")


def corpus(rng, n, references):
    line = lambda: " ".join(rng.choice(WORDS) for _ in range(rng.randrange(0, 14)))
    hyps = [line() for _ in range(n)]
    refs = []
    for _ in range(references):
        refs.append([" ".join(w if rng.random() < 0.7 else rng.choice(WORDS) for w in h.split(" ")) for h in hyps])
    return hyps, refs


def golden(hyps, refs):
    bleu, chrf, tok = BLEU(), CHRF(), Tokenizer13a()
    b, c = bleu.corpus_score(hyps, refs), chrf.corpus_score(hyps, refs)
    return {"hypotheses": hyps, "references": refs, "tokens": [tok(h.rstrip()) for h in hyps], "bleu": b.score,
            "precisions": b.precisions, "bp": b.bp, "hyp_len": b.sys_len, "ref_len": b.ref_len, "correct": b.counts, "total": b.totals,
            "chrf": c.score}


rng = random.Random(7)
sets = [(TRICKY, [TRICKY]), (TRICKY, [TRICKY[1:] + TRICKY[:1]]), (["a b c"], [["d e f"]]), (["a"], [["a"]]), ([""], [["a b"]]),
        (["a b"], [[""]]), (["the cat sat"], [["the cat sat on the mat"]]), (["the cat sat on"], [["a cat sat"]])]
sets += [corpus(rng, n, r) for n, r in ((1, 1), (2, 2), (5, 1), (20, 3), (40, 1), (7, 4))]
for hyps, refs in sets:
    print(json.dumps(golden(hyps, refs), ensure_ascii=False))
