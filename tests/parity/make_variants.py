#!/usr/bin/env python3
"""Writes variants/: random models of architectures' variants that goldens/tiny leaves out, with the logits of
transformers 5 (torch, f32, eager attention). usage: make_variants.py OUTPUT"""
import pathlib, sys
import numpy as np
import torch
import transformers as hf

VOCAB, ROWS, LENGTH = 37, 2, 14
ENDS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0, max_position_embeddings=64)
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
FALCON = dict(vocab_size=VOCAB, num_hidden_layers=2, ffn_hidden_size=30, parallel_attn=True, alibi=False, bias=False,
              rope_parameters=ROPE, **ENDS)
VARIANTS = {
    # 40B: two key heads of three queries each, a norm for the attention and one for the MLP
    "falcon_40b": hf.FalconConfig(hidden_size=24, num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True,
                                  multi_query=True, **FALCON),
    # 11B: the same with one norm
    "falcon_11b": hf.FalconConfig(hidden_size=24, num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True,
                                  num_ln_in_parallel_attn=1, **FALCON),
    # keys as many as queries, each head's q, k, v together
    "falcon_heads": hf.FalconConfig(hidden_size=24, num_attention_heads=3, new_decoder_architecture=False,
                                    multi_query=False, **FALCON),
    # MLP behind the attention
    "neox_sequential": hf.GPTNeoXConfig(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
                                        intermediate_size=30, use_parallel_residual=False,
                                        rope_parameters=dict(ROPE, partial_rotary_factor=0.5), **ENDS),
}


def make(folder, config):
    torch.manual_seed(5)
    config._attn_implementation = "eager"
    model = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.25 + (1.0 if "norm" in name or "ln_" in name else 0.0) * name.endswith("weight"))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    ids = torch.randint(3, VOCAB, (ROWS, LENGTH))
    with torch.no_grad():
        logits = model(ids).logits
    np.save(folder / "ids.npy", ids.numpy().astype("<i8"))
    np.save(folder / "expected_logits.npy", logits.numpy().astype("<f4"))


for name, config in VARIANTS.items():
    make(pathlib.Path(sys.argv[1]) / name, config)
