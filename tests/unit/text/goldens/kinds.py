"""tokenizer.json files of every kind of component, trained on a small text of our own (PyPI tokenizers; 0.23.3 made the files here).
usage: kinds.py FOLDER [--answers]: writes kind-*.json; --answers: also kinds.txt, a line for each file: its name and a checksum
for each line of texts.jsonl (written, too), of the ids and of the text that they decode to; and pairs.jsonl, two texts in one row."""
import json, os, random, sys
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, processors as Q, trainers as T

TEXT = '''the quick brown fox jumps over the lazy dog and runs away from the old farm; it's what they'd said, I'll see that you've DON'T
a translation is never the same text twice, and a Tokenizer must not be the reason: HTTPServer, camelCase, snake_case
o rapaz comeu a maçã e não disse nada à mãe, que já estava à espera dele em São João
die Straße führt über den Fluss; größere Häuser stehen dort, wo früher Wiesen waren
le cœur a ses raisons que la raison ne connaît point: où est-il, où étaient-ils?
наша река течёт на юг, а ветер дует на север; всё это знают даже дети
το ποτάμι κυλάει προς τη θάλασσα και ο άνεμος φυσάει από το βουνό
今日は天気がいいから、川まで歩いて行きましょう。明日は雨が降るでしょう。
河水向南流去，风从北方吹来。孩子们都知道这件事情。
النهر يجري نحو البحر والريح تهب من الجبل
नदी दक्षिण की ओर बहती है और हवा उत्तर से आती है
int main(void) {\n    for (int i = 0; i < 10; i++)\n        printf("%d\\n", x[i] * 2.5e-3);\n\treturn 0;\n}\r\n
1234567890 3.14159 2,718 10% $5 #hash @name user@example.org https://example.org/a/b?c=d&e=f
😀 🎉 🦙 are symbols, as are € £ ¥ and ½ ¼ ² ³ ™ ©'''
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
MODERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
LETTERS = sorted(P.ByteLevel.alphabet())


def split(pattern, behavior='isolated', invert=False):
    return P.Split(Regex(pattern), behavior, invert)


def byte_level(regex=False, prefix=False):
    return P.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def make(out, name, model, trainer, norm=None, pre=None, post=None, back=None, tokens=(), change=None):
    """Train, then write the file; `change` may edit what is written."""
    t = Tokenizer(model)
    if norm:
        t.normalizer = norm
    if pre:
        t.pre_tokenizer = pre
    if trainer:
        t.train_from_iterator(TEXT.split('\n') * 3, trainer)
    if post:
        t.post_processor = post(t)
    if back:
        t.decoder = back
    for token in tokens:
        (t.add_special_tokens if token.special else t.add_tokens)([token])
    content = json.loads(t.to_str())
    if change:
        change(content)
    with open(os.path.join(out, f'kind-{name}.json'), 'w') as f:
        json.dump(content, f, ensure_ascii=False, separators=(',', ':'))


def bytes_trainer(size=440, **more):
    return T.BpeTrainer(vocab_size=size, initial_alphabet=LETTERS, show_progress=False, **dict(dict(special_tokens=['<|endoftext|>', '<s>', '</s>']), **more))


def template(single, pair, names):
    return lambda t: Q.TemplateProcessing(single=single, pair=pair, special_tokens=[(n, t.token_to_id(n)) for n in names])


def no_merge(content):
    """A word that the vocabulary has and that no merges lead to."""
    content['model']['ignore_merges'] = True
    content['model']['merges'] = [m for m in content['model']['merges'] if ''.join(m) not in ('Ġthe', 'is')]


def byte_tokens():
    return ['<unk>', '<s>', '</s>'] + ['<0x%02X>' % i for i in range(256)]


def byte_level_kinds(out):
    special = AddedToken('<|im_start|>', special=True, normalized=False)
    odd = [special, AddedToken('<mask>', lstrip=True, special=True, normalized=False), AddedToken('word', single_word=True, normalized=False),
           AddedToken('<r>', rstrip=True, normalized=False), AddedToken('ing ', normalized=False), AddedToken('é', normalized=True)]
    make(out, 'gpt2', M.BPE(), bytes_trainer(), None, byte_level(True), lambda t: Q.ByteLevel(trim_offsets=False), D.ByteLevel(), odd)
    make(out, 'roberta', M.BPE(unk_token='<unk>'), bytes_trainer(special_tokens=['<s>', '<pad>', '</s>', '<unk>']), None, byte_level(True, True),
         lambda t: Q.RobertaProcessing(('</s>', 2), ('<s>', 0)), D.ByteLevel(), odd[1:3])
    make(out, 'llama3', M.BPE(ignore_merges=True), bytes_trainer(), None, P.Sequence([split(MODERN % r'\p{N}{1,3}'), byte_level()]),
         lambda t: Q.Sequence([Q.ByteLevel(), template('<s> $A', '<s> $A <s>:1 $B:1', ['<s>'])(t)]), D.ByteLevel(), [special], no_merge)
    make(out, 'qwen2', M.BPE(), bytes_trainer(), N.NFC(), P.Sequence([split(MODERN % r'\p{N}'), byte_level()]), None, D.ByteLevel(), odd[:1] + odd[3:])
    make(out, 'o200k', M.BPE(), bytes_trainer(), None, P.Sequence([split(O200K), byte_level()]), None, D.ByteLevel(), [special])
    make(out, 'deepseek3', M.BPE(), bytes_trainer(), N.Sequence([]), P.Sequence([split(r'\p{N}{1,3}'), split('[一-龥぀-ゟ゠-ヿ]+'), split(DEEPSEEK3), byte_level()]),
         None, D.ByteLevel(), [special])
    make(out, 'deepseek-coder', M.BPE(), bytes_trainer(), N.Sequence([]),
         P.Sequence([split('[\r\n]'), split(r'\s?\p{L}+'), split(r'\s?\p{P}+'), split('[一-龥ࠀ-一가-퟿]+'), P.Digits(True), byte_level()]), None, D.ByteLevel())
    make(out, 'falcon', M.BPE(), bytes_trainer(), None, P.Sequence([P.Punctuation('contiguous'), byte_level(True), P.Digits(False), split('[0-9][0-9][0-9]')]), None, D.ByteLevel())
    make(out, 'starcoder', M.BPE(), bytes_trainer(), None, P.Sequence([P.Digits(True), byte_level(True)]), None, D.ByteLevel(), odd[:2])
    make(out, 'clip', M.BPE(unk_token='<|endoftext|>', end_of_word_suffix='</w>', continuing_subword_prefix=''), bytes_trainer(500, end_of_word_suffix='</w>'),
         N.Sequence([N.NFC(), N.Replace(Regex(r'\s+'), ' '), N.Lowercase()]), P.Sequence([split(CLIP, 'removed', True), byte_level()]),
         lambda t: Q.RobertaProcessing(('</s>', 2), ('<s>', 1), add_prefix_space=False, trim_offsets=False), D.ByteLevel())
    make(out, 'bytes-first', M.BPE(unk_token='<s>'), T.BpeTrainer(vocab_size=380, initial_alphabet=LETTERS[:-30], show_progress=False, special_tokens=['<s>']),
         N.Sequence([N.NFD(), N.ByteLevel()]), split('Ġ', 'merged_with_next'), None, D.ByteLevel())
    make(out, 'part-bytes', M.BPE(unk_token='<s>'), T.BpeTrainer(vocab_size=330, initial_alphabet=[], limit_alphabet=70, show_progress=False, special_tokens=['<s>']),
         None, byte_level(True), None, D.ByteLevel())


def character_kinds(out):
    fallback = lambda **more: M.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True, **more)
    trainer = lambda size, tokens, **more: T.BpeTrainer(vocab_size=size, special_tokens=tokens, show_progress=False, limit_alphabet=90, **more)
    back = D.Sequence([D.Replace('▁', ' '), D.ByteFallback(), D.Fuse(), D.Strip(' ', 1, 0)])
    make(out, 'llama2', fallback(), trainer(500, byte_tokens()), N.Sequence([N.Prepend('▁'), N.Replace(' ', '▁')]), None,
         template('<s> $A', '<s> $A <s> $B:1', ['<s>']), back, [AddedToken('<s>', special=True, normalized=False), AddedToken('</s>', special=True, normalized=False)])
    make(out, 'gemma', fallback(), trainer(500, byte_tokens()), N.Replace(' ', '▁'), P.Split(' ', 'merged_with_previous'), None,
         D.Sequence([D.Replace('▁', ' '), D.ByteFallback(), D.Fuse()]), [AddedToken('\n\n', normalized=False), AddedToken('▁▁', normalized=False)])
    make(out, 'half-bytes', fallback(), trainer(360, byte_tokens()[:200]), N.NFKC(), P.Metaspace(prepend_scheme='first'), None, D.Metaspace(prepend_scheme='first'),
         [AddedToken('<x>', normalized=True)])
    make(out, 'metaspace', M.BPE(unk_token='<unk>'), trainer(300, ['<unk>']), None, P.Metaspace(prepend_scheme='always', split=False), None, D.Metaspace())
    make(out, 'fused', M.BPE(unk_token='<unk>', fuse_unk=True), trainer(300, ['<unk>']), N.Sequence([N.Strip(), N.NFKD(), N.StripAccents()]), P.WhitespaceSplit(), None,
         D.BPEDecoder('</w>'), [AddedToken('dog', single_word=True)])
    make(out, 'gpt', M.BPE(unk_token='<unk>', end_of_word_suffix='</w>'), trainer(400, ['<unk>'], end_of_word_suffix='</w>'), N.BertNormalizer(), P.BertPreTokenizer(), None,
         D.BPEDecoder('</w>'))
    make(out, 'prefix', M.BPE(unk_token='<unk>', continuing_subword_prefix='##'), trainer(400, ['<unk>'], continuing_subword_prefix='##'), N.Lowercase(), P.Whitespace(), None,
         D.WordPiece())
    make(out, 'nothing-known', M.BPE(), trainer(200, []), N.Sequence([N.Nmt(), N.Strip(True, False), N.Replace('a', '')]), P.Sequence([P.CharDelimiterSplit('e'), P.FixedLength(7)]))


def word_kinds(out):
    bert = lambda t: Q.BertProcessing(('[SEP]', t.token_to_id('[SEP]')), ('[CLS]', t.token_to_id('[CLS]')))
    words = T.WordLevelTrainer(vocab_size=200, special_tokens=['[UNK]', '[CLS]', '[SEP]'], show_progress=False)
    pieces = lambda: T.WordPieceTrainer(vocab_size=400, special_tokens=['[UNK]', '[CLS]', '[SEP]', '[MASK]'], show_progress=False)
    make(out, 'wordlevel', M.WordLevel(unk_token='[UNK]'), words, N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents()]), P.Whitespace(), bert, None,
         [AddedToken('the', normalized=True, single_word=True)])
    make(out, 'bert', M.WordPiece(unk_token='[UNK]'), pieces(), N.BertNormalizer(), P.BertPreTokenizer(), template('[CLS] $A [SEP]', '[CLS] $A [SEP] $B:1 [SEP]:1', ['[CLS]', '[SEP]']),
         D.WordPiece(), [AddedToken('[MASK]', special=True, lstrip=True, normalized=False)])
    make(out, 'pieces-odd', M.WordPiece(unk_token='[UNK]', max_input_chars_per_word=12), pieces(), N.Sequence([N.NFKC(), N.Strip(False, True), N.Replace(Regex('[aeiou]{2}'), '-')]),
         P.Sequence([P.WhitespaceSplit(), P.Punctuation('merged_with_previous'), P.Digits(False)]), None, D.WordPiece(cleanup=False))
    make(out, 'behaviors', M.WordPiece(unk_token='[UNK]'), pieces(), None,
         P.Sequence([split(r'[aei]', 'merged_with_next'), split(r'\d+|\s', 'removed'), split('o', 'contiguous', True), P.Split('n', 'merged_with_previous')]), None,
         D.Sequence([D.WordPiece(), D.Replace(Regex('[aeiou]'), '*')]))
    make(out, 'ctc', M.WordLevel({c: i for i, c in enumerate(['<pad>', '<s>', '</s>', '<unk>', '|'] + list("etaoinshrdlumwcfgypbvk'xjqz"))}, unk_token='<unk>'), None,
         N.Sequence([N.Replace(' ', '|'), N.Lowercase()]), split('', 'isolated'), None, D.CTC('<pad>', '|', True))


PARTS = ['', ' ', '  ', '   ', '\t', '\n', '\n\n', '\r\n', '\r', '\x01', '\x0b', '\x7f', '\u0085', '\u00a0', '\u00ad', '\u1680', '\u180e', '\u2028', '\u3000', '\u200b', '\u200d',
         '\ufeff', '\ufffd', '\u0301', '\u0308', '\u0327', '\u0345', '\u302e', '\ufe0f', '▁', '▁▁', 'Ġ', '<s>', '</s>', '<|endoftext|>', '<|im_start|>', '<mask>', ' <mask> ', '<r>  ',
         '<x>', '[MASK]', '[SEP]', '<0x41>', "'s", "'S", "'ſ", "'ll", "'LL", "'Re", "'d", "'", "''", 'é', 'e\u0301', 'ß', 'İ', 'ı', 'Σ', 'ς', 'ǅ', 'ﬁ', '㎞', 'Ａ', '½', '²', '٣', '१', 'Ⅷ',
         '1', '12', '123', '1234', '3.14', '한국', '\u1112\u1161\u11ab', '一', '龥', '龦', 'の', 'ー', 'は', '、', '。', '🦙', '👨\u200d👩\u200d👧', '🇵🇹', 'क्षि', 'ก็', '$', '%', '...', '!?', '##',
         '_', '-', '—', '/', '`', '^', '~', '+', '\U0001d400', '\ud7ff', '\ue000', '\U0010ffff', 'word', 'words', 'dog', 'the', 'ing ', 'Ing', 'ABC', 'aBc', 'xAbC', 'É']


def texts(count):
    r, words = random.Random(8), TEXT.split(' ')
    kinds = [lambda: r.choice(PARTS), lambda: r.choice(words), lambda: ' ' + r.choice(words), lambda: r.choice(words)[:3]]
    made = ['', ' ', 'Hello world', 'a' * 300, ' ' * 50 + 'x', '\n' * 40, 'ab' * 100, 'é' * 90, '1' * 50] + TEXT.split('\n')
    while len(made) < count:
        made.append(''.join(r.choice(kinds)() for _ in range(r.choice((1, 2, 3, 5, 8, 13, 30)))))
    return made


def checksum(ids, text):
    """FNV-1a of 32 bits over the ids (four bytes each, little end first) and the text."""
    h = 2166136261
    for byte in b''.join(i.to_bytes(4, 'little') for i in ids) + text.encode():
        h = (h ^ byte) * 16777619 & 0xffffffff
    return h


def answers(out):
    lines = texts(160)
    with open(os.path.join(out, 'texts.jsonl'), 'w') as f:
        f.writelines(json.dumps(t) + '\n' for t in lines)
    with open(os.path.join(out, 'kinds.txt'), 'w') as f:
        for name in sorted(n for n in os.listdir(out) if n.startswith('kind-') and n.endswith('.json')):
            t = Tokenizer.from_file(os.path.join(out, name))
            sums = []
            for line in lines:
                ids = t.encode(line).ids
                sums.append('%08x' % checksum(ids, t.decode(ids, skip_special_tokens=False)))
            f.write(name + ' ' + ' '.join(sums) + '\n')
    pairs(out)


def pairs(out):
    r, words = random.Random(9), TEXT.split()
    with open(os.path.join(out, 'pairs.jsonl'), 'w') as f:
        for name in ('roberta', 'llama3', 'bert', 'gpt2', 'llama2', 'wordlevel'):
            t = Tokenizer.from_file(os.path.join(out, f'kind-{name}.json'))
            for _ in range(20):
                a, b = (' '.join(r.choice(words) for _ in range(r.randrange(12))) for _ in range(2))
                most = r.choice((6, 7, 12, 21, 40, 1000))
                t.enable_truncation(most, strategy='longest_first')
                e = t.encode(a, b)
                f.write(json.dumps({'file': f'kind-{name}.json', 'first': a, 'second': b, 'most': most, 'ids': e.ids, 'types': e.type_ids}) + '\n')


if __name__ == '__main__':
    for make_kinds in (byte_level_kinds, character_kinds, word_kinds):
        make_kinds(sys.argv[1])
    if '--answers' in sys.argv:
        answers(sys.argv[1])
