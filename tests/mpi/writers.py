"""Small language models of our own, one vocabulary of 101 tokens, each a byte (as tests/unit/model/writer.h makes them):

counter(folder)  writes the token behind the last one, in the order of the vocabulary: a b c ... z, an e with an accent (two
                 tokens), a blank, a new line, ... Its log-probability of the right token is RIGHT, of any other WRONG.
mixed(folder)    random weights: what it writes depends on every bit before it.
counter_gguf(path)  the same as a GGUF file, its tokenizer and a chat template inside.
tiny(folder, name)  a model of goldens/tiny with this tokenizer, so that texts can stand for ids.
"""
import json, math, os, pathlib, random, struct

BEGIN, END, A, Z, BLANK = 1, 2, 3, 28, 31
ACCENT = "\u00e9"
_letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
_others = [chr(c) for c in range(33, 127) if not "a" <= chr(c) <= "z"]
WORDS = ["<pad>", "<s>", "</s>", *_letters, "\u00c3", "\u00a9", "\u0120", "\u010a", *_others]
_GAP = 1 / math.sqrt(1 / 128 + 1e-6)  # between the logits, behind the norm
RIGHT = -math.log(1 + 100 * math.exp(-_GAP))
WRONG = RIGHT - _GAP


def text_of(ids):
    """The text from which tiny's tokenizer reads these ids."""
    return "".join({29: "\t", 30: "\v", 31: " ", 32: "\n"}.get(i) or WORDS[i] for i in ids)


def tokenizer(folder, begin=False, words=WORDS):
    special = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    post = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BEGIN], "tokens": ["<s>"]}}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps(
        {"version": "1.0", "added_tokens": [{"id": i, "content": WORDS[i], **special} for i in range(A)], "normalizer": None,
         "pre_tokenizer": byte_level, "post_processor": post if begin else None, "decoder": byte_level,
         "model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": []}}))


def _write(folder, tensors, **config):
    header, body = {}, b""
    for name, shape, values in tensors:
        data = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    (folder / "config.json").write_text(json.dumps(
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "num_attention_heads": 4,
         "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "vocab_size": len(WORDS), "bos_token_id": BEGIN, "eos_token_id": END,
         "tie_word_embeddings": False, **config}))


def _llama(folder, hidden, inner, keys, layers, positions, table, matrix, head):
    _write(folder, _tensors(hidden, inner, keys, layers, table, matrix, head), hidden_size=hidden, intermediate_size=inner,
           num_hidden_layers=layers, num_key_value_heads=keys * 4 // hidden, max_position_embeddings=positions)


def _tensors(hidden, inner, keys, layers, table, matrix, head):
    shapes = [("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", keys, hidden), ("self_attn.v_proj", keys, hidden),
              ("self_attn.o_proj", hidden, hidden), ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
              ("mlp.down_proj", hidden, inner)]
    ones, words = [1.0] * hidden, len(WORDS)
    tensors = [("model.embed_tokens.weight", [words, hidden], table(words, hidden))]
    for layer in range(layers):
        lead = f"model.layers.{layer}."
        tensors += [(f"{lead}{n}.weight", [r, c], matrix(r, c)) for n, r, c in shapes]
        tensors += [(f"{lead}{n}_layernorm.weight", [hidden], ones) for n in ("input", "post_attention")]
    return tensors + [("model.norm.weight", [hidden], ones), ("lm_head.weight", [words, hidden], head(words, hidden))]


def _eye(shift):
    return lambda r, c: [float(i == j + shift) for i in range(r) for j in range(c)]


def _zeros(r, c):
    return [0.0] * (r * c)


def counter(folder, begin=False, positions=64):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    _llama(folder, 128, 8, 128, 1, positions, _eye(0), _zeros, _eye(1))
    tokenizer(folder, begin)
    return folder


_GGUF = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def _gguf_value(value):
    """Its type and bytes."""
    if isinstance(value, str):
        return 8, struct.pack("<Q", len(value.encode())) + value.encode()
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    parts = [(5, struct.pack("<i", v)) if isinstance(v, int) else _gguf_value(v) for v in value]
    return 9, struct.pack("<IQ", parts[0][0] if parts else 8, len(parts)) + b"".join(b for _, b in parts)


def counter_gguf(path, template=None):
    keys = {"general.architecture": "llama", "llama.context_length": 64, "llama.embedding_length": 128, "llama.block_count": 1,
            "llama.feed_forward_length": 8, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 4,
            "llama.attention.layer_norm_rms_epsilon": 1e-6, "llama.rope.dimension_count": 32, **_vocabulary(),
            **({"tokenizer.chat_template": template} if template else {})}
    tensors = []
    for name, shape, values in _tensors(128, 8, 128, 1, _eye(0), _zeros, _eye(1)):
        lead, short = ("blk.0.", name[len("model.layers.0."):]) if ".layers." in name else ("", name)
        tensors.append((f"{lead}{_GGUF[short.removesuffix('.weight')]}.weight", shape, struct.pack(f"<{len(values)}f", *values)))
    return _write_gguf(path, keys, tensors)


def _write_gguf(path, keys, tensors):
    """Tensors in f32, as bytes."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    for key, value in keys.items():
        code, data = _gguf_value(value)
        head += _gguf_value(key)[1] + struct.pack("<I", code) + data
    body = b""
    for name, shape, data in tensors:
        head += _gguf_value(name)[1] + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 0, len(body))
        body += data
        body += bytes(-len(body) % 32)
    pathlib.Path(path).write_bytes(head + bytes(-len(head) % 32) + body)
    return path


_BERT = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
         "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
         "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
         "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
         "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def bert_gguf(path, folder, pooling):
    """The BERT of a folder as one file, without its pooler."""
    folder = pathlib.Path(folder)
    data, config = (folder / "model.safetensors").read_bytes(), json.loads((folder / "config.json").read_text())
    size, = struct.unpack_from("<Q", data)
    tensors = []
    for name, t in json.loads(data[8:8 + size]).items():
        if name.startswith(("pooler.", "__metadata__")):
            continue
        stem, end = name.rsplit(".", 1)
        layer, short = stem.removeprefix("encoder.layer.").split(".", 1) if stem.startswith("encoder.layer.") else ("", stem)
        first, last = (8 + size + o for o in t["data_offsets"])
        tensors.append((f"{f'blk.{layer}.' if layer else ''}{_BERT[short]}.{end}", t["shape"], data[first:last]))
    keys = {"general.architecture": "bert", "bert.context_length": config["max_position_embeddings"],
            "bert.embedding_length": config["hidden_size"], "bert.block_count": config["num_hidden_layers"],
            "bert.feed_forward_length": config["intermediate_size"], "bert.attention.head_count": config["num_attention_heads"],
            "bert.attention.layer_norm_epsilon": config["layer_norm_eps"], "bert.attention.causal": False, "bert.pooling_type": pooling,
            **_vocabulary()}
    return _write_gguf(path, keys, tensors)


def _vocabulary():
    return {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": WORDS, "tokenizer.ggml.merges": [],
            "tokenizer.ggml.token_type": [3] * A + [1] * (len(WORDS) - A), "tokenizer.ggml.bos_token_id": BEGIN,
            "tokenizer.ggml.eos_token_id": END, "tokenizer.ggml.add_bos_token": False}


def mixed(folder, positions=64):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    chance = random.Random(3)
    any_values = lambda r, c: [chance.uniform(-1, 1) for _ in range(r * c)]
    _llama(folder, 32, 48, 16, 2, positions, any_values, any_values, any_values)
    tokenizer(folder)
    return folder


def tiny(folder, name, goldens, words=[*WORDS[:29], "\u0109", "\u010b", *WORDS[31:]]):
    """No end token: the greedy goldens have none. Each word is a token with a text of its own."""
    folder, source = pathlib.Path(folder), pathlib.Path(goldens) / name
    folder.mkdir(parents=True)
    os.symlink((source / "model.safetensors").resolve(), folder / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    config.pop("eos_token_id", None)
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer(folder, words=words)
    return folder
