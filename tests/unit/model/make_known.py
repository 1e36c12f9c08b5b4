#!/usr/bin/env python3
"""Writes formats_known.h: first values and sums that the NumPy readers of the goldens give.
usage: make_known.py GOLDENS_MAKE CT2_AREN WHISPER_BASE BERGAMOT_ENPT >formats_known.h"""
import glob, os, sys
import numpy as np

sys.dont_write_bytecode = True
make, aren, whisper, enpt = sys.argv[1:]
sys.path.insert(0, make)
from ct2_read import read_ct2
from marian_ref import read_marian

DTYPES = {'float32': '<f4', '4-byte': '<f4', 'float16': '<f2'}


def table(name, rows):
    print('static const struct known %s[] = {' % name)
    for n, v in rows:
        v = np.asarray(v, dtype=np.float64)
        cols = 0 if v.ndim == 1 else v.size // v.shape[0]
        print('    {"%s", %d, %d, %.9g, %.9g},' % (n, v.shape[0], cols, v.ravel()[0], v.sum()))
    print('};')


def ct2(folder, wanted):
    path = os.path.join(folder, 'model.bin')
    variables = read_ct2(path)[3]
    data = open(path, 'rb').read()
    rows = []
    for name, variable, part, parts in wanted:
        kind, shape, at, size = variables[variable]
        v = np.frombuffer(data, DTYPES[kind], size // np.dtype(DTYPES[kind]).itemsize, at).reshape(shape).astype(np.float64)
        rows.append((name, np.split(v, parts)[part]))
    return rows


print('/* Written by make_known.py, not by hand. Name, rows, columns, first value, sum. */')
table('known_aren', ct2(aren, [
    ('model.encoder.embed_tokens.weight', 'encoder/embeddings/weight', 0, 1),
    ('model.encoder.layers.0.self_attn.q_proj.weight', 'encoder/layer_0/self_attention/linear_0/weight', 0, 3),
    ('model.encoder.layers.5.self_attn.v_proj.bias', 'encoder/layer_5/self_attention/linear_0/bias', 2, 3),
    ('model.decoder.layers.3.encoder_attn.k_proj.weight', 'decoder/layer_3/attention/linear_1/weight', 0, 2),
    ('model.decoder.layers.3.encoder_attn.v_proj.weight', 'decoder/layer_3/attention/linear_1/weight', 1, 2),
    ('model.decoder.layers.0.fc2.weight', 'decoder/layer_0/ffn/linear_1/weight', 0, 1),
    ('model.decoder.layer_norm.bias', 'decoder/layer_norm/beta', 0, 1),
    ('lm_head.weight', 'decoder/projection/weight', 0, 1)]))
table('known_whisper', ct2(whisper, [
    ('model.encoder.conv1.weight', 'encoder/conv1/weight', 0, 1),
    ('model.encoder.embed_positions.weight', 'encoder/position_encodings/encodings', 0, 1),
    ('model.encoder.layers.2.self_attn.v_proj.bias', 'encoder/layer_2/self_attention/linear_0/bias', 2, 3),
    ('model.decoder.layers.1.encoder_attn.v_proj.weight', 'decoder/layer_1/attention/linear_1/weight', 1, 2),
    ('model.decoder.layers.5.final_layer_norm.weight', 'decoder/layer_5/ffn/layer_norm/gamma', 0, 1)]))
items = read_marian(glob.glob(os.path.join(enpt, 'model.*.bin'))[0])


def int8(item):
    """as stored, [out][in], divided by the float32 behind"""
    kind, shape, raw = items[item]
    q = np.frombuffer(raw, np.int8, shape[0] * shape[1]).reshape(shape if item == 'Wemb' else shape[::-1])
    return q.astype(np.float32) / np.frombuffer(raw, '<f4', 1, shape[0] * shape[1])[0]


def f32(item):
    kind, shape, raw = items[item]
    return np.frombuffer(raw, '<f4', shape[0] * shape[1]).reshape(shape)


table('known_enpt', [
    ('model.shared.weight', int8('Wemb')),
    ('model.encoder.layers.0.self_attn.q_proj.weight', int8('encoder_l1_self_Wq')),
    ('model.decoder.layers.1.rnn.wf.weight', int8('decoder_l2_rnn_Wf')),
    ('model.encoder.layers.5.fc1.weight', int8('encoder_l6_ffn_W1')),
    ('model.decoder.layers.0.encoder_attn.out_proj.weight', int8('decoder_l1_context_Wo')),
    ('model.decoder.layers.0.rnn_layer_norm.weight', f32('decoder_l1_rnn_ffn_ln_scale')[0]),
    ('model.encoder.layers.3.fc2.bias', f32('encoder_l4_ffn_b2')[0]),
    ('final_logits_bias', f32('decoder_ff_logit_out_b'))])
