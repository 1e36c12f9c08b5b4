/* GGUF, versions 2 and 3, little endian: the header parsed and checked against the file's size.
 *
 *   "GGUF", u32 version, u64 tensors, u64 pairs
 *   pairs    string key, u32 type, value; a string is u64 bytes + the bytes; an array is u32 type, u64 count,
 *            values (arrays within arrays: at most ARRAYS_MOST deep)
 *   tensors  string name, u32 dimensions, u64 each (innermost first), u32 type, u64 offset
 *   data     from the next multiple of general.alignment (32); offsets count from there, tensors do not
 * overlap
 *
 * Nothing is copied but the table of pairs; strings and values lie in the file's bytes. */
#ifndef ECH_MODEL_GGUF_H
#define ECH_MODEL_GGUF_H

#include "model/tensor_list.h"

enum ech_gguf_type {
    ECH_GGUF_U8,
    ECH_GGUF_I8,
    ECH_GGUF_U16,
    ECH_GGUF_I16,
    ECH_GGUF_U32,
    ECH_GGUF_I32,
    ECH_GGUF_F32,
    ECH_GGUF_BOOL,
    ECH_GGUF_STRING,
    ECH_GGUF_ARRAY,
    ECH_GGUF_U64,
    ECH_GGUF_I64,
    ECH_GGUF_F64,
    ECH_GGUF_TYPES
};

struct ech_gguf_value {
    const char *key; /* not terminated */
    size_t key_bytes;
    enum ech_gguf_type type;   /* of an array's elements where `array` */
    bool array;                /* one level; an array of arrays has type ECH_GGUF_ARRAY and is not read */
    uint64_t count;            /* elements; a string's bytes; 1 */
    const unsigned char *data; /* first element; a string's text */
};

struct ech_gguf_vocab; /* arrays of the tokenizer: gguf_vocab.h */

struct ech_gguf {
    const char *path;      /* borrowed */
    char architecture[64]; /* general.architecture, "" */
    uint32_t version;
    size_t alignment;
    struct ech_gguf_value *values; /* sorted by key */
    size_t count, capacity;
    struct ech_tensor_list tensors; /* in the file's order, under the file's names */
    struct ech_gguf_vocab *vocab;
};

/* `file` goes into the tensors. On failure nothing is kept.
 * Errors  ECH_DATA with the name and the place of what is wrong. */
int ech_gguf_parse(const char *path, const unsigned char *data, size_t bytes, int file, struct ech_gguf *out,
                   struct ech_err *err);
void ech_gguf_fini(struct ech_gguf *gguf);

/* NULL where there is no such key. */
const struct ech_gguf_value *ech_gguf_find(const struct ech_gguf *gguf, const char *key);
/* A missing key leaves *out as it is; a value of another kind is ECH_DATA. Integers of any width serve as
 * numbers; an array serves as a number where all its elements are equal. */
int ech_gguf_int(const struct ech_gguf *gguf, const char *key, int64_t *out, struct ech_err *err);
int ech_gguf_float(const struct ech_gguf *gguf, const char *key, double *out, struct ech_err *err);
int ech_gguf_flag(const struct ech_gguf *gguf, const char *key, int *out, struct ech_err *err);
/* Text with its NUL in `out`; a longer one, or one that holds NUL, is ECH_DATA. */
int ech_gguf_text(const struct ech_gguf *gguf, const char *key, char *out, size_t bytes, struct ech_err *err);
/* One element of an array of numbers or a single number; false: of another kind. */
bool ech_gguf_number(const struct ech_gguf_value *value, uint64_t i, double *out);

#endif
