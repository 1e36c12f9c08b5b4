#!/usr/bin/env python3
"""classes.py [NAME...]: random small models of every type with a head of classes, transformers' logits beside ours.

Needs torch and transformers (the peers' environment). For each type a model for rows, alone and in pairs, and one for
tokens, with lengths of 1 to 500 tokens: the largest difference beside the largest logit is printed, and 2e-5 is the most.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers as T

BIN = os.environ.get("ECH_BIN", "build/bin")
WORDS = [f"w{i}" for i in range(90)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCAB = {t: i for i, t in enumerate(SPECIAL + WORDS)}
MOST = 2e-5
ROWS = (1, 2, 5, 17, 40, 130, 300, 500), (3, 1, 50, 7, 2, 9, 20, 30)

BASE = dict(vocab_size=100, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80,
            max_position_embeddings=600, num_labels=3, pad_token_id=0, initializer_range=0.4)
MODERN = dict(BASE, local_attention=16, global_attn_every_n_layers=2, cls_token_id=2, sep_token_id=3, bos_token_id=2,
              eos_token_id=3)
DEBERTA = dict(BASE, relative_attention=True, share_att_key=True)
MODELS = {  # class, configuration, whether a pair's second text has type 1
    "bert": ("Bert", dict(BASE, type_vocab_size=2), True),
    "roberta": ("Roberta", dict(BASE, type_vocab_size=1), False),
    "camembert": ("Camembert", dict(BASE, type_vocab_size=1), False),
    "xlm-roberta": ("XLMRoberta", dict(BASE, type_vocab_size=1), False),
    "electra": ("Electra", dict(BASE, embedding_size=20, type_vocab_size=2), True),
    "albert": ("Albert", dict(BASE, embedding_size=20, type_vocab_size=2), True),
    "mpnet": ("MPNet", dict(BASE, pad_token_id=1), False),
    "distilbert": ("DistilBert", dict(vocab_size=100, dim=48, n_layers=2, n_heads=4, hidden_dim=80, num_labels=3,
                                      max_position_embeddings=600, initializer_range=0.4), False),
    "deberta-v3": ("DebertaV2", dict(DEBERTA, type_vocab_size=0, position_buckets=64, pos_att_type=["p2c", "c2p"],
                                     norm_rel_ebd="layer_norm", position_biased_input=False), False),
    "deberta-v2": ("DebertaV2", dict(DEBERTA, type_vocab_size=2, max_relative_positions=30, pos_att_type="c2p",
                                     position_biased_input=True, pooler_hidden_act="tanh"), True),
    "modernbert-mean": ("ModernBert", dict(MODERN, classifier_pooling="mean"), False),
    "modernbert-cls": ("ModernBert", dict(MODERN, classifier_pooling="cls", classifier_bias=True, norm_bias=True), False),
}


def put_tokenizer(folder, typed):
    token = lambda t, kind=0: {"SpecialToken": {"id": t, "type_id": kind}}
    text = lambda t, kind=0: {"Sequence": {"id": t, "type_id": kind}}
    single = [token("[CLS]"), text("A"), token("[SEP]")]
    post = {"type": "TemplateProcessing", "single": single,
            "pair": single + [text("B", int(typed)), token("[SEP]", int(typed))],
            "special_tokens": {t: {"id": t, "ids": [VOCAB[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}}
    added = [{"id": VOCAB[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for t in SPECIAL]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": post, "decoder": None,
        "model": {"type": "WordLevel", "vocab": VOCAB, "unk_token": "[UNK]"}}))


def make(folder, name, kind):
    class_, settings, typed = MODELS[name]
    config = getattr(T, f"{class_}Config")(**settings)
    model = getattr(T, f"{class_}{kind}")._from_config(config, attn_implementation="eager").eval().float()
    for p in model.parameters():
        if p.ndim == 1:
            p.data += torch.randn_like(p) * 0.1
    model.save_pretrained(folder)
    put_tokenizer(folder, typed)
    return model, typed


def reference(model, typed, first, second):
    ids = [2] + [VOCAB[t] for t in first.split()] + [3]
    more = [VOCAB[t] for t in second.split()] + [3] if second else []
    inputs = {"input_ids": torch.tensor([ids + more]), "attention_mask": torch.ones(1, len(ids + more), dtype=torch.long)}
    if typed:
        inputs["token_type_ids"] = torch.tensor([[0] * len(ids) + [1] * len(more)])
    with torch.no_grad():
        return model(**inputs).logits[0].numpy()


def ours(where, model, pair):
    out = where / f"{model.name}-{'pairs' if pair else 'single'}"
    job = {"kind": "classify", "model": str(model), "input": {"dataset": str(where / "in"), "column": "text"},
           "output": {"dataset": str(out)}, "options": {"scores": "none", **({"pair": "pair"} if pair else {})},
           "resources": {"threads": 1}, "balance": {"probe": False}, "runs": str(where / "runs")}
    (where / "job.yaml").write_text(json.dumps(job))
    for command in (["run", where / "job.yaml", "--ranks", "1"], ["data", "export", out, f"{out}.jsonl"]):
        p = subprocess.run([f"{BIN}/echelon", *map(str, command)], capture_output=True, text=True)
        if p.returncode:
            sys.exit(f"{model.name}: {p.stderr[-1000:]}")
    return [json.loads(line) for line in open(f"{out}.jsonl")]


def far_tokens(rows, want):
    """The best label of each token and its logit; the special tokens at both ends are not ours."""
    far = 0.0
    for row, w in zip(rows, want):
        tokens, w = row["tokens"], w[1:-1]
        if len(tokens) != len(w) or any(t["label"] != f"LABEL_{x.argmax()}" for t, x in zip(tokens, w)):
            return float("inf")
        far = max(far, max(abs(t["score"] - x.max()) for t, x in zip(tokens, w)) / np.abs(w).max())
    return far


def main():
    torch.manual_seed(1)
    r = np.random.default_rng(3)
    texts = [[" ".join(r.choice(WORDS, size=n)) for n in lengths] for lengths in ROWS]
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        where = pathlib.Path(name)
        (where / "in.jsonl").write_text("".join(json.dumps({"text": a, "pair": b}) + "\n" for a, b in zip(*texts)))
        subprocess.run([f"{BIN}/echelon", "data", "import", f"{name}/in.jsonl", f"{name}/in"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in sys.argv[1:] or MODELS:
            for kind, pairs in (("ForSequenceClassification", (False, True)), ("ForTokenClassification", (False,))):
                folder = where / f"{name}-{kind}"
                model, typed = make(folder, name, kind)
                for pair in pairs:
                    want = [reference(model, typed, a, b if pair else None) for a, b in zip(*texts)]
                    rows = ours(where, folder, pair)
                    if kind == "ForTokenClassification":
                        far = far_tokens(rows, want)
                    else:
                        far = np.abs(np.array([row["scores"] for row in rows]) - want).max() / np.abs(want).max()
                    worst = max(worst, far)
                    print(f"{name:16} {kind}{' in pairs' if pair else ''}: {far:.1e}", flush=True)
    if not worst <= MOST:
        sys.exit(f"{worst:.1e} is more than {MOST:.0e}")


if __name__ == "__main__":
    main()
