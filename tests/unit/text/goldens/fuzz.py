"""Differential fuzz against PyPI tokenizers: random and hostile texts over Unicode 8, ids and decoded text must be equal.
usage: fuzz.py text_ids COUNT FILE.json...       COUNT texts and COUNT lists of ids for all files together
       fuzz.py text_ids --sweep FILE.json...     every assigned code point in four places; those that differ are listed
       fuzz.py text_ids --speed TEXT FILE.json... MB/s of both, single threads, in one run
Which code points Unicode 8 has is asked of perl (its \\p{Present_In}); without perl: those of this Python's version."""
import json, os, random, struct, subprocess, sys, time, unicodedata
from tokenizers import Tokenizer
import kinds

SEED = 21
WIDE = [(0x3400, 0x4DB5), (0x4E00, 0x9FD5), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0x20000, 0x2A6D6), (0x2A700, 0x2EBE0), (0x30000, 0x3134A), (0xF0000, 0x10FFFD)]


def known():
    """Code points of Unicode 8 without surrogates."""
    try:
        out = subprocess.run(['perl', '-e', 'for (0..0x10FFFF) { next if $_ >= 0xD800 && $_ < 0xE000; print "$_ " if chr($_) =~ /\\p{Present_In: 8.0}/ }'],
                             capture_output=True, check=True).stdout
        return [int(x) for x in out.split()]
    except (OSError, subprocess.CalledProcessError):
        return [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ('Cn', 'Cs')]


def reference(path):
    """The whole text's ids: padding and truncation are the engine's own matter."""
    t = Tokenizer.from_file(path)
    t.no_padding()
    t.no_truncation()
    return t


class Ours:
    def __init__(self, tool, path):
        self.process = subprocess.Popen([tool, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(self, kind, payload, count):
        self.process.stdin.write(kind + struct.pack('<I', count) + payload)

    def read(self):
        n, = struct.unpack('<i', self.process.stdout.read(4))
        ids = list(struct.unpack('<%di' % n, self.process.stdout.read(4 * n))) if n > 0 else []
        size, = struct.unpack('<I', self.process.stdout.read(4))
        return ids, self.process.stdout.read(size).decode()

    def encode(self, texts):
        """Few at a time, so that neither side waits with a full pipe."""
        for text in texts:
            data = text.encode()
            self.send(b'E', data, len(data))
        self.process.stdin.flush()
        return [self.read() for _ in texts]

    def decode(self, ids):
        self.send(b'D', struct.pack('<%di' % len(ids), *ids), len(ids))
        self.process.stdin.flush()
        return self.read()[1]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def make(r, points, pieces, words):
    kind, n = r.random(), r.choice((1, 2, 3, 5, 8, 13, 30))
    point = lambda: chr(r.choice(points))
    near = lambda: chr(r.choice([c for c in points[r.randrange(len(points)):][:40]]))
    if kind < 0.2:
        return ''.join(r.choice(kinds.PARTS) for _ in range(n))
    if kind < 0.4:
        return ' '.join(r.choice(words) for _ in range(n))
    if kind < 0.5:
        return ''.join(point() for _ in range(n))
    if kind < 0.6:
        return ''.join(r.choice(pieces) for _ in range(n))
    if kind < 0.97:
        return ''.join(r.choice((r.choice(kinds.PARTS), ' ' + r.choice(words), r.choice(words)[:2], r.choice(pieces), point(), near())) for _ in range(n))
    return r.choice((r.choice(kinds.PARTS), point(), r.choice(words))) * r.randrange(1, 400)


def fuzz(tool, count, paths):
    r, points, words = random.Random(SEED), known(), kinds.TEXT.split(' ')
    low = [c for c in points if c < 0x3400]
    points = points[::7] + low * 2
    bad = 0
    for path in paths:
        t, ours = reference(path), Ours(tool, path)
        pieces = [t.id_to_token(i) or '' for i in range(t.get_vocab_size())]
        for _ in range(count // len(paths)):
            text = make(r, points, pieces, words)
            want = t.encode(text, add_special_tokens=False).ids
            got = ours.encode([text])[0]
            other = [r.randrange(len(pieces) + 3) for _ in range(r.randrange(12))]
            for what, a, b in (('ids', want, got[0]), ('text', t.decode(want), got[1]), ('decoded', t.decode(other), ours.decode(other))):
                if a == b:
                    continue
                bad += 1
                if bad <= 12:
                    print('DIFFERS', os.path.basename(path), what, repr(text if what != 'decoded' else other)[:300], '\n  want', repr(a)[:300], '\n  got ', repr(b)[:300])
        ours.close()
    print(f'{count // len(paths) * len(paths)} texts over {len(paths)} files: {bad} differences', flush=True)
    return bad


def spans(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return ' '.join('%04X' % a if a == b else '%04X-%04X' % (a, b) for a, b in out)


def sweep(tool, paths):
    eight, bad = set(known()), {}
    inner = lambda c: any(a + 2 < c < b - 2 for a, b in WIDE)
    points = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000 and not inner(c) and (c in eight or c < 0x33480 and (c < 0x12000 or c > 0x16000 or c in eight))
              and not 0x1F300 <= c < 0x1F5F0 and not 0x17000 <= c < 0x18B00]
    for path in paths:
        t, ours = reference(path), Ours(tool, path)
        texts = [x for c in points for x in (chr(c), 'a%c1' % c, ' %c%c\u0301' % (c, c), 'A %c.a' % c)]
        encoded = t.encode_batch(texts, add_special_tokens=False)
        for start in range(0, len(texts), 128):
            for i, (ids, _) in enumerate(ours.encode(texts[start:start + 128]), start):
                if ids != encoded[i].ids:
                    bad.setdefault(points[i // 4], set()).add(os.path.basename(path))
        ours.close()
    older, newer = sorted(c for c in bad if c in eight), sorted(c for c in bad if c not in eight)
    print(f'{len(points)} code points, {len(paths)} files: {len(older)} of Unicode 8 differ: {spans(older)}')
    print(f'{len(newer)} newer ones differ: {spans(newer)}')
    for c in older[:20]:
        print('  %04X %s' % (c, ' '.join(sorted(bad[c]))))
    return len(older)


def speed(tool, lines, paths):
    parts = open(lines, encoding='utf-8').read().rstrip('\n').split('\n')
    size = sum(len(p.encode()) + 1 for p in parts) / 1e6
    for path in paths:
        t, best, ours = reference(path), 0, 0
        for _ in range(3):
            start = time.perf_counter()
            t.encode_batch_fast(parts, add_special_tokens=False)
            best = max(best, size / (time.perf_counter() - start))
            ours = max(ours, json.loads(subprocess.run([tool, path, '--speed', lines, '1'], capture_output=True, check=True).stdout)['mb_s'])
        print(f'{os.path.basename(path)}: {ours:.1f} MB/s, reference {best:.1f} MB/s, {ours / best:.1f} times', flush=True)
    return 0


def main():
    os.environ['RAYON_NUM_THREADS'], os.environ['TOKENIZERS_PARALLELISM'] = '1', 'false'
    tool, what, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    if what == '--speed':
        return speed(tool, rest[0], rest[1:])
    return 1 if (sweep(tool, rest) if what == '--sweep' else fuzz(tool, int(what), rest)) else 0


if __name__ == '__main__':
    sys.exit(main())
