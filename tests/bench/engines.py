"""The other engines: conversion of the model, texts to vectors. Runs in their own environment, started by
embed-peers and quality.py; without arguments of its own it is only the table PEERS.

  engines.py convert NAME MODEL WORK                what NAME reads (a graph, another format) is made in WORK
  engines.py rounds NAME MODEL TEXTS WORK [...]     a line in, one round over the texts, a line of JSON out
  engines.py vectors NAME MODEL TEXTS WORK OUT.npy  all vectors, in the order of the texts

Each engine: texts in, normalised vectors out, tokenisation included, batches sorted by length and padded to their
longest row. NAME is ENGINE-PRECISION of PEERS."""
import argparse
import json
import os
import sys
import time

BATCH = 32
MAX_TOKENS = 256
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


def read_texts(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def tokenizer(model):
    from tokenizers import Tokenizer
    made = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    made.no_padding()
    made.enable_truncation(MAX_TOKENS)
    return made


def padded(encoded):
    """Token ids and mask of a batch, as wide as its longest row."""
    import numpy
    ids = numpy.zeros((len(encoded), max(len(e.ids) for e in encoded)), numpy.int64)
    mask = numpy.zeros_like(ids)
    for row, e in enumerate(encoded):
        ids[row, : len(e.ids)] = e.ids
        mask[row, : len(e.ids)] = 1
    return ids, mask


def encoder(model, batch, hidden):
    """hidden(ids, mask, encoded) gives the last hidden states of a batch; the rest is the same for all."""
    import numpy
    tokens = tokenizer(model)

    def encode(texts):
        encoded = tokens.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
        vectors = numpy.empty((len(texts), 384), numpy.float32)
        for start in range(0, len(order), batch):
            rows = order[start: start + batch]
            ids, mask = padded([encoded[i] for i in rows])
            states = hidden(ids, mask, [encoded[i] for i in rows])
            pooled = (states * mask[:, :, None]).sum(1, dtype=numpy.float32) / mask.sum(1, keepdims=True)
            vectors[rows] = pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)
        return vectors
    return encode


def torch_model(model, attention):
    """The encoder in torch with its last hidden states as the only output, and an example of its inputs."""
    import torch
    from transformers import BertModel
    bert = BertModel.from_pretrained(model, add_pooling_layer=False, attn_implementation=attention).eval()

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = bert

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.bert(input_ids=input_ids, attention_mask=attention_mask,
                             token_type_ids=token_type_ids).last_hidden_state
    return Graph(), {name: torch.ones(2, 8, dtype=torch.long) for name in INPUTS}


# ---- sentence-transformers ----------------------------------------------------------------------------------

def load_st(given, precision):
    import sentence_transformers
    import torch
    torch.set_num_threads(given.threads)
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = sentence_transformers.SentenceTransformer(given.model, device="cpu", model_kwargs={"dtype": kind})

    def encode(texts):
        vectors = model.encode(texts, batch_size=given.batch, normalize_embeddings=True, show_progress_bar=False,
                               convert_to_tensor=True)
        return vectors.float().numpy()
    return encode, "torch %s, sentence-transformers %s" % (torch.__version__, sentence_transformers.__version__)


# ---- onnxruntime ----------------------------------------------------------------------------------------------

def convert_ort(model, target, precision):
    """Free batch and length, fused by onnxruntime's own optimizer; int8: dynamic, a scale per channel."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    graph, example = torch_model(model, "eager")
    layers, heads, width = (getattr(graph.bert.config, name) for name in
                            ("num_hidden_layers", "num_attention_heads", "hidden_size"))
    plain, whole = target + ".plain", target + ".fused"
    torch.onnx.export(graph, tuple(example.values()), plain, input_names=INPUTS, output_names=["hidden"],
                      dynamic_axes={name: {0: "batch", 1: "length"} for name in INPUTS + ["hidden"]},
                      opset_version=17, dynamo=False)
    fused = optimizer.optimize_model(plain, model_type="bert", num_heads=heads, hidden_size=width)
    found = fused.get_fused_operator_statistics()
    if found.get("Attention", 0) + found.get("MultiHeadAttention", 0) != layers:
        raise SystemExit("engines.py: the optimizer fused %s, expected attention in %d layers" % (found, layers))
    fused.save_model_to_file(whole)
    if precision == "int8":
        import onnx
        quantize_dynamic(whole, target, per_channel=True, weight_type=QuantType.QInt8,
                         extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
        os.remove(whole)
    else:
        os.replace(whole, target)
    os.remove(plain)


def load_ort(given, precision):
    import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = given.threads
    session = onnxruntime.InferenceSession(converted(given, "ort", precision), settings,
                                           providers=["CPUExecutionProvider"])

    def hidden(ids, mask, encoded):
        return session.run(None, dict(zip(INPUTS, (ids, mask, ids * 0))))[0]
    return encoder(given.model, given.batch, hidden), "onnxruntime %s" % onnxruntime.__version__


# ---- OpenVINO -------------------------------------------------------------------------------------------------

def convert_ov(model, target, precision):
    """int8: weights symmetric; the activations of its products are quantised at run time, the rest is bf16."""
    import openvino
    graph, example = torch_model(model, "sdpa")
    made = openvino.convert_model(graph, example_input=example)
    if precision == "int8":
        import nncf
        made = nncf.compress_weights(made, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(made, target, compress_to_fp16=False)


def load_ov(given, precision):
    import openvino
    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": given.threads,
                "INFERENCE_PRECISION_HINT": "f32" if precision == "f32" else "bf16"}
    version = "openvino %s" % openvino.__version__.split("-")[0]
    if precision == "int8":
        import importlib.metadata
        version += ", nncf %s" % importlib.metadata.version("nncf")
    request = core.compile_model(converted(given, "ov", precision), "CPU", settings).create_infer_request()

    def hidden(ids, mask, encoded):
        return request.infer(dict(zip(INPUTS, (ids, mask, ids * 0))), share_inputs=True, share_outputs=True)[0]
    return encoder(given.model, given.batch, hidden), version


# ---- CTranslate2 ------------------------------------------------------------------------------------------------

def convert_ct2(model, target, precision):
    from ctranslate2.converters import TransformersConverter
    TransformersConverter(model).convert(target, quantization="int8" if precision == "int8" else None)


def load_ct2(given, precision):
    import ctranslate2
    import numpy
    model = ctranslate2.Encoder(converted(given, "ct2", precision), device="cpu", intra_threads=given.threads,
                                compute_type={"f32": "float32", "int8": "int8"}[precision])

    def hidden(ids, mask, encoded):
        return numpy.asarray(model.forward_batch([e.ids for e in encoded]).last_hidden_state)
    return encoder(given.model, given.batch, hidden), "ctranslate2 %s" % ctranslate2.__version__


# ---- the table ----------------------------------------------------------------------------------------------------

ENGINES = {  # name: label, what converts (file name, function) or None, what loads
    "st": ("sentence-transformers", None, load_st),
    "ort": ("onnxruntime", ("ort-%s.onnx", convert_ort), load_ort),
    "ov": ("OpenVINO", ("ov-%s.xml", convert_ov), load_ov),
    "ct2": ("CTranslate2", ("ct2-%s", convert_ct2), load_ct2),
}
PEERS = {  # name: engine, precision, label
    "st-f32": ("st", "f32", "sentence-transformers f32"),
    "ort-f32": ("ort", "f32", "onnxruntime f32, fused"),
    "ov-f32": ("ov", "f32", "OpenVINO f32"),
    "ct2-f32": ("ct2", "f32", "CTranslate2 f32"),
    "st-bf16": ("st", "bf16", "sentence-transformers bf16"),
    "ov-bf16": ("ov", "bf16", "OpenVINO bf16"),
    "ort-int8": ("ort", "int8", "onnxruntime int8 dynamic, fused"),
    "ov-int8": ("ov", "int8", "OpenVINO int8 weights"),
    "ct2-int8": ("ct2", "int8", "CTranslate2 int8"),
}


# Freed memory is kept: torch and CTranslate2 lose up to 30 % to page faults without it; the others gain nothing.
KEEP = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
ENVIRONMENT = {"st": KEEP, "ct2": KEEP}


def converted(given, engine, precision):
    name, function = ENGINES[engine][1]
    target = os.path.join(given.work, name % precision)
    if not os.path.exists(target):
        function(given.model, target, precision)
    return target


# ---- what is asked --------------------------------------------------------------------------------------------------

def share(given, texts):
    """What this process of several computes: dealt by length, so that all have the same work."""
    tokens = [len(e.ids) for e in tokenizer(given.model).encode_batch(texts)]
    mine = sorted(range(len(texts)), key=lambda i: tokens[i])[given.part:: given.parts]
    return [texts[i] for i in sorted(mine)], sum(tokens[i] for i in mine)


def rounds(given, load):
    """The first round is warm-up and is not told."""
    import numpy
    started = time.monotonic()
    encode, version = load()
    told = {"load": time.monotonic() - started, "version": version}
    texts, told["tokens"] = share(given, read_texts(given.texts))
    if given.goldens:
        numpy.save(given.vectors, encode(read_texts(given.goldens)))
    encode(texts)
    print(json.dumps(told), flush=True)
    for _ in sys.stdin:
        started = time.monotonic()
        encode(texts)
        print(json.dumps({"seconds": time.monotonic() - started}), flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("verb", choices=["convert", "rounds", "vectors"])
    options.add_argument("name", choices=PEERS)
    options.add_argument("model")
    options.add_argument("texts", help="JSON lines with `text` (convert: - )")
    options.add_argument("work")
    options.add_argument("vectors", nargs="?", help="where vectors go")
    options.add_argument("--goldens", help="texts whose vectors are wanted before the rounds")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch", type=int, default=BATCH)
    options.add_argument("--core", type=int, help="the only core that is used")
    options.add_argument("--part", type=int, default=0)
    options.add_argument("--parts", type=int, default=1)
    given = options.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})  # before any library counts the cores
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["RAYON_NUM_THREADS"] = str(given.threads)
    engine, precision, _ = PEERS[given.name]
    _, files, load = ENGINES[engine]
    if given.verb == "convert":
        if files:
            converted(given, engine, precision)
    elif given.verb == "rounds":
        rounds(given, lambda: load(given, precision))
    else:
        import numpy
        numpy.save(given.vectors, load(given, precision)[0](read_texts(given.texts)))


if __name__ == "__main__":
    main()
