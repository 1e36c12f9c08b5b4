"""differential.py VERB: imports and exports against Python's csv and json modules and numpy, on generated and on
damaged files. Datasets are read with h5py. VERB: tests/mpi/import/verb.c as a program."""
import csv, gzip, io, json, math, os, random, re, shutil, struct, subprocess, sys

try:
    import h5py, numpy
except ImportError as missing:
    print(f"SKIP python peers: {missing}", file=sys.stderr)
    sys.exit(77)

VERB = sys.argv[1]
random.seed(11)
failures = 0


def check(good, what):
    global failures
    if not good:
        failures += 1
        print("differs:", what, file=sys.stderr)


def verb(*args):
    done = subprocess.run([VERB, "--self", *args], capture_output=True, text=True, errors="replace")
    if done.returncode not in (0, 64, 65, 66, 73, 78):
        check(False, f"{args}: status {done.returncode}: {done.stderr[-2000:]}")
    return done.returncode, done.stderr


def write(name, data):
    with open(name, "wb") as f:
        f.write(data)


def read(folder):
    """{column: list of rows} of a dataset; json stays bytes like text."""
    columns = {}
    for shard in sorted(f for f in os.listdir(folder) if f.startswith("shard-")):
        with h5py.File(os.path.join(folder, shard), "r") as f:
            for name, group in f["columns"].items():
                rows = columns.setdefault(name, [])
                main = group["values"] if "values" in group else group["bytes"]
                if "offsets" not in group:
                    rows.extend(main[:])
                    continue
                all_bytes, at = main[:], group["offsets"][:]
                rows.extend(all_bytes[int(a):int(b)] for a, b in zip(at, at[1:]))
    return columns


def texts(rows):
    return [bytes(r).decode("utf-8", "surrogatepass") for r in rows]


def imported(name, *options):
    shutil.rmtree("ds", ignore_errors=True)
    code, text = verb("import", name, "ds", *options)
    return read("ds") if code == 0 else None, text


# ---- CSV ----
WORDS = ["a", "", "two words", ",", "\"", "\n", "\r\n", "\u00e9\u4e2d", "\U0001F600", ";", "\t", "'", " x ", "\"\""]


def cell():
    return "".join(random.choice(WORDS) for _ in range(random.randrange(4)))


def csv_file(rows, **options):
    out = io.StringIO(newline="")
    csv.writer(out, **options).writerows(rows)
    return out.getvalue().encode()


def csv_rows(data, delimiter):
    """What Python's strict reader makes of it; None where it refuses."""
    try:
        text = data.decode("utf-8-sig")
        rows = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if r]
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows


def test_csv():
    csv.field_size_limit(1 << 30)
    for round in range(24):
        delimiter, end = random.choice(",;\t|"), random.choice(["\n", "\r\n"])
        quoting = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        width = random.randrange(1, 5)
        rows = [[f"name{c}" for c in range(width)]]
        rows += [[cell() for _ in range(width)] for _ in range(random.randrange(0, 40))]
        data = csv_file(rows, delimiter=delimiter, lineterminator=end, quoting=quoting)
        data = random.choice([b"", b"\xef\xbb\xbf"]) + data
        if round % 3 == 0:
            data = data.rstrip(b"\r\n")
        write("t.csv", data)
        got, text = imported("t.csv", "--delimiter", delimiter)
        wanted = csv_rows(data, delimiter)
        columns = got and [texts(got[n]) for n in rows[0]]
        check(got is not None and [list(r) for r in zip(*columns)] == wanted[1:], f"csv {round}: {text}")
        # a damaged file: refused, or read as Python's reader does
        for _ in range(3):
            broken = bytearray(data)
            for _ in range(random.randrange(1, 4)):
                at = random.randrange(len(broken))
                broken[at:at + random.randrange(2)] = random.choice([b'"', b"\n", b"\r", b",", b"", b"\xff", b'""'])
            write("d.csv", bytes(broken))
            got, text = imported("d.csv", "--delimiter", delimiter, "--no-header")
            wanted = csv_rows(bytes(broken), delimiter)
            if got is not None and wanted is not None:
                columns = [texts(got[f"c{c}"]) for c in range(len(got))]
                check([list(r) for r in zip(*columns)] == wanted, f"damaged csv: {bytes(broken)!r}")
            check(got is not None or re.match(r"d\.csv:\d+:\d+: ", text), f"no place: {text}")


# ---- JSON Lines ----
def same_numbers(got, wanted, dtype):
    wanted = numpy.array(wanted, dtype=numpy.float64).astype(dtype)
    return numpy.array(got, dtype=dtype).tobytes() == wanted.tobytes()


def number():
    return random.choice([random.gauss(0, 1), random.uniform(-1e6, 1e6), 10.0 ** random.randrange(-30, 30), 0.1, -0.0])


def value(depth=0):
    leaves = [lambda: None, lambda: True, lambda: random.randrange(-10**20, 10**20), number, cell, dict]
    branches = [lambda: {cell(): value(depth + 1)}, lambda: [value(depth + 1) for _ in range(random.randrange(3))]]
    return random.choice(leaves + branches if depth < 3 else leaves)()


def test_jsonl():
    for round in range(24):
        dim = random.randrange(1, 6)
        rows = [{"text": random.choice([cell(), None]), "int": random.randrange(-2**63, 2**63), "flag": random.random() < 0.5,
                 "real": number(), "vector": [number() for _ in range(dim)], "mixed": random.choice([1, 2.5]),
                 "pair": [random.randrange(9), -5], "ragged": list(range(random.randrange(4))), "any": value()}
                for _ in range(random.randrange(5, 40))]
        rows[0]["mixed"], rows[1]["mixed"], rows[0]["ragged"], rows[1]["ragged"] = 1, 0.5, [1], [1, 2]
        rows[0]["any"], rows[1]["any"] = 1, "x"
        options = {"ensure_ascii": random.random() < 0.5, "separators": random.choice([(",", ":"), (", ", ": "), (" , ", " : ")])}
        data = "".join(json.dumps(r, **options) + random.choice(["\n", "\r\n", "\n \n"]) for r in rows).encode()
        write("t.jsonl", data)
        got, text = imported("t.jsonl")
        check(got is not None, f"jsonl {round}: {text}")
        if got is None:
            continue
        column = lambda name: [r[name] for r in rows]
        check(texts(got["text"]) == [t or "" for t in column("text")], "text")
        check([int(v) for v in numpy.ravel(got["int"])] == column("int"), "int")
        check([bool(v) for v in numpy.ravel(got["flag"])] == column("flag"), "flag")
        check(same_numbers(numpy.ravel(got["real"]), column("real"), numpy.float32), "real")
        check(same_numbers(numpy.ravel(got["mixed"]), column("mixed"), numpy.float32), "mixed")
        check(same_numbers(got["vector"], column("vector"), numpy.float32), "vector")
        check([list(map(int, v)) for v in got["pair"]] == column("pair"), "pair")
        check([list(map(int, v)) for v in got["ragged"]] == column("ragged"), "ragged")
        check([json.loads(t) for t in texts(got["any"])] == column("any"), "any")
        round_trip(["jsonl", "csv"][round % 2])
        damage(data)


def round_trip(kind):
    """Export, import with the same types: the same shards."""
    code, text = verb("export", "ds", "again." + kind, "--replace")
    check(code == 0, f"export: {text}")
    types = ("text:text,int:ints[1],flag:ints[1],real:f32,vector:f32,mixed:f32,pair:ints[2],ragged:ints[],any:json")
    shutil.rmtree("ds2", ignore_errors=True)
    code, text = verb("import", "again." + kind, "ds2", "--columns", types)
    same = code == 0 and open("ds/shard-00000.h5", "rb").read() == open("ds2/shard-00000.h5", "rb").read()
    check(same, f"{kind} does not come back: {text}")


def damage(data):
    """A damaged file: where one module finds bad JSON, so does the other, on the same line."""
    broken = bytearray(data)
    at = random.randrange(len(broken))
    broken[at:at + random.randrange(3)] = random.choice([b'"', b"{", b"]", b",", b"\\", b"0", b"\x01", b"-", b"."])
    write("d.jsonl", bytes(broken))
    got, text = imported("d.jsonl", "--invalid-utf8", "keep", "--columns", "text:json")
    for n, line in enumerate(bytes(broken).decode("utf-8", "replace").split("\n"), 1):
        if not line.strip(" \t\r"):
            continue
        try:
            good = isinstance(json.loads(line), dict)
        except ValueError:
            good = False
        if not good:
            check(got is None and text.startswith(f"d.jsonl:{n}:"), f"line {n} of {bytes(broken)!r}: {text}")
            return
    check(got is not None or "twice" in text or "no row" in text, f"refused: {bytes(broken)!r}: {text}")


# ---- .npy and lines ----
def test_npy():
    for dtype in ["<f2", "<f4", "<f8", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "?"]:
        for shape in [(0,), (7,), (5, 3), (1, 1), (0, 4)]:
            array = (numpy.random.default_rng(1).standard_normal(shape) * 100).astype(dtype)
            with open("t.npy", "wb") as f:
                numpy.lib.format.write_array(f, array, version=random.choice([(1, 0), (2, 0), (3, 0)]))
            name = "t.npy"
            if random.random() < 0.3:
                name = "t.npy.gz"
                write(name, gzip.compress(open("t.npy", "rb").read()))
            if dtype == "<u8" and (array > numpy.uint64(2**63 - 1)).any():
                check(imported(name)[0] is None, "u8 beyond int64")
                continue
            got, text = imported(name)
            check(got is not None, f"npy {dtype} {shape}: {text}")
            if got is None:
                continue
            wide = array if array.dtype.kind == "f" else array.astype("<i8")
            back = numpy.array(got.get("values", []), dtype=wide.dtype)
            check(back.tobytes() == wide.tobytes(), f"npy {dtype} {shape}")
            check(verb("export", "ds", "back.npy", "--replace")[0] == 0, "npy export")
            there = numpy.load("back.npy")
            check(there.dtype == wide.dtype and there.tobytes() == wide.tobytes(), f"npy back {dtype} {shape}")
    for bad in [numpy.zeros((2, 2), ">f4"), numpy.asfortranarray(numpy.zeros((3, 2), "<f4")), numpy.zeros((2, 2), "<c8"),
                numpy.array("x"), numpy.zeros((2, 2, 2), "<f4"), numpy.array([{}], dtype=object)]:
        numpy.save("bad.npy", bad, allow_pickle=True)
        got, text = imported("bad.npy")
        check(got is None and text.startswith("bad.npy: "), f"bad npy {bad.dtype}: {text}")


def test_lines():
    for round in range(10):
        pieces = [random.choice(["a", "\u00e9", "", "b\rc", " "]) + random.choice(["\n", "\r\n", ""]) for _ in range(30)]
        data = "".join(pieces).encode()
        write("t.txt", data)
        got, text = imported("t.txt")
        wanted = data.decode().split("\n")
        wanted = [w[:-1] if w.endswith("\r") else w for w in (wanted[:-1] if wanted[-1] == "" else wanted)]
        check(got is not None and texts(got.get("text", [])) == wanted, f"lines {data!r}: {text}")


def peak(*args):
    """Peak memory of a verb in MiB."""
    environment = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=1:" + os.environ.get("ASAN_OPTIONS", ""))
    child = subprocess.Popen([VERB, "--self", *args], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    check(status == 0, f"{args}: status {status}")
    return usage.ru_maxrss / 1024


def test_memory():
    """Memory does not grow with the file."""
    line = json.dumps({"id": 7, "text": "some words " * 20, "v": [0.5] * 8}) + "\n"
    for n in (2000, 80000):
        write(f"m{n}.jsonl", line.encode() * n)
    for packed in (False, True):
        name = lambda n: f"m{n}.jsonl" + (".gz" if packed else "")
        for n in (2000, 80000):
            if packed:
                write(name(n), gzip.compress(open(f"m{n}.jsonl", "rb").read(), 1))
        small, large = (peak("import", name(n), f"memory-{packed}-{n}") for n in (2000, 80000))
        check(large < small + 12, f"import of 26 MB: {large:.0f} MiB, of 650 kB: {small:.0f} MiB")
    small, large = (peak("export", f"memory-False-{n}", f"{n}.csv") for n in (2000, 80000))
    check(large < small + 12, f"export of 26 MB: {large:.0f} MiB, of 650 kB: {small:.0f} MiB")


def test_three_lines():
    """The three lines of h5py that the README shows."""
    write("t.jsonl", b'{"text":"one"}\n{"text":"two"}\n')
    imported("t.jsonl")
    f = h5py.File("ds/shard-00000.h5")
    at = f["columns/text/offsets"][:]
    rows = [bytes(f["columns/text/bytes"][at[i]:at[i + 1]]).decode() for i in range(len(at) - 1)]
    check(rows == ["one", "two"], f"three lines: {rows}")


for test in [test_three_lines, test_csv, test_jsonl, test_npy, test_lines, test_memory]:
    before = failures
    test()
    print(f"{test.__name__}: {'good' if failures == before else 'FAILED'}")
sys.exit(1 if failures else 0)
