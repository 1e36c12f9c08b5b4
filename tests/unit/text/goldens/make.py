"""Goldens of the tokenizer, answered by PyPI tokenizers (0.23.3 made the files here).  usage: make.py FOLDER
Writes tokenizer-*.json, small tokenizers of our own (one a setting), and cases.jsonl: {file, text, ids}."""
import json, os, random, sys
from tokenizers import Tokenizer

out = sys.argv[1]
words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '<new>', 'Big', 'naive', 'na\u00efve', 'the', 'then', 'he', 'hello',
         'world', 'wor', 'un', 'able', '##able', '##ld', '##d', '##l', '##s', '##ing', '##\u00e9', 'caf', 'cafe', 'sing',
         '!', ',', '.', '#', '##', '-', '[', ']', '\u4e2d', '\u6587', '\u092e', '\u0438', '\u0439', '\u00df', 'i', '\u03c3', '\u03a3',
         'a', 'b', 'c', '##a', '##b', '##c', 'x', '##x', 'A', 'H', '\u00c9', '1', '##2', '\u1112', '##\u1161', '##\u11ab', '\ud55c', '\u302e', '##\u302f', '##\u302e']
vocab = {w: i for i, w in enumerate(words)}


def added(name, **flags):
    base = dict(id=vocab[name], content=name, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return dict(base, **flags)


SPECIALS = [added(w) for w in words[:4]]
EXTRA = [added('[MASK]', lstrip=True), added('<new>', rstrip=True, single_word=True), added('Big', normalized=True, special=False)]
PIECE = lambda kind, id: {kind: {'id': id, 'type_id': 0}}
TEMPLATE = {'type': 'TemplateProcessing', 'single': [PIECE('SpecialToken', '[CLS]'), PIECE('Sequence', 'A'), PIECE('SpecialToken', '[SEP]')],
            'pair': [PIECE('Sequence', 'A'), PIECE('Sequence', 'B')],
            'special_tokens': {w: {'id': w, 'ids': [vocab[w]], 'tokens': [w]} for w in ('[CLS]', '[SEP]')}}
BERT = {'type': 'BertProcessing', 'sep': ['[SEP]', vocab['[SEP]']], 'cls': ['[CLS]', vocab['[CLS]']]}


def tokenizer(name, normalizer, tokens, post, chars=100):
    content = {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': tokens, 'normalizer': normalizer,
               'pre_tokenizer': {'type': 'BertPreTokenizer'}, 'post_processor': post, 'decoder': None,
               'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##',
                         'max_input_chars_per_word': chars, 'vocab': vocab}}
    path = os.path.join(out, f'tokenizer-{name}.json')
    json.dump(content, open(path, 'w'), indent=None, separators=(',', ':'))
    return Tokenizer.from_file(path)


def norm(clean=True, cjk=True, strip=None, lower=True):
    return {'type': 'BertNormalizer', 'clean_text': clean, 'handle_chinese_chars': cjk, 'strip_accents': strip, 'lowercase': lower}


settings = {
    'uncased': tokenizer('uncased', norm(), SPECIALS + EXTRA, TEMPLATE),
    'cased': tokenizer('cased', norm(strip=False, lower=False), SPECIALS, BERT),
    'raw': tokenizer('raw', None, SPECIALS + EXTRA, None, chars=5),
    'dirty': tokenizer('dirty', norm(clean=False, cjk=False, strip=True, lower=False), SPECIALS, BERT),
    'accents': tokenizer('accents', norm(strip=False), SPECIALS + EXTRA, TEMPLATE),
}
pieces = words + [w.strip('#') for w in words] + [' ', '  ', '\t', '\n', '\r', '\x0b', '\x00', '\x1f', '\u0085', '\u200b', '\u00a0', '\u3000', '\ufffd',
                  '\u0301', '\u0300', '\u0327', '\u0308', '\u0130', '\u1e9e', '\u0345', 'E', '\u00e9', '\u0439', '\uf900', '\ud55c', '\u111f', '\U0001d160', '\u166d', '\U000111c9',
                  '\u1734', '\u061d', '\u0898', '\u08e2', '~', '$', '\u20ac', '\U0001F600', '\u302e', '\u302f', 'unable', 'helloworld', 'Singing', '#a', '##a']
random.seed(5)
texts = ['', ' ', 'hello world', 'The unable', '[CLS] a [SEP]', 'a[MASK]b', 'a  [MASK] b', '<new> a', 'a<new>b', 'a <new>  b', 'big Big BIG', 'x' * 100, 'x' * 101, 'xxxxx xxxxxx',
         'a' * 5000, 'a b ' * 1100, '\u302f\u302e' * 3000, 'a\u302f\u302e', '\u4e2d\u6587' * 10]
texts += [''.join(random.choice(pieces) for _ in range(random.randrange(1, 24))) for _ in range(90)]
with open(os.path.join(out, 'cases.jsonl'), 'w') as f:
    for name, tok in settings.items():
        for text in texts:
            if '\x00' not in text and not (len(text) > 1000 and name != 'uncased'):
                f.write(json.dumps({'file': f'tokenizer-{name}.json', 'text': text, 'ids': tok.encode(text).ids}, ensure_ascii=True) + '\n')
