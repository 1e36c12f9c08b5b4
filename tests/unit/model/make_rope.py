#!/usr/bin/env python3
"""Writes rope_known.h: rotary frequencies that transformers (5.x, with torch) gives for each kind of scaling.
usage: make_rope.py >rope_known.h"""
import json
import torch
from transformers import LlamaConfig, Phi3Config
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

DIM = 16
SHORT, LONG = [1.0, 1.02, 1.1, 1.3, 1.7, 2.0, 2.5, 3.1], [1.05, 1.2, 2.0, 4.0, 7.5, 11.0, 19.0, 30.0]
CASES = [  # name, base, context, scaling, lengths
    ("plain", 1e4, 128, {"rope_type": "default"}, [10]),
    ("large base", 1e6, 128, {"rope_type": "default"}, [10]),
    ("linear", 1e4, 128, {"rope_type": "linear", "factor": 4.0}, [10, 200]),
    ("dynamic", 1e4, 128, {"rope_type": "dynamic", "factor": 2.0}, [10, 128, 129, 1000]),
    ("llama3", 5e5, 8192, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 1024}, [10]),
    ("llama3, other bands", 1e4, 512, {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 2.0,
                                       "high_freq_factor": 8.0, "original_max_position_embeddings": 64}, [10]),
    ("yarn", 1e4, 512, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}, [10]),
    ("yarn, own factor", 1e6, 512, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128,
                                    "attention_factor": 1.25, "beta_fast": 16.0, "beta_slow": 2.0}, [10]),
    ("yarn, mscale", 1e4, 512, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128,
                                "mscale": 0.707, "mscale_all_dim": 1.0}, [10]),
    ("yarn, not truncated", 1.5e5, 512, {"rope_type": "yarn", "factor": 4.0, "truncate": False,
                                         "original_max_position_embeddings": 128}, [10]),
    ("longrope", 1e4, 512, {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                            "original_max_position_embeddings": 128}, [10, 128, 129]),
    ("longrope, own factor", 1e4, 512, {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                                        "attention_factor": 1.5, "original_max_position_embeddings": 128}, [10]),
]


def text(value):
    return '"%s"' % json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')


def older(base, context, scaling):
    """The spelling of transformers 4: rope_theta and rope_scaling; Phi 3 names the original length at the top."""
    config, scaling = {"rope_theta": base, "max_position_embeddings": context}, dict(scaling)
    scaling["type"] = scaling.pop("rope_type")
    if scaling["type"] == "longrope":
        scaling["type"] = "su"
        config["original_max_position_embeddings"] = scaling.pop("original_max_position_embeddings")
    if scaling["type"] != "default":
        config["rope_scaling"] = scaling
    return config


def known(base, context, scaling, length):
    phi = scaling["rope_type"] == "longrope"
    top = {"original_max_position_embeddings": scaling["original_max_position_embeddings"]} if phi else {}
    config = (Phi3Config if phi else LlamaConfig)(
        hidden_size=4 * DIM, num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=context,
        rope_parameters=dict(scaling, rope_theta=base), pad_token_id=0, **top)
    rope = (Phi3RotaryEmbedding if phi else LlamaRotaryEmbedding)(config=config)
    places = torch.arange(length)[None]
    cos, sin = rope(torch.zeros(1, 1, 1, dtype=torch.float32), places)
    assert cos.shape[-1] == DIM
    scale = float(rope.attention_scaling)
    frequencies = rope.inv_freq.float()
    assert torch.allclose(cos[0, 1, :DIM // 2], torch.cos(frequencies) * scale, atol=1e-6)
    assert torch.allclose(sin[0, 1, :DIM // 2], torch.sin(frequencies) * scale, atol=1e-6)
    return scale, frequencies.tolist()


print("/* Written by make_rope.py, not by hand: frequencies that transformers gives heads of %d elements. */" % DIM)
print("enum { KNOWN_DIM = %d };" % DIM)
print("static const struct {\n    const char *name, *config, *older;\n    int64_t context, length;\n"
      "    double scale, frequency[KNOWN_DIM / 2];\n} known_rope[] = {")
for name, base, context, scaling, lengths in CASES:
    for length in lengths:
        scale, frequencies = known(base, context, scaling, length)
        config = {"max_position_embeddings": context, "rope_parameters": dict(scaling, rope_theta=base)}
        print("    {%s, %s, %s, %d, %d, %.9g, {%s}}," % (
            '"%s"' % name, text(config), text(older(base, context, scaling)), context, length, scale,
            ", ".join("%.9g" % f for f in frequencies)))
print("};")
