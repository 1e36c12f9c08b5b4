"""Differential fuzz against PyPI sentencepiece (.model, .spm) and tokenizers (.json): random and hostile texts, ids and
decoded text must be equal.  usage: differential.py text_ids COUNT FILE... ; --speed LINES: rates in one run instead.
A difference on a text with code points that Unicode 8 does not have is counted apart (tokenizers only: grapheme clusters)."""
import json, os, random, struct, subprocess, sys, time, unicodedata

SEED = 20


def open_reference(path):
    """encode(bytes) -> ids, decode(ids) -> text, pieces."""
    if path.endswith('.json'):
        from tokenizers import Tokenizer
        t = Tokenizer.from_file(path)
        texts = [t.id_to_token(i) for i in range(t.get_vocab_size())]
        return (lambda b: t.encode(b.decode(), add_special_tokens=False).ids), (lambda ids: t.decode(ids, skip_special_tokens=True)), texts, False
    import sentencepiece
    t = sentencepiece.SentencePieceProcessor(model_file=path)
    return (lambda b: t.encode(b)), (lambda ids: t.decode(ids)), [t.id_to_piece(i) for i in range(len(t))], True


ODD = ['', ' ', '  ', '   ', '\t', '\n', '\r\n', '\r', '\x00', '\x01', '\x1f', '\x7f', '\u0085', '\u00a0', '\u00ad', '\u2028', '\u3000', '\u200b', '\u200d', '\ufeff',
       '\ufffd', '\ufffe', '\u0301', '\u0308', '\u0327', '\u0345', '\u302e', '\ufe0f', '\u2581', '\u2581\u2581', ' \u2581', '\u2047', '<unk>', '<s>', '</s>', '<0x41>',
       '<0x0A>', '<', '>', 'e\u0301', 'é', 'e\u0301\u0302', '½', '½½', 'ﬁ', '㎞', 'ﷺ', '한', '\u1112\u1161\u11ab', 'Å', '\u212b', '👨\u200d👩\u200d👧', '🇵🇹', '🦙', 'ab', 'abc', 'abcd',
       'क्षि', 'ก็', '\U000e0001', '\U0010ffff', '\ud7ff', '\ue000', 'Q', 'QQ', '!', 'ß', 'İ', 'ı', 'Σ', 'ς', 'xyzzyx', 'xyzzy', '日は', 'the ', '% ', ' % ', '0', '12', '...']
RANGES = [(0x20, 0x7f), (0x80, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0x780), (0x900, 0xe00), (0xe00, 0x1200), (0x1100, 0x1200), (0x1e00, 0x2400),
          (0x2500, 0x2c00), (0x3000, 0x3200), (0x3200, 0x3400), (0x4e00, 0x9fff), (0xac00, 0xd7a4), (0xf900, 0xffff), (0x1d000, 0x1d800), (0x1f100, 0x1fb00), (0, 0x110000)]


def character(r):
    low, high = r.choice(RANGES)
    c = r.randrange(low, high)
    return chr(c) if not 0xd800 <= c < 0xe000 else 'a'


def make_text(r, pieces, words):
    kind = r.random()
    n = r.choice((1, 2, 3, 5, 8, 13, 30))
    if kind < 0.25:
        return ''.join(r.choice(pieces).replace('\u2581', r.choice((' ', ' ', '\u2581'))) for _ in range(n))
    if kind < 0.45:
        return ' '.join(r.choice(words) for _ in range(n))
    if kind < 0.6:
        return ''.join(character(r) for _ in range(n))
    if kind < 0.8:
        return ''.join(r.choice((r.choice(ODD), r.choice(ODD), r.choice(pieces), character(r))) for _ in range(n))
    if kind < 0.97:
        return ''.join(r.choice((r.choice(ODD), r.choice(words), ' ' + r.choice(words), r.choice(words)[:2])) for _ in range(n))
    return r.choice((r.choice(ODD), character(r), r.choice(words), r.choice(pieces))) * r.randrange(1, 300)


def make(r, pieces, words, raw):
    text = make_text(r, pieces, words).encode('utf-8', 'surrogatepass')
    if raw and r.random() < 0.1:  # broken UTF-8
        text = bytearray(text)
        for _ in range(r.randrange(1, 4)):
            text[r.randrange(len(text) + 1):r.randrange(len(text) + 1)] = bytes([r.randrange(256)])
        text = bytes(text)
    return text


def ask(process, kind, payload, count):
    process.stdin.write(kind + struct.pack('<I', count) + payload)
    process.stdin.flush()
    n, = struct.unpack('<i', process.stdout.read(4))
    ids = list(struct.unpack('<%di' % n, process.stdout.read(4 * n))) if n > 0 else []
    size, = struct.unpack('<I', process.stdout.read(4))
    return ids, process.stdout.read(size).decode()


def newer(text):
    """Code points that this Python (Unicode %s) or Unicode 8 does not know: approximated by the former.""" % unicodedata.unidata_version
    return any(unicodedata.category(c) == 'Cn' for c in text.decode('utf-8', 'replace'))


def compare(tool, path, count, words):
    encode, decode, pieces, raw = open_reference(path)
    r = random.Random(SEED)
    bad = apart = 0
    with subprocess.Popen([tool, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for i in range(count):
            text = make(r, pieces, words, raw)
            want = encode(text)
            cases = [('E', text, want, ask(process, b'E', text, len(text)))]
            other = [r.randrange(len(pieces)) for _ in range(r.randrange(12))]
            cases.append(('D', other, other, ask(process, b'D', struct.pack('<%di' % len(other), *other), len(other))))
            for kind, what, ids, got in cases:
                if got[0] == ids and got[1] == decode(ids):
                    continue
                if kind == 'E' and not raw and newer(text):
                    apart += 1
                    continue
                bad += 1
                if bad <= 10:
                    print('DIFFERS', os.path.basename(path), kind, repr(what)[:300], '\n  want', ids[:60], repr(decode(ids))[:200], '\n  got ', got[0][:60], repr(got[1])[:200])
        process.stdin.close()
    print(f'{os.path.basename(path)}: {count} texts, {count} lists of ids: {bad} differ, {apart} more with newer code points', flush=True)
    return bad


def speed(tool, path, lines):
    encode, _, _, raw = open_reference(path)
    text = open(lines, encoding='utf-8').read()
    parts = text.rstrip('\n').split('\n')
    if not raw:
        from tokenizers import Tokenizer
        t = Tokenizer.from_file(path)
        encode = lambda s: t.encode(s, add_special_tokens=False).ids
        many = lambda: [x.ids for x in t.encode_batch(parts, add_special_tokens=False)]
    else:
        import sentencepiece
        t = sentencepiece.SentencePieceProcessor(model_file=path)
        many = lambda: t.encode(parts, num_threads=1)
    size, best, ours = len(text.encode()) / 1e6, 0, 0
    for _ in range(5):
        start = time.perf_counter()
        many()
        best = max(best, size / (time.perf_counter() - start))
        ours = max(ours, json.loads(subprocess.run([tool, path, '--speed', lines, '1'], capture_output=True, check=True).stdout)['mb_s'])
    print(f'{os.path.basename(path)}: {ours:.2f} MB/s, reference {best:.2f} MB/s, ratio {ours / best:.2f}', flush=True)


def main():
    tool = sys.argv[1]
    if sys.argv[2] == '--speed':
        os.environ['RAYON_NUM_THREADS'], os.environ['TOKENIZERS_PARALLELISM'] = '1', 'false'
        for path in sys.argv[4:]:
            speed(tool, path, sys.argv[3])
        return 0
    import models
    return 1 if sum(compare(tool, p, int(sys.argv[2]), models.TEXT.split()) for p in sys.argv[3:]) else 0


if __name__ == '__main__':
    sys.exit(main())
