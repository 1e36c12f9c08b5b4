#!/usr/bin/env bash
# same-bytes.sh RANKS_SCRIPT IMPORT_VERB: hostile files imported and exported on 1, 2, 3 and 7 ranks give the same
# bytes; the first bad row is reported at the same place.
set -u
ranks=$1 verb=$2 failed=0
run() { # run RANKS VERB ARGS...: output on a problem only
  local n=$1; shift
  "$ranks" "$n" "$verb" "$@" >out 2>err || { echo "$n ranks: $*: $(cat err)" >&2; return 1; }
}
same() { # same NAME FILES... -- IMPORT OPTIONS: datasets of all rank counts are equal
  local name=$1 files=() n; shift
  while [ "$1" != -- ]; do files+=("$1"); shift; done; shift
  for n in 1 2 3 7; do
    run $n import "${files[@]}" "$name-$n" "$@" || { failed=1; return; }
    if ! diff -r "$name-1" "$name-$n" >/dev/null; then
      echo "$name: the datasets of 1 and $n ranks differ" >&2; failed=1
    fi
  done
}
exported() { # exported NAME FILE OPTIONS: exports of all rank counts are equal
  local name=$1 file=$2 n; shift 2
  for n in 1 3 7; do
    run $n export "$name-1" "$n-$name-$file" "$@" || { failed=1; return; }
    cmp -s "1-$name-$file" "$n-$name-$file" || { echo "$name: $file of 1 and $n ranks differs" >&2; failed=1; }
  done
}
bad() { # bad PLACE FILE OPTIONS: the error names this place on any ranks
  local place=$1 file=$2 n; shift 2
  for n in 1 3; do
    if "$ranks" "$n" "$verb" import "$file" never "$@" >out 2>err; then
      echo "$file: no error on $n ranks" >&2; failed=1
    elif ! grep -q "^$file:$place" err; then
      echo "$file: $n ranks say $(cat err), not $place" >&2; failed=1
    fi
    if compgen -G "never*" >/dev/null; then echo "$file: something was left behind" >&2; failed=1; fi
  done
}

/usr/bin/python3 - <<'P'
import json, random, csv, gzip, io
random.seed(4)
words = ["a", "\n", "\"", ",", "\u00e9", "\U0001F600", "\r\n", " ", "word", "\t"]
text = lambda most=12: "".join(random.choice(words) for _ in range(random.randrange(most)))
rows = [{"id": i, "text": text(), "v": [random.gauss(0, 1) for _ in range(4)], "tags": list(range(random.randrange(4))),
         "o": random.choice([None, 1, {"a": text()}])} for i in range(400)]
rows[17]["text"] = "x" * 30000
with open("a.jsonl", "w") as f: f.write("".join(json.dumps(r) + random.choice(["\n", "\r\n", "\n\n"]) for r in rows))
with open("b.jsonl", "w") as f: f.write("\ufeff" + json.dumps(rows[0], ensure_ascii=False))
with open("tiny.jsonl", "w") as f: f.write('{"a":1}\n{"a":2}\n{"a":3}')
with open("late.jsonl", "w") as f:  # the columns are known at the end only
    for i in range(1500): f.write('{"a":%d,"b":%s}\n' % (i, "null" if i < 1200 else '"x"' if i != 1499 else "[1]"))
    f.write('{"a":1.5,"z":"new"}\n')
with open("a.csv", "w", newline="") as f:
    w = csv.writer(f); w.writerow(["id", "text", "more"])
    for r in rows: w.writerow([r["id"], r["text"].replace("\r\n", "\n"), text(4).replace("\r\n", "\n")])
data = open("a.csv", "rb").read()
open("bom.csv", "wb").write(b"\xef\xbb\xbfid,text,more\n" + b'1,"' + b"\n,\"\"" * 5000 + b'",y\n2,a,b')
gzip.open("z.csv.gz", "wb").write(data)
with open("a.txt", "wb") as f: f.write(b"\n\none\r\ntwo\n\n" + b"long" * 9000 + b"\nlast")
open("header.csv", "w").write("a,b\n")
open("empty.csv", "w"); open("empty.txt", "w")
with open("bad.jsonl", "w") as f:
    for i in range(300): f.write('{"a":%d}\n' % i if i not in (211, 290) else '{"a":x}\n')
with open("null.jsonl", "w") as f:
    for i in range(300): f.write('{"a":%s}\n' % (i if i not in (40, 290) else "null"))
with open("bad.csv", "w") as f:
    f.write("a,b\n" + '1,"x\ny"\n' * 100 + '2,un"quoted\n' + '3,"z\n"\n' * 100)
with open("open.csv", "w") as f: f.write("a,b\n" + '1,"x\ny"\n' * 100 + '2,"never\n' + "3,x\n" * 100)
with open("ragged.csv", "w") as f: f.write("a,b\n" + "1,2\n" * 70 + "1,2,3\n" + "4\n" * 9)
open("utf8.txt", "wb").write(b"fine\n" * 50 + b"not \xff fine\n" + b"fine\n" * 50)
P
[ -f a.jsonl ] || { echo "SKIP python peers: /usr/bin/python3 is needed to make the files" >&2; exit 77; }
same jsonl a.jsonl b.jsonl -- --shard-bytes 3000
same one_shard a.jsonl --
same tiny tiny.jsonl --
same late late.jsonl --
same csv a.csv -- --columns text,id:ints --shard-bytes 5000
same bom bom.csv a.csv z.csv.gz --
same lines a.txt a.txt --
same nothing header.csv empty.csv --
same no_lines empty.txt --
exported nothing a.jsonl
exported jsonl a.jsonl
exported jsonl a.csv
exported jsonl a.npy --columns v --rows 3:
exported lines a.txt
exported bom a.tsv.gz
for n in 1 3; do
  run $n import tiny.jsonl "grow-$n" && run $n append tiny.jsonl "grow-$n" --shard-bytes 10 || failed=1
done
diff -r grow-1 grow-3 || failed=1
bad 212:6: bad.jsonl
bad 41:6: null.jsonl
bad 202:5: bad.csv
bad 202:3: open.csv
bad 72:1: ragged.csv
bad 51:5: utf8.txt
exit $failed
