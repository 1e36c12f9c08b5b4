/* Weight files: model.safetensors, or the shards that model.safetensors.index.json names, mapped read-only.
 * Everything a header says is checked before a tensor is handed out: names, types, shapes and offsets agree
 * with each other and with the size of the file; tensors neither overlap nor leave gaps.
 *
 *   u64 LE   n, length of the header (at most 100 MB and within the file)
 *   n bytes  JSON object: "name": {"dtype", "shape", "data_offsets": [begin, end)}; "__metadata__" is skipped
 *   the rest tensor bytes, little endian, row-major; offsets count from here */
#ifndef ECH_MODEL_SAFETENSORS_H
#define ECH_MODEL_SAFETENSORS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ECH_TENSOR_DIMS = 8 };

enum ech_stype {
    ECH_ST_F32,
    ECH_ST_F16,
    ECH_ST_BF16, /* the three that are computed with; the others are typed and refused when used */
    ECH_ST_F64,
    ECH_ST_I64,
    ECH_ST_I32,
    ECH_ST_I16,
    ECH_ST_I8,
    ECH_ST_U64,
    ECH_ST_U32,
    ECH_ST_U16,
    ECH_ST_U8,
    ECH_ST_BOOL,
    ECH_ST_F8_E5M2,
    ECH_ST_F8_E4M3,
    ECH_STYPES
};
const char *ech_stype_name(enum ech_stype type);
size_t ech_stype_bytes(enum ech_stype type);

struct ech_tensor {
    char *name;
    enum ech_stype dtype;
    int dims;
    int64_t shape[ECH_TENSOR_DIMS];
    int64_t elements;
    const unsigned char *data; /* may be unaligned: read it through ech_tensor_to_f32 or memcpy */
    size_t bytes;
    int file; /* index of the file it lies in */
};

struct ech_weights;

/* Errors  ECH_NOINPUT: neither file is there; ECH_DATA: truncated (with the bytes expected and found) or
 *         lying; ECH_UNAVAILABLE: memory. */
int ech_weights_open(const char *folder, struct ech_weights **out, struct ech_err *err);
/* After tensors were read: ECH_IO where a file was lost under the reader (what was read then is zeros). */
int ech_weights_check(const struct ech_weights *weights, struct ech_err *err);
void ech_weights_close(struct ech_weights *weights);
/* NULL where the name is unknown. Borrowed. */
const struct ech_tensor *ech_weights_find(const struct ech_weights *weights, const char *name);
int64_t ech_weights_count(const struct ech_weights *weights);
const struct ech_tensor *ech_weights_at(const struct ech_weights *weights, int64_t i); /* sorted by name */
/* Files relative to the folder (the index first where there is one), NULL-terminated; path of a tensor's. */
const char *const *ech_weights_files(const struct ech_weights *weights);
const char *ech_weights_path(const struct ech_weights *weights, int file);

/* Read `count` elements from `first` as f32. ECH_DATA for a type that is not computed with. */
int ech_tensor_to_f32(const struct ech_tensor *tensor, int64_t first, int64_t count, float *out,
                      struct ech_err *err);
/* "[30522, 384]" */
const char *ech_shape_print(const int64_t *shape, int dims, char *out, size_t bytes);

/* Check a header alone (fuzzing): `data` is the file's content. */
int ech_safetensors_check(const char *name, const void *data, size_t bytes, struct ech_err *err);

#endif
