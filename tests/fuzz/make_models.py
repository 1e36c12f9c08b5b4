#!/usr/bin/env python3
"""Small files of our own making for the fuzz targets of weight files. usage: make_models.py CORPUS_FOLDER
Writes gguf/, ct2/, marian/ and npz/ below it: whole models of a few numbers, and ones that lie. The standard library alone."""
import io, os, struct, sys, zipfile

root = sys.argv[1]


def save(kind, name, data):
    os.makedirs(os.path.join(root, kind), exist_ok=True)
    with open(os.path.join(root, kind, name), 'wb') as f:
        f.write(data)


def f32(count, step=0.125):
    return b''.join(struct.pack('<f', (i % 7 - 3) * step) for i in range(count))


# GGUF
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: 'B', I8: 'b', U16: 'H', I16: 'h', U32: 'I', I32: 'i', F32: 'f', BOOL: '?', U64: 'Q', I64: 'q', F64: 'd'}


def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack('<Q', len(b)) + b


def value(kind, v):
    if kind == STRING:
        return text(v)
    if kind == ARRAY:
        inner, items = v
        return struct.pack('<IQ', inner, len(items)) + b''.join(value(inner, i) for i in items)
    return struct.pack('<' + PACK[kind], v)


def gguf(pairs, tensors, version=3, align=32, data=None, counts=None):
    """pairs: (key, type, value); tensors: (name, shape innermost first, type, bytes)"""
    head = b'GGUF' + struct.pack('<IQQ', version, *(counts or (len(tensors), len(pairs))))
    for key, kind, v in pairs:
        head += text(key) + struct.pack('<I', kind) + value(kind, v)
    at, body = 0, b''
    for name, shape, kind, raw in tensors:
        head += text(name) + struct.pack('<I', len(shape)) + b''.join(struct.pack('<Q', d) for d in shape)
        head += struct.pack('<IQ', kind, at)
        raw += b'\0' * (-len(raw) % align)
        body += raw
        at += len(raw)
    head += b'\0' * (-len(head) % align)
    return head + (body if data is None else data)


def llama(more=(), arch='llama', extra=(), skip=()):
    a = arch + '.'
    pairs = [('general.architecture', STRING, arch), (a + 'context_length', U32, 16), (a + 'embedding_length', U32, 8),
             (a + 'block_count', U32, 1), (a + 'feed_forward_length', U32, 8), (a + 'attention.head_count', U32, 2),
             (a + 'attention.head_count_kv', U32, 1), (a + 'rope.freq_base', F32, 10000.0),
             (a + 'attention.layer_norm_rms_epsilon', F32, 1e-6), ('tokenizer.ggml.model', STRING, 'llama'),
             ('tokenizer.ggml.tokens', ARRAY, (STRING, ['<unk>', '<s>', '</s>', b'\xe2\x96\x81a'])),
             ('tokenizer.ggml.scores', ARRAY, (F32, [0.0, 0.0, 0.0, -1.0])),
             ('tokenizer.ggml.token_type', ARRAY, (I32, [2, 3, 3, 1])), ('tokenizer.ggml.bos_token_id', U32, 1),
             ('tokenizer.ggml.add_bos_token', BOOL, True)] + list(more)
    t = [('token_embd.weight', (8, 4), 0, f32(32)), ('output_norm.weight', (8,), 0, f32(8))]
    for stem, shape in (('attn_norm', (8,)), ('ffn_norm', (8,)), ('attn_q', (8, 8)), ('attn_k', (8, 4)), ('attn_v', (8, 4)),
                        ('attn_output', (8, 8)), ('ffn_gate', (8, 8)), ('ffn_up', (8, 8)), ('ffn_down', (8, 8))):
        if stem not in skip:
            n = shape[0] * (shape[1] if len(shape) > 1 else 1)
            t.append(('blk.0.%s.weight' % stem, shape, 0, f32(n)))
    return pairs, t + list(extra)


def make_gguf():
    pairs, tensors = llama()
    save('gguf', 'llama', gguf(pairs, tensors))
    save('gguf', 'version2', gguf(pairs, tensors, version=2))
    save('gguf', 'version1', gguf(pairs, tensors, version=1))
    save('gguf', 'big_endian', b'GGUF' + struct.pack('>I', 3) + b'\0' * 32)
    save('gguf', 'alignment64', gguf(pairs + [('general.alignment', U32, 64)], tensors, align=64))
    save('gguf', 'alignment3', gguf(pairs + [('general.alignment', U32, 3)], tensors))
    save('gguf', 'truncated', gguf(pairs, tensors)[:-100])
    save('gguf', 'no_tensors', gguf(pairs, []))
    save('gguf', 'twice', gguf(pairs, tensors + tensors[:1]))
    save('gguf', 'key_twice', gguf(pairs + pairs[:1], tensors))
    save('gguf', 'many', gguf(pairs, tensors, counts=(1 << 60, 1 << 60)))
    deep = (U8, [1])
    for _ in range(12):
        deep = (ARRAY, [deep])
    save('gguf', 'deep', gguf(pairs + [('x', ARRAY, deep)], tensors))
    save('gguf', 'unknown_type', gguf(pairs, [('token_embd.weight', (8, 4), 77, f32(32))]))
    save('gguf', 'old_type', gguf(pairs, [('token_embd.weight', (256, 1), 16, b'\0' * 66)]))
    save('gguf', 'huge', gguf(pairs, [('token_embd.weight', (1 << 62, 1 << 62), 0, b'')]))
    save('gguf', 'half_block', gguf(pairs, [('token_embd.weight', (33, 1), 8, b'\0' * 64)]))
    save('gguf', 'no_name', gguf(pairs, [('', (8,), 0, f32(8))]))
    save('gguf', 'other', gguf(pairs, tensors + [('blk.0.unheard_of.weight', (8,), 0, f32(8))]))
    blocks = [(2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34), (10, 256, 84), (11, 256, 110), (12, 256, 144),
              (13, 256, 176), (14, 256, 210), (20, 32, 18), (23, 256, 136), (39, 32, 17), (34, 256, 54), (35, 256, 66)]
    save('gguf', 'blocks', gguf([('general.architecture', STRING, 'none')],
                                [('t%d' % k, (n,), k, bytes((i * 37 + k) % 256 for i in range(b))) for k, n, b in blocks]))
    moe = [('blk.0.ffn_gate_inp.weight', (8, 2), 0, f32(16))]
    moe += [('blk.0.ffn_%s_exps.weight' % s, (8, 8, 2), 0, f32(128)) for s in ('gate', 'up', 'down')]
    p, t = llama([('llama.expert_count', U32, 2), ('llama.expert_used_count', U32, 1)], extra=moe,
                 skip=('ffn_gate', 'ffn_up', 'ffn_down'))
    save('gguf', 'mixtral', gguf(p, t))
    p, t = llama([('phi2.attention.layer_norm_epsilon', F32, 1e-5)], arch='phi2', skip=('attn_q', 'attn_k', 'attn_v', 'ffn_gate', 'ffn_norm'),
                 extra=[('blk.0.attn_qkv.weight', (8, 16), 0, f32(128)), ('blk.0.attn_qkv.bias', (16,), 0, f32(16))])
    save('gguf', 'phi2', gguf(p, t))
    p, t = llama([('gemma3.attention.sliding_window', U32, 4), ('gemma3.rope.scaling.type', STRING, 'linear'),
                  ('gemma3.rope.scaling.factor', F32, 8.0), ('tokenizer.chat_template', STRING, '{{ x }}')], arch='gemma3')
    save('gguf', 'gemma3', gguf(p, t))
    p, t = llama(extra=[('rope_freqs.weight', (2,), 0, f32(2))])
    save('gguf', 'factors', gguf(p, t))
    save('gguf', 'layered', gguf([('llama.attention.head_count_kv', ARRAY, (I32, [1, 2])) if k[0].endswith('head_count_kv') else k for k in pairs], tensors))
    split = [('split.count', U16, 2), ('split.tensors.count', I32, len(tensors))]
    save('gguf', 'part1', gguf(pairs + split + [('split.no', U16, 0)], tensors[:6]))
    save('gguf', 'part2', gguf(split + [('split.no', U16, 1)], tensors[6:]))
    save('gguf', 'scores', gguf([(k[0], k[1], (F32, [0.0])) if k[0].endswith('scores') else k for k in pairs], tensors))


# CTranslate2
def name(s):
    b = s.encode() + b'\0'
    return struct.pack('<H', len(b)) + b


CODES = {'f32': (0, 4), 'i8': (1, 1), 'i16': (2, 2), 'i32': (3, 4), 'f16': (4, 2), 'bf16': (5, 2)}


def ct2(spec, variables, version=6, revision=7, aliases=(), count=None):
    out = struct.pack('<I', version) + name(spec) + struct.pack('<II', revision, len(variables) if count is None else count)
    for n, kind, shape, raw in sorted(variables):
        out += name(n) + struct.pack('<B', len(shape)) + b''.join(struct.pack('<I', d) for d in shape)
        code, width = CODES[kind]
        out += struct.pack('<BI', code, len(raw)) if version >= 4 else struct.pack('<BI', width, len(raw) // width)
        out += raw
    if version >= 3:
        out += struct.pack('<I', len(aliases)) + b''.join(name(a) + name(b) for a, b in aliases)
    return out


def var(n, *shape):
    count = 1
    for d in shape:
        count *= d
    return (n, 'f32', shape, f32(count))


def norm(n, d):
    return [var(n + '/gamma', d), var(n + '/beta', d)]


def linear(n, o, i):
    return [var(n + '/weight', o, i), var(n + '/bias', o)]


def translation(int8=False):
    d, v = 8, [('encoder/num_heads', 'i16', (), struct.pack('<h', 2)), ('decoder/num_heads', 'i16', (), struct.pack('<h', 2)),
               ('encoder/pre_norm', 'i8', (), b'\1'), ('decoder/pre_norm', 'i8', (), b'\1')]
    if int8:
        v += [('encoder/embeddings_0/weight', 'i8', (4, d), bytes(i * 7 % 256 for i in range(4 * d))),
              ('encoder/embeddings_0/weight_scale', 'f32', (4,), f32(4, 50.0))]
    else:
        v.append(var('encoder/embeddings_0/weight', 4, d))
    v.append(var('decoder/embeddings/weight', 5, d))
    for side in ('encoder', 'decoder'):
        p = side + '/layer_0/'
        v += linear(p + 'self_attention/linear_0', 3 * d, d) + linear(p + 'self_attention/linear_1', d, d) + norm(p + 'self_attention/layer_norm', d)
        v += linear(p + 'ffn/linear_0', 16, d) + linear(p + 'ffn/linear_1', d, 16) + norm(p + 'ffn/layer_norm', d) + norm(side + '/layer_norm', d)
    p = 'decoder/layer_0/attention/'
    v += linear(p + 'linear_0', d, d) + linear(p + 'linear_1', 2 * d, d) + linear(p + 'linear_2', d, d) + norm(p + 'layer_norm', d)
    return v


def make_ct2():
    whole = translation()
    alias = [('decoder/projection/weight', 'decoder/embeddings/weight')]
    save('ct2', 'whole', ct2('TransformerSpec', whole, aliases=alias))
    save('ct2', 'int8', ct2('TransformerSpec', translation(True), aliases=alias))
    save('ct2', 'version3', ct2('TransformerSpec', whole, version=3, aliases=alias))
    save('ct2', 'version2', ct2('TransformerBase', [x for x in whole if not x[0].endswith('num_heads')], version=2, revision=2))
    save('ct2', 'version7', ct2('TransformerSpec', whole, version=7))
    save('ct2', 'unknown_spec', ct2('OtherSpec', whole))
    save('ct2', 'unknown_variable', ct2('TransformerSpec', whole + [var('encoder/unheard_of', 3)]))
    save('ct2', 'twice', ct2('TransformerSpec', whole + whole[:1]))
    save('ct2', 'alias_of_none', ct2('TransformerSpec', whole, aliases=[('a', 'b')]))
    save('ct2', 'truncated', ct2('TransformerSpec', whole, aliases=alias)[:-30])
    save('ct2', 'behind', ct2('TransformerSpec', whole) + b'x')
    save('ct2', 'many', ct2('TransformerSpec', whole, count=0xffffffff))
    save('ct2', 'odd_rows', ct2('TransformerSpec', [('encoder/layer_0/self_attention/linear_0/weight', 'f32', (5, 2), f32(10)) if x[0] == 'encoder/layer_0/self_attention/linear_0/weight' else x for x in whole]))
    save('ct2', 'bad_scale', ct2('TransformerSpec', [('encoder/embeddings_0/weight_scale', 'f32', (3,), f32(3)) if x[0].endswith('_scale') else x for x in translation(True)]))
    enc = [x for x in whole if x[0].startswith('encoder')] + [var('encoder/embeddings_1/weight', 2, 8), var('encoder/position_encodings/encodings', 6, 8),
           ('encoder/scale_embeddings', 'i8', (), b'\0')] + norm('encoder/layernorm_embedding', 8) + linear('pooler_dense', 8, 8)
    enc = [(x[0], x[1], x[2], b'\0') if x[0] == 'encoder/pre_norm' else x for x in enc if not x[0].startswith('encoder/layer_norm')]
    save('ct2', 'bert', ct2('TransformerEncoderSpec', enc))
    wh = [x for x in whole if 'embeddings_0' not in x[0]] + [var('encoder/conv1/weight', 8, 4, 3), var('encoder/conv1/bias', 8), var('encoder/conv2/weight', 8, 8, 3),
          var('encoder/conv2/bias', 8), var('encoder/position_encodings/encodings', 10, 8), var('decoder/position_encodings/encodings', 6, 8)]
    save('ct2', 'whisper', ct2('WhisperSpec', wh, aliases=alias))


# Marian
def marian(items, version=1, count=None):
    """items: (name, type, shape, data)"""
    items = sorted(items)
    out = struct.pack('<QQ', version, len(items) if count is None else count)
    out += b''.join(struct.pack('<QQQQ', len(n) + 1, t, len(s), len(d)) for n, t, s, d in items)
    out += b''.join(n.encode() + b'\0' for n, t, s, d in items)
    out += b''.join(struct.pack('<i', x) for n, t, s, d in items for x in s)
    pad = -(len(out) + 8) % 256
    return out + struct.pack('<Q', pad) + b'\0' * pad + b''.join(d for n, t, s, d in items)


SETTINGS = ('enc-depth: 1\ndec-depth: 1\ntransformer-heads: 2\ntype: transformer\ntransformer-preprocess: ""\n'
            'transformer-postprocess: dan\ntransformer-postprocess-emb: d\ntransformer-ffn-depth: 2\n'
            'transformer-ffn-activation: relu\ntransformer-decoder-autoreg: %s\ndec-cell: ssru\ntied-embeddings-all: true\n'
            'transformer-train-position-embeddings: false\n')


def tiny(autoreg='rnn', settings=None, int8=True):
    d, f, v, items = 8, 12, 6, []

    def weight(n, i, o):
        if int8:
            q = bytes((k * 29 + len(n)) % 255 for k in range(i * o))
            items.append((n, 0x4101, (i, o), q + struct.pack('<f', 63.5) + b'\0' * 252))
            items.append((n + '_QuantMultA', 0x404, (1, 1), struct.pack('<f', 8.5) + b'\0' * 252))
        else:
            items.append((n, 0x404, (i, o), f32(i * o)))

    def vector(n, o):
        items.append((n, 0x404, (1, o), f32(o)))

    def attention(p):
        for x in 'qkvo':
            weight(p + '_W' + x, d, d)
            vector(p + '_b' + x, d)
        vector(p + '_Wo_ln_scale', d)
        vector(p + '_Wo_ln_bias', d)

    weight('Wemb', v, d)
    if int8:
        items.append(('none_QuantMultA', 0x404, (1, 1), struct.pack('<f', 9.5)))
    vector('decoder_ff_logit_out_b', v)
    for side in ('encoder', 'decoder'):
        p = side + '_l1'
        if side == 'decoder':
            attention(p + '_context')
        if side == 'encoder' or autoreg != 'rnn':
            attention(p + '_self')
        else:
            weight(p + '_rnn_W', d, d)
            weight(p + '_rnn_Wf', d, d)
            for x in ('_rnn_bf', '_rnn_ffn_ln_scale', '_rnn_ffn_ln_bias'):
                vector(p + x, d)
        weight(p + '_ffn_W1', d, f)
        weight(p + '_ffn_W2', f, d)
        vector(p + '_ffn_b1', f)
        vector(p + '_ffn_b2', d)
        vector(p + '_ffn_ffn_ln_scale', d)
        vector(p + '_ffn_ffn_ln_bias', d)
    t = (settings or SETTINGS % autoreg).encode() + b'\0'
    items.append(('special:model.yml', 0x101, (len(t),), t))
    return items


def make_marian():
    whole = tiny()
    save('marian', 'no_items', struct.pack('<QQQ', 1, 0, 0))
    save('marian', 'ssru_int8', marian(whole))
    save('marian', 'attention_f32', marian(tiny('self-attention', int8=False)))
    save('marian', 'version2', marian(whole, version=2))
    save('marian', 'many', marian(whole, count=1 << 61))
    save('marian', 'truncated', marian(whole)[:-200])
    save('marian', 'behind', marian(whole) + b'xx')
    save('marian', 'twice', marian(whole + whole[:1]))
    save('marian', 'other_type', marian([('Wemb', 0x404 + 0x1000, (2, 2), f32(4))]))
    save('marian', 'no_settings', marian([x for x in whole if x[0] != 'special:model.yml']))
    save('marian', 'pre_norm', marian(tiny(settings=(SETTINGS % 'rnn').replace('preprocess: ""', 'preprocess: n'))))
    save('marian', 'missing', marian([x for x in whole if x[0] != 'encoder_l1_ffn_W2']))
    save('marian', 'extra', marian(whole + [('unheard_of', 0x404, (1, 2), f32(2))]))
    save('marian', 'negative', marian([('Wemb', 0x404, (-1, 2), f32(4))]))
    save('marian', 'short_data', marian([('Wemb', 0x404, (4, 4), f32(4))]))
    save('marian', 'no_multiplier', marian([('Wemb', 0x4101, (2, 2), b'abcd')]))


# npz
def npy(shape, descr, raw, version=1, order='False'):
    head = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    size = 10 if version == 1 else 12
    head += ' ' * (-(size + len(head) + 1) % 64) + '\n'
    return b'\x93NUMPY' + bytes((version, 0)) + struct.pack('<H' if version == 1 else '<I', len(head)) + head.encode() + raw


def npz(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as z:
        for n, raw in members:
            info = zipfile.ZipInfo(n, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, raw)
    return out.getvalue()


def arrays():
    out = []
    for n, t, s, raw in tiny('self-attention', int8=False):
        out.append((n + '.npy', npy(s, '<f4' if t == 0x404 else '|i1', raw)))
    return out


def make_npz():
    whole = arrays()
    stored = npz(whole)
    save('npz', 'stored', stored)
    save('npz', 'deflated', npz(whole, zipfile.ZIP_DEFLATED))
    save('npz', 'version2', npz([(n, npy((2, 2), '<f4', f32(4), version=2)) for n in ('a.npy', 'b.npy')]))
    save('npz', 'fortran', npz([('a.npy', npy((2, 2), '<f4', f32(4), order='True'))]))
    save('npz', 'double', npz([('a.npy', npy((2,), '<f8', b'\0' * 16))]))
    save('npz', 'short', npz([('a.npy', npy((9,), '<f4', f32(4)))]))
    save('npz', 'not_npy', npz([('a.txt', b'hello')]))
    save('npz', 'no_end', stored[:-30])
    save('npz', 'cut', stored[200:])
    deflated = npz([('a.npy', npy((64,), '<f4', f32(64)))], zipfile.ZIP_DEFLATED)
    save('npz', 'one', deflated)
    at = deflated.index(b'PK\x01\x02')
    save('npz', 'wrong_crc', deflated[:at + 16] + b'\0\0\0\0' + deflated[at + 20:])
    save('npz', 'wrong_size', deflated[:at + 24] + struct.pack('<I', 4000) + deflated[at + 28:])
    save('npz', 'bomb', deflated[:at + 24] + struct.pack('<I', 0x7fffffff) + deflated[at + 28:])
    save('npz', 'method', deflated[:at + 10] + struct.pack('<H', 9) + deflated[at + 12:])
    save('npz', 'comment', stored[:-2] + struct.pack('<H', 5) + b'hello')


make_gguf()
make_ct2()
make_marian()
make_npz()


# Shortlists: of three source words, of seventy words of the target
def shortlist(lists, first=4, offsets=None, ids=None, magic=0xf11a48d5013417f5, best=50):
    flat = [i for words in lists for i in words]
    at = [sum(len(words) for words in lists[:i]) for i in range(len(lists) + 1)] if offsets is None else offsets
    return struct.pack('<6Q', magic, 7, first, best, len(at), len(flat) if ids is None else ids) + \
        struct.pack('<%dQ' % len(at), *at) + struct.pack('<%dI' % len(flat), *flat)


save('shortlist', 'three', shortlist([[2, 9], [], [8, 33, 69]]))
save('shortlist', 'all', shortlist([list(range(70)), [1], [1]], first=70))
save('shortlist', 'empty-lists', shortlist([[], [], []]))
save('shortlist', 'falling', shortlist([[2, 9], [], [8]], offsets=[0, 2, 1, 3]))
save('shortlist', 'beyond', shortlist([[2, 9], [], [8]], offsets=[0, 2, 2, 4]))
save('shortlist', 'foreign-word', shortlist([[2, 70], [], [8]]))
save('shortlist', 'no-first', shortlist([[2], [], [8]], first=0))
save('shortlist', 'huge-first', shortlist([[2], [], [8]], first=1 << 63))
save('shortlist', 'two-words', shortlist([[2], [8]]))
save('shortlist', 'many-ids', shortlist([[2], [], [8]], ids=1 << 62))
save('shortlist', 'magic', shortlist([[2], [], [8]], magic=1))
save('shortlist', 'short', shortlist([[2], [], [8]])[:-1])
save('shortlist', 'head', shortlist([[2], [], [8]])[:47])
