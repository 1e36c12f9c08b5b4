"""Vectors in .npy files compared, and Spearman's rank correlation: the standard library alone, so that it runs
wherever a test does."""
import array
import ast
import math
import operator


def read(path):
    """The rows of a two-dimensional float32 .npy file in C order, each an array."""
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("%s: not a .npy file" % path)
        major = file.read(2)[0]
        about = ast.literal_eval(file.read(int.from_bytes(file.read(2 if major == 1 else 4), "little")).decode())
        if about["descr"] != "<f4" or about["fortran_order"] or len(about["shape"]) != 2:
            raise ValueError("%s: %s, expected rows of float32" % (path, about))
        rows, width = about["shape"]
        values = array.array("f")
        values.fromfile(file, rows * width)
    return [values[i * width: (i + 1) * width] for i in range(rows)]


def dot(a, b):
    return sum(map(operator.mul, a, b))


def cosine(a, b):
    """Of a row of zeros: 0; a NaN stays one."""
    lengths = math.sqrt(dot(a, a) * dot(b, b))
    return dot(a, b) / lengths if lengths != 0 else 0.0


def distance(a, b):
    """{mean, min} cosine of the rows of a and b, {max_abs} difference; whatever is no number makes all NaN."""
    if len(a) != len(b) or not a:
        raise ValueError("%d rows beside %d" % (len(a), len(b)))
    cosines = [cosine(x, y) for x, y in zip(a, b)]
    if not all(map(math.isfinite, cosines)):
        return {"mean": math.nan, "min": math.nan, "max_abs": math.nan}
    return {"mean": math.fsum(cosines) / len(cosines), "min": min(cosines),
            "max_abs": max(abs(p - q) for x, y in zip(a, b) for p, q in zip(x, y))}


def ranks(values):
    """From 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for i in order[start:end]:
            out[i] = (start + 1 + end) / 2
        start = end
    return out


def spearman(a, b):
    if not all(map(math.isfinite, a)):
        return math.nan
    x, y = ranks(a), ranks(b)
    middle = (len(x) + 1) / 2
    x, y = [v - middle for v in x], [v - middle for v in y]
    return dot(x, y) / math.sqrt(dot(x, x) * dot(y, y))
