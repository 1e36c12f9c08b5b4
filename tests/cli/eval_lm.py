#!/usr/bin/python3
"""eval_lm.py: `echelon eval choice` and `perplexity` of a made model whose next letter depends on the last one alone, so
that a table of log-probabilities says what they must print; and what they refuse."""
import json, math, os, random, struct, subprocess, sys

ECHELON = os.environ["ECH_BIN"] + "/echelon"
HIDDEN, LETTERS = 32, "abcdefghijklmnopqrstuvwxyz"
VOCAB = ["<s>", "\u0120"] + list(LETTERS)
draw = random.Random(7)
HEAD = [[draw.gauss(0, 0.4) for _ in range(HIDDEN)] for _ in VOCAB]


def echelon(*words, expect=0):
    p = subprocess.run([ECHELON, "eval", *words], capture_output=True, text=True, timeout=50)
    if p.returncode != expect:
        sys.exit("FAIL %s: %d, %d was expected\n%s%s" % (words, p.returncode, expect, p.stdout, p.stderr))
    return p.stdout if expect == 0 else p.stderr


def check(what, good, said=""):
    if not good:
        sys.exit("FAIL %s\n%s" % (what, said))
    print(what, flush=True)


def matrix(rows, cols, value=lambda i, j: 0.0):
    return [[rows, cols] if rows else [cols], [value(i, j) for i in range(rows or 1) for j in range(cols)]]


def make_model():
    """Layers that add nothing; the head reads the last letter's place: logits = sqrt(HIDDEN) * HEAD[:, letter]."""
    os.makedirs("model")
    ones = lambda i, j: 1.0
    tensors = {"model.embed_tokens.weight": matrix(len(VOCAB), HIDDEN, lambda i, j: 2.0 * (i == j)),
               "lm_head.weight": matrix(len(VOCAB), HIDDEN, lambda i, j: HEAD[i][j]),
               "model.norm.weight": matrix(0, HIDDEN, ones)}
    layer = "model.layers.0."
    for name in "qkvo":
        tensors[layer + "self_attn.%s_proj.weight" % name] = matrix(HIDDEN, HIDDEN)
    for name, rows, cols in ("gate", 8, HIDDEN), ("up", 8, HIDDEN), ("down", HIDDEN, 8):
        tensors[layer + "mlp.%s_proj.weight" % name] = matrix(rows, cols)
    for name in "input_layernorm", "post_attention_layernorm":
        tensors[layer + name + ".weight"] = matrix(0, HIDDEN, ones)
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        begin = len(data)
        data += struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    open("model/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
    json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
               "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": len(VOCAB),
               "max_position_embeddings": 64, "rms_norm_eps": 1e-12, "hidden_act": "silu", "bos_token_id": 0,
               "eos_token_id": 0, "tie_word_embeddings": False}, open("model/config.json", "w"))
    json.dump({"bos_token": "<s>"}, open("model/tokenizer_config.json", "w"))
    special = {"id": "<s>", "type_id": 0}
    json.dump({"version": "1.0", "truncation": None, "padding": None, "normalizer": None,
               "added_tokens": [{"id": 0, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False,
                                 "normalized": False, "special": True}],
               "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                 "use_regex": True},
               "post_processor": {"type": "TemplateProcessing",
                                  "single": [{"SpecialToken": special}, {"Sequence": {"id": "A", "type_id": 0}}],
                                  "pair": [{"SpecialToken": special}, {"Sequence": {"id": "A", "type_id": 0}},
                                           {"Sequence": {"id": "B", "type_id": 1}}],
                                  "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
               "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
               "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                         "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                         "vocab": {word: i for i, word in enumerate(VOCAB)}, "merges": []}},
              open("model/tokenizer.json", "w"))


def ids(text):
    return [1 if c == " " else 2 + LETTERS.index(c) for c in text]


def table():
    """[last][next] -> natural logarithm of the probability"""
    rows = []
    for last in range(len(VOCAB)):
        logits = [math.sqrt(HIDDEN) * HEAD[next_][last] for next_ in range(len(VOCAB))]
        total = math.log(sum(math.exp(v) for v in logits))
        rows.append([v - total for v in logits])
    return rows


TABLE = table()


def log_probability(tokens, first):
    return sum(TABLE[tokens[i - 1]][tokens[i]] for i in range(first, len(tokens)))


def word():
    return "".join(draw.choice(LETTERS) for _ in range(draw.randint(1, 9)))


def best(scores):
    return scores.index(max(scores))


def choice():
    lines, right, by_length, tokens, chance = [], 0, 0, 0, 0.0
    for i in range(150):
        question, choices = word() + " " + word(), [word() for _ in range(draw.randint(2, 5))]
        answer = draw.randrange(len(choices))
        scores = [log_probability([0] + ids(question + " " + c), 1 + len(question)) for c in choices]
        right += best(scores) == answer
        by_length += best([s / len(c) for s, c in zip(scores, choices)]) == answer
        tokens += sum(1 + len(c) for c in choices)
        chance += 1 / len(choices)
        lines.append({"question": question, "choices": choices, "subject": "letters",
                      "answer": choices[answer] if i % 3 == 0 and choices.count(choices[answer]) == 1 else answer})
    with open("q.jsonl", "w") as f:
        f.write("".join(json.dumps(line) + ("\n" if i != 80 else "\n\n") for i, line in enumerate(lines)))
    got = json.loads(echelon("choice", "model", "--questions", "q.jsonl", "--json"))
    want = {"questions": 150, "tokens": tokens, "accuracy": right / 150, "accuracy_by_length": by_length / 150,
            "chance": chance / 150, "accuracy_error": math.sqrt(right / 150 * (1 - right / 150) / 149)}
    check("accuracies are the table's: %s" % got, right != by_length and
          all(abs(got[key] - value) < 2e-6 for key, value in want.items()), want)
    text = echelon("choice", "model", "--questions", "q.jsonl", "--threads", "1")
    check("the page says the same", "accuracy    %.4f" % (right / 150) in text and "questions   150," in text, text)
    joined = json.loads(echelon("choice", "model", "--questions", "q.jsonl", "--json", "--join", ""))
    check("without a blank there is a token less a choice", joined["tokens"] == tokens - joined["choices"], joined)


def bad_lines():
    good = '{"question": "a b", "choices": ["c", "d"], "answer": 0}\n'
    for line, says in (
            ("{", "line 2: column"), ("[1]", "line 2: an object"), ('{"choices": ["a", "b"], "answer": 0}', "question"),
            ('{"question": "", "choices": ["a", "b"], "answer": 0}', "question: a text that is not empty"),
            ('{"question": "a", "answer": 0}', "choices: an array of 2"),
            ('{"question": "a", "choices": ["b"], "answer": 0}', "choices: an array of 2"),
            ('{"question": "a", "choices": ["b", ""], "answer": 0}', "choice 2: a text that is not empty"),
            ('{"question": "a", "choices": ["b", 7], "answer": 0}', "choice 2: a text"),
            ('{"question": "a", "choices": ["b", "c"]}', "answer: the number of a choice"),
            ('{"question": "a", "choices": ["b", "c"], "answer": 2}', "answer 2, 0 to 1 was expected"),
            ('{"question": "a", "choices": ["b", "c"], "answer": -1}', "answer -1"),
            ('{"question": "a", "choices": ["b", "c"], "answer": "B"}', "answer: the number"),
            ('{"question": "a", "choices": ["b", "b"], "answer": "b"}', "answer: the number"),
            ('{"question": "a", "question": "a", "choices": ["b", "c"], "answer": 0}', "duplicate"),
            ('{"question": "%s", "choices": ["b", "c"], "answer": 0}' % ("a" * 80), "83 tokens, the context holds 64")):
        open("bad.jsonl", "w").write(good + line + "\n" + good)
        said = echelon("choice", "model", "--questions", "bad.jsonl", expect=65)
        check("refused: " + says, "bad.jsonl, line 2: " in said and says in said and said.count("\n") == 1, said)
    open("bad.jsonl", "wb").write(good.encode() + b'{"question": "\xff"}\n')
    check("refused: UTF-8", "line 2: byte 15" in echelon("choice", "model", "--questions", "bad.jsonl", expect=65))
    open("bad.jsonl", "w").write("\n\n")
    check("refused: nothing", "no questions" in echelon("choice", "model", "--questions", "bad.jsonl", expect=65))
    check("a file that is not there", "none.jsonl" in echelon("choice", "model", "--questions", "none.jsonl", expect=66))
    check("no file named", "--questions" in echelon("choice", "model", expect=64))
    check("no model", "nowhere" in echelon("choice", "nowhere", "--questions", "q.jsonl", expect=66))
    check("no such precision", "int8" in echelon("choice", "model", "--questions", "q.jsonl", "--compute", "int3",
                                                  expect=64))


def perplexity():
    text = " ".join(word() for _ in range(400))
    open("text.txt", "w").write(text)
    tokens, window, sum_, count = [0] + ids(text), 50, 0.0, 0
    for at in range(0, len(tokens), window):
        piece = [0] + tokens[at + 1:at + window]
        sum_ -= log_probability(piece, 1)
        count += len(piece) - 1
    got = json.loads(echelon("perplexity", "model", "--text", "text.txt", "--tokens", "0", "--window", "50", "--json"))
    check("perplexity is the table's", got["predictions"] == count and abs(got["nll"] * count / sum_ - 1) < 1e-5,
          (got, sum_ / count, count))
    part = json.loads(echelon("perplexity", "model", "--text", "text.txt", "--tokens", "40", "--json", "--window", "60"))
    want = -log_probability(tokens[:40], 1) / 39
    check("of the first tokens", part["predictions"] == 39 and abs(part["nll"] / want - 1) < 1e-5, (part, want))
    check("a window beyond the model", "65" in echelon("perplexity", "model", "--text", "text.txt", "--window", "65",
                                                        expect=78))
    check("no text", "--text" in echelon("perplexity", "model", expect=64))
    open("text.txt", "w").write("")
    check("an empty text", "two and more" in echelon("perplexity", "model", "--text", "text.txt", "--window", "9", expect=65))


make_model()
choice()
bad_lines()
perplexity()
