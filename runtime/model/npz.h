/* NumPy's .npz as Marian writes it: a zip of .npy arrays, each stored or deflated, read through the zip's
 * directory. Stored arrays stay in the file's bytes; a deflated one is inflated once into memory. */
#ifndef ECH_MODEL_NPZ_H
#define ECH_MODEL_NPZ_H

#include "model/tensor_list.h"

struct ech_npz {
    struct ech_tensor_list items; /* names without ".npy" */
    void **blocks;                /* inflated arrays */
    size_t blocks_count, blocks_capacity;
    uint64_t inflated; /* bytes in them */
};

/* f32, f16 and bytes (int8, uint8: as U8), C order, little endian. On failure nothing is kept.
 * Errors  ECH_DATA with the member and what is wrong with it; ECH_UNAVAILABLE: memory. */
int ech_npz_parse(const char *path, const unsigned char *data, size_t bytes, int file, struct ech_npz *out,
                  struct ech_err *err);
void ech_npz_fini(struct ech_npz *npz);

/* One array: `data` is a whole .npy. Name and file are the caller's. */
int ech_npy_view(const char *path, const char *name, const unsigned char *data, size_t bytes,
                 struct ech_tensor *out, struct ech_err *err);

#endif
