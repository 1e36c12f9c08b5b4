"""Small sentencepiece models of our own, one a setting, and tokenizer.json files of the same pieces (PyPI sentencepiece,
tokenizers).  usage: models.py FOLDER [--large]: --large adds those with the library's own rules (240 KB each)."""
import base64, io, json, os, random, struct, sys, tempfile
import sentencepiece as spm

TEXT = '''the quick brown fox jumps over the lazy dog and runs away from the old farm
a translation is never the same text twice, and a tokenizer must not be the reason
o rapaz comeu a maçã e não disse nada à mãe, que já estava à espera dele em São João
die Straße führt über den Fluss; größere Häuser stehen dort, wo früher Wiesen waren
le cœur a ses raisons que la raison ne connaît point: où est-il, où étaient-ils?
наша река течёт на юг, а ветер дует на север; всё это знают даже дети
το ποτάμι κυλάει προς τη θάλασσα και ο άνεμος φυσάει από το βουνό
今日は天気がいいから、川まで歩いて行きましょう。明日は雨が降るでしょう。
河水向南流去，风从北方吹来。孩子们都知道这件事情。
النهر يجري نحو البحر والريح تهب من الجبل
नदी दक्षिण की ओर बहती है और हवा उत्तर से आती है
int main(void) { for (int i = 0; i < 10; i++) printf("%d\\n", x[i] * 2.5e-3); return 0; }
1234567890 3.14159 2,718 10% $5 #hash @name user@example.org https://example.org/a/b?c=d&e=f
😀 🎉 🦙 are symbols, as are € £ ¥ and ½ ¼ ² ³ ™ ©'''
RULES = [('e\u0301', '\u00e9'), ('a\u0303', '\u00e3'), ('c\u0327', '\u00e7'), ('\ufb01', 'fi'), ('\u339e', 'km'), ('\uff21', 'A'), ('\uff22', 'B'),
         ('\u3000', ' '), ('\u00a0', ' '), ('\t', ' '), ('\n', ' '), ('\r\n', ' '), ('\u200b', ''), ('\u00bd', '1/2'), ('\u00bd\u00bd', 'one'), ('ab', 'x y'),
         ('abc', ' z '), ('\u00df', 'ss'), ('\ufdfa', '\u0635\u0644\u0649 \u0627\u0644\u0644\u0647'), ('\u1112\u1161\u11ab', '\ud55c'),
         ('e\u0301\u0302', 'E'), ('\u0301', ''), ('Q', '  '), ('!', '?')]
SYMBOLS = ['<sep>', '<extra>', 'the▁', '▁▁', '日は', 'xyzzy', 'xyzzyx', '\t\t', ' % ']
COMMON = dict(model_prefix='', minloglevel=2, num_threads=1, character_coverage=0.98, hard_vocab_limit=False)
NONE = dict(normalization_rule_name='identity')


def corpus():
    random.seed(11)
    words = TEXT.split()
    return TEXT.split('\n') * 20 + [' '.join(random.choice(words) for _ in range(random.randrange(3, 15))) for _ in range(400)]


def rules(path):
    with open(path, 'w') as f:
        f.writelines(' '.join('%X' % ord(c) for c in a) + '\t' + ' '.join('%X' % ord(c) for c in b) + '\n' for a, b in RULES)
    return path


def train(out, name, **options):
    blob = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=blob, **{k: v for k, v in dict(COMMON, **options).items() if k != 'model_prefix'})
    save(out, name, blob.getvalue())
    return blob.getvalue()


def save(out, name, blob):
    with open(os.path.join(out, name + '.model'), 'wb') as f:
        f.write(blob)


# The message by hand, so that files can be made that the trainer does not make.
def varint(n):
    out = b''
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack('<f', value)
    return varint(number << 3) + varint(value)


def fields(blob):
    at = 0

    def number():
        nonlocal at
        n, shift = 0, 0
        while True:
            b = blob[at]
            at, n, shift = at + 1, n | (b & 127) << shift, shift + 7
            if b < 128:
                return n
    while at < len(blob):
        tag = number()
        if tag & 7 == 2:
            n = number()
            yield tag >> 3, blob[at:at + n]
            at += n
        elif tag & 7 == 5:
            yield tag >> 3, struct.unpack('<f', blob[at:at + 4])[0]
            at += 4
        else:
            yield tag >> 3, number()


def pieces(blob):
    """[text, score, type] of every piece."""
    out = []
    for n, v in fields(blob):
        if n == 1:
            p = dict(fields(v))
            out.append([p[1].decode(), p.get(2, 0.0), p.get(3, 1)])
    return out


def edit(blob, change):
    """The same file with its pieces changed by change(index, piece)."""
    out, i = b'', 0
    for n, v in fields(blob):
        if n == 1:
            p = dict(fields(v))
            text, score, kind = change(i, [p[1].decode(), p.get(2, 0.0), p.get(3, 1)])
            v, i = field(1, text.encode()) + field(2, float(score)) + field(3, kind), i + 1
        out += field(n, v)
    return out


def charsmap(blob):
    spec = dict(fields([v for n, v in fields(blob) if n == 3][0]))
    return spec.get(2, b'')


def tokenizer_json(out, name, model, normalizer, pre, decoder, added=()):
    content = {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': list(added), 'normalizer': normalizer, 'pre_tokenizer': pre,
               'post_processor': None, 'decoder': decoder, 'model': model}
    with open(os.path.join(out, name + '.json'), 'w') as f:
        json.dump(content, f, ensure_ascii=False, separators=(',', ':'))


def added(vocab, text, **flags):
    return dict(dict(id=vocab.index(text), content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **flags)


def unigram_json(out, name, blob, pre, extra=(), rules=None, bytes_too=False):
    p = pieces(blob)
    model = {'type': 'Unigram', 'unk_id': [k for _, _, k in p].index(2), 'vocab': [[t, s] for t, s, _ in p], 'byte_fallback': bytes_too}
    steps = ([{'type': 'Precompiled', 'precompiled_charsmap': base64.b64encode(rules).decode()}] if rules else []) + list(extra)
    normalizer = {'type': 'Sequence', 'normalizers': steps} if steps else None
    texts = [t for t, _, _ in p]
    tokenizer_json(out, name, model, normalizer, pre, pre if pre else {'type': 'ByteFallback'}, [added(texts, t) for t in ('<unk>', '<s>', '</s>') if t in texts])


def merges(p):
    """Pairs of pieces that make a piece, best first: what converters of such models write."""
    score = {t: s for t, s, k in p}
    found = []
    for t, s, k in p:
        for cut in range(1, len(t)):
            if t[:cut] in score and t[cut:] in score:
                found.append((-s, list(score).index(t[:cut]), list(score).index(t[cut:]), t[:cut], t[cut:]))
    return [[a, b] for _, _, _, a, b in sorted(found)]


def bpe_json(out, name, blob, normalizer, pre, decoder, bytes_too, fuse):
    p = pieces(blob)
    texts = [t for t, _, _ in p]
    model = {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'continuing_subword_prefix': None, 'end_of_word_suffix': None, 'fuse_unk': fuse,
             'byte_fallback': bytes_too, 'ignore_merges': False, 'vocab': {t: i for i, t in enumerate(texts)}, 'merges': merges(p)}
    tokenizer_json(out, name, model, normalizer, pre, decoder, [added(texts, t) for t in ('<unk>', '<s>', '</s>')])


def main(out, large):
    out = os.path.abspath(out)
    os.chdir(tempfile.mkdtemp())  # the trainer writes the path of the rules into its files
    own = dict(normalization_rule_tsv=rules('rules.tsv'))
    symbols = dict(user_defined_symbols=SYMBOLS, control_symbols=['<c0>', 'Z'])
    uni = train(out, 'unigram', vocab_size=400, **NONE)
    uni_bytes = train(out, 'unigram-bytes', vocab_size=700, byte_fallback=True, pad_id=3, **own, **symbols)
    train(out, 'unigram-suffix', vocab_size=300, treat_whitespace_as_suffix=True, unk_surface='?', **own)
    train(out, 'unigram-spaces', vocab_size=300, remove_extra_whitespaces=False, add_dummy_prefix=False, allow_whitespace_only_pieces=True, **NONE)
    train(out, 'unigram-denormal', vocab_size=300, denormalization_rule_tsv=own['normalization_rule_tsv'], **NONE)
    bpe = train(out, 'bpe', vocab_size=500, model_type='bpe', **own, **symbols)
    bpe_bytes = train(out, 'bpe-bytes', vocab_size=800, model_type='bpe', byte_fallback=True, remove_extra_whitespaces=False, split_digits=True,
                      allow_whitespace_only_pieces=True, **NONE)
    train(out, 'bpe-suffix', vocab_size=300, model_type='bpe', treat_whitespace_as_suffix=True, **NONE)
    train(out, 'char', vocab_size=150, model_type='char', **own, **symbols)
    train(out, 'word', vocab_size=200, model_type='word', **own)
    # some pieces not to be used, some scores equal, pieces that reach over a word's beginning
    save(out, 'bpe-unused', edit(bpe, lambda i, p: [p[0], p[1], 5 if p[2] == 1 and i % 3 == 0 else p[2]]))
    save(out, 'bpe-equal', edit(bpe, lambda i, p: [p[0], float(-(i % 7)), p[2]]))
    save(out, 'unigram-unused', edit(uni_bytes, lambda i, p: [p[0], p[1], 5 if p[2] == 1 and i % 5 == 0 else p[2]]))
    save(out, 'unigram-equal', edit(uni, lambda i, p: [p[0], float(-(i % 3)), p[2]]))
    meta = lambda scheme, split=True: {'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': scheme, 'split': split}
    unigram_json(out, 'unigram-meta', uni, meta('always'))
    unigram_json(out, 'unigram-rules', uni, meta('first'), rules=charsmap(uni_bytes))
    unigram_json(out, 'unigram-fallback', uni_bytes, meta('always', False), [{'type': 'Replace', 'pattern': {'Regex': ' {2,}'}, 'content': ' '}], charsmap(uni_bytes), True)
    space = {'type': 'Sequence', 'normalizers': [{'type': 'Prepend', 'prepend': '▁'}, {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'}]}
    back = {'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '}, {'type': 'ByteFallback'}, {'type': 'Fuse'},
                                             {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]}
    bpe_json(out, 'bpe-llama', bpe_bytes, space, None, back, True, True)
    bpe_json(out, 'bpe-meta', bpe, None, meta('always'), meta('always'), False, True)
    if large:
        big = train(out, 'large-nmt', vocab_size=900, normalization_rule_name='nmt_nfkc')
        train(out, 'large-bpe-nmt', vocab_size=900, model_type='bpe', normalization_rule_name='nmt_nfkc', byte_fallback=True)
        train(out, 'large-cf', vocab_size=900, normalization_rule_name='nmt_nfkc_cf')
        unigram_json(out, 'large-nmt', big, meta('always'), [{'type': 'Replace', 'pattern': {'Regex': ' {2,}'}, 'content': ' '}], charsmap(big))


if __name__ == '__main__':
    main(sys.argv[1], '--large' in sys.argv)
