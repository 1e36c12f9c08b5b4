"""Corpus of fuzz_spm: small sentencepiece files made by hand, each with a text behind it and its length.
usage: make_spm.py corpus/spm   (the character map is that of tests/unit/spm/goldens/bpe.model)"""
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
goldens = os.path.join(here, '..', 'unit', 'spm', 'goldens')


def varint(n):
    return varint_more(n) if n > 127 else bytes([n])


def varint_more(n):
    return bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def score(x):
    import struct
    return varint(2 << 3 | 5) + struct.pack('<f', x)


def piece(text, s, kind=1):
    return field(1, field(1, text.encode()) + score(s) + field(3, kind))


def charsmap():
    data = open(os.path.join(goldens, 'bpe.model'), 'rb').read()
    at = data.index(b'user_defined') + len('user_defined')  # the normaliser's name, then its map
    assert data[at] == 0x12
    n, shift, at = 0, 0, at + 1
    while True:
        n, shift, at = n | (data[at] & 127) << shift, shift + 7, at + 1
        if data[at - 1] < 128:
            return data[at:at + n]


NORMAL = [piece('▁', -2), piece('a', -3), piece('b', -3.5), piece('▁a', -1), piece('ab', -1.5), piece('▁ab', -0.5), piece('é', -4), piece('bb', -6)]
HEAD = [piece('<unk>', 0, 2), piece('<s>', 0, 3), piece('</s>', 0, 3)]
BYTES = [piece('<0x%02X>' % i, 0, 6) for i in range(256)]
SYMBOLS = [piece('xy', 0, 4), piece('b▁a', 0, 4), piece('ba', -1, 5), piece('c', -1, 5)]


def save(out, name, pieces, trainer=b'', rest=b'', text='ab xy  aba b\u0301\u221e'):
    text = text.encode() if isinstance(text, str) else text
    with open(os.path.join(out, name), 'wb') as f:
        f.write(b''.join(pieces) + field(2, trainer) + rest + text + bytes([len(text)]))


def main(out):
    os.makedirs(out, exist_ok=True)
    plain = field(3, field(3, 0) + field(4, 0))
    for kind, name in ((1, 'unigram'), (2, 'bpe'), (3, 'word'), (4, 'char')):
        save(out, name, HEAD + NORMAL, field(3, kind))
        save(out, name + '-symbols', HEAD + NORMAL + SYMBOLS, field(3, kind), plain)
    save(out, 'unigram-bytes', HEAD + BYTES + NORMAL, field(3, 1) + field(35, 1))
    save(out, 'bpe-bytes', HEAD + BYTES + NORMAL + SYMBOLS, field(3, 2) + field(35, 1), plain)
    save(out, 'suffix', HEAD + NORMAL, field(24, 1) + field(44, b'?'))
    save(out, 'rules', HEAD + NORMAL, b'', field(3, field(2, charsmap())), 'abc e\u0301Q\ufdfa\t\r\n!')
    save(out, 'denormal', HEAD + NORMAL, b'', field(5, field(2, charsmap())), 'a!b')
    save(out, 'broken-text', HEAD + NORMAL, field(3, 2), plain, b'a\xff\xe2\x96b\xf0\x9f')
    save(out, 'empty', [])


if __name__ == '__main__':
    main(sys.argv[1])
