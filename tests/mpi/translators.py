#!/usr/bin/python3
"""translators.py: the folders that translation models come in, each by one run: Hugging Face's Marian (safetensors, vocab.json,
source.spm, target.spm) and CTranslate2's (model.bin, shared_vocabulary.txt, source.spm, target.spm), made of the random model
goldens/tiny/marian and a sentencepiece file of one-character pieces in an order of its own. A source's ids are then its
characters, and the text must be the reference's greedy ids.
"""
import json, os, pathlib, shutil, struct, subprocess, sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "fault"), str(TESTS / "fuzz")]
import loop
from make_spm import field, piece

WORDS, PAD, MOST = 101, 100, 16
letter = lambda i: chr(0x4e00 + i)


def spm(path):
    """Pieces of ids 2 to 99, the last first; no blank is put before a text."""
    pieces = [piece("<unk>", 0, 2), piece("</s>", 0, 3)] + [piece(letter(i), -1) for i in range(PAD - 1, 1, -1)]
    path.write_bytes(b"".join(pieces) + field(2, field(3, 1)) + field(3, field(3, 0) + field(4, 0)))


def tokens():
    return ["</s>", "<unk>"] + [letter(i) for i in range(2, PAD)]


def hugging_face(tiny, folder):
    folder.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copy(tiny / name, folder / name)
    generation = json.loads((tiny / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(dict(generation, bad_words_ids=[[PAD]])))
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens() + ["<pad>"])}))
    for side in ("source", "target"):
        spm(folder / f"{side}.spm")


def weights(tiny):
    import numpy as np
    data = (tiny / "model.safetensors").read_bytes()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {n: np.frombuffer(data[8 + size + h["data_offsets"][0]:8 + size + h["data_offsets"][1]], "<f4").reshape(h["shape"])
            for n, h in header.items()}


def ct2_variables(w):
    """Under CTranslate2's names, as its converter makes them: q, k, v stacked, sinusoids in a table."""
    import numpy as np
    out = {"encoder/embeddings_0/weight": w["model.shared.weight"], "decoder/embeddings/weight": w["model.shared.weight"],
           "decoder/projection/bias": w["final_logits_bias"][0], "decoder/start_from_zero_embedding": np.int8(0)}
    width = w["model.shared.weight"].shape[1]
    angles = np.arange(64)[:, None] / 10000 ** (2 * np.arange(width // 2) / width)
    for side in ("encoder", "decoder"):
        out[side + "/position_encodings/encodings"] = np.concatenate([np.sin(angles), np.cos(angles)], 1).astype("<f4")
        scalars = {"num_heads": np.int16(2), "pre_norm": np.int8(0), "activation": np.int8(2), "scale_embeddings": np.int8(1)}
        out.update({f"{side}/{k}": v for k, v in scalars.items()})
        for i in range(2):
            of, to = f"model.{side}.layers.{i}.", f"{side}/layer_{i}/"

            def linear(name, *parts):
                for kind in ("weight", "bias"):
                    out[f"{to}{name}/{kind}"] = np.concatenate([w[f"{of}{p}.{kind}"] for p in parts])

            def norm(name, part):
                out[f"{to}{name}/gamma"], out[f"{to}{name}/beta"] = w[f"{of}{part}.weight"], w[f"{of}{part}.bias"]

            linear("self_attention/linear_0", *(f"self_attn.{x}_proj" for x in "qkv"))
            linear("self_attention/linear_1", "self_attn.out_proj")
            norm("self_attention/layer_norm", "self_attn_layer_norm")
            linear("ffn/linear_0", "fc1")
            linear("ffn/linear_1", "fc2")
            norm("ffn/layer_norm", "final_layer_norm")
            if side == "decoder":
                linear("attention/linear_0", "encoder_attn.q_proj")
                linear("attention/linear_1", "encoder_attn.k_proj", "encoder_attn.v_proj")
                linear("attention/linear_2", "encoder_attn.out_proj")
                norm("attention/layer_norm", "encoder_attn_layer_norm")
    return out


def ctranslate2(tiny, folder):
    import numpy as np
    folder.mkdir()
    text = lambda s: struct.pack("<H", len(s) + 1) + s.encode() + b"\0"
    types = {"float32": 0, "int8": 1, "int16": 2}
    variables = ct2_variables(weights(tiny))
    data = struct.pack("<I", 6) + text("TransformerSpec") + struct.pack("<II", 7, len(variables))
    for name in sorted(variables):
        v = np.ascontiguousarray(variables[name])
        v = v.reshape(()) if np.ndim(variables[name]) == 0 else v
        data += text(name) + struct.pack("<B", v.ndim) + struct.pack(f"<{v.ndim}I", *v.shape)
        data += struct.pack("<BI", types[v.dtype.name], v.nbytes) + v.tobytes()
    (folder / "model.bin").write_bytes(data + struct.pack("<I", 0))
    (folder / "config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                                                    "decoder_start_token": "<pad>", "layer_norm_epsilon": None}))
    (folder / "shared_vocabulary.txt").write_text("\n".join(tokens() + ["<pad>"]) + "\n")
    for side in ("source", "target"):
        spm(folder / f"{side}.spm")


def translate(where, model):
    job, out = where / f"{model.name}.yaml", where / f"{model.name}.jsonl"
    job.write_text(json.dumps({"kind": "translate", "model": str(model), "input": {"dataset": f"{where}/lines", "column": "text"},
                               "output": {"dataset": f"{where}/{model.name}-out"}, "options": {"max_tokens": MOST},
                               "resources": {"threads": 2}, "runs": f"{where}/runs"}))
    for command in (["run", str(job)], ["data", "export", f"{where}/{model.name}-out", str(out)]):
        p = subprocess.run([f"{loop.BIN}/echelon", *command], capture_output=True, text=True)
        if p.returncode:
            sys.exit(f"FAIL {model.name}: status {p.returncode}\n{p.stderr[-2000:]}")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [row["translation"] or row["errors"] for row in rows]


def main():
    try:
        import numpy as np
    except ImportError:
        print("SKIP python peers: numpy is not there", file=sys.stderr)
        return 77
    tiny = pathlib.Path(os.environ.get("ECH_TEST_DATA", "../shared")) / "goldens" / "tiny" / "marian"
    if not tiny.is_dir():
        print(f"SKIP data: {tiny} is not there (ECH_TEST_DATA)", file=sys.stderr)
        return 77
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    where = pathlib.Path.cwd() / "translators"
    where.mkdir()
    ids, want = np.load(tiny / "ids.npy"), np.load(tiny / "expected_greedy.npy")
    sources = ["".join(letter(i) for i in row if 0 < i < PAD) for row in ids]
    (where / "lines.txt").write_text("\n".join(sources) + "\n")
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "lines.txt"), str(where / "lines")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cut = [MOST - 1, MOST]  # Hugging Face's configuration forces the last token to be the end
    for make, most in zip((hugging_face, ctranslate2), cut):
        folder = where / make.__name__
        make(tiny, folder)
        got, expected = translate(where, folder), ["".join(letter(i) for i in row[:most]) for row in want]
        if got != expected:
            sys.exit(f"FAIL {make.__name__}: {got}, expected {expected}")
        print(f"{make.__name__}: {len(got)} rows as the reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
