"""read_sealed.py DATASET ROWS: a sealed dataset of the test columns, read by h5py, against the rule of blocks.h."""
import glob
import sys

import h5py
import numpy as np

folder, rows = sys.argv[1], int(sys.argv[2])
row = 0
for path in sorted(glob.glob(folder + "/shard-*.h5")):
    columns = h5py.File(path, "r")["columns"]
    vec, pair = columns["vec/values"][:], columns["pair/values"][:]
    words, words_at = columns["words/bytes"][:].tobytes(), columns["words/offsets"][:]
    ids, ids_at = columns["ids/values"][:], columns["ids/offsets"][:]
    assert vec.dtype == np.float32 and ids.dtype == np.int64 and pair.dtype == np.int64
    for i in range(len(vec)):
        assert vec[i].tolist() == [row, row / 2, -1], (path, row)
        assert pair[i].tolist() == [3 * row, -row - 1], (path, row)
        text = "".join(chr(ord("a") + (row + k) % 26) for k in range(row * 7 % 13))
        assert words[words_at[i]:words_at[i + 1]].decode() == text, (path, row)
        assert ids[ids_at[i]:ids_at[i + 1]].tolist() == [row, -row, row * row][:row % 4], (path, row)
        row += 1
assert row == rows, (row, rows)
