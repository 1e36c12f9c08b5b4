"""Goldens of sentencepiece and tokenizers (0.2.x and 0.23.3 made the files here).  usage: make.py FOLDER
Trains the small models of models.py into FOLDER and writes cases.jsonl: {file, text | hex | (nothing: ids alone), ids, back}."""
import json, os, random, sys
import differential, models

out = os.path.abspath(sys.argv[1])
models.main(out, False)
with open(os.path.join(out, 'cases.jsonl'), 'w') as f:
    for name in sorted(os.listdir(out)):
        if not name.endswith(('.model', '.json')):
            continue
        encode, decode, pieces, raw = differential.open_reference(os.path.join(out, name))
        r = random.Random("goldens " + name)
        cases = []
        while len(cases) < 24:
            text = differential.make(r, pieces, models.TEXT.split(), raw)
            if b'\x00' not in text and len(text) < 90 and not (not raw and differential.newer(text)):
                cases.append((text, encode(text)))
        cases += [(None, [r.randrange(len(pieces)) for _ in range(r.randrange(1, 8))]) for _ in range(6)]
        for text, ids in cases:
            line = {'file': name, 'ids': ids, 'back': decode(ids)}
            if text is not None:
                try:
                    line['text'] = text.decode()
                except UnicodeDecodeError:
                    line['hex'] = text.hex()
            f.write(json.dumps(line, ensure_ascii=False, separators=(',', ':')) + '\n')
