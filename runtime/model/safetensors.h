/* safetensors: model.safetensors, or the shards that model.safetensors.index.json names.
 *
 *   u64 LE   n, length of the header (at most 100 MB and within the file)
 *   n bytes  JSON object: "name": {"dtype", "shape", "data_offsets": [begin, end)}; "__metadata__" is skipped
 *   the rest tensor bytes, little endian, row-major; offsets count from here
 *
 * Names, types, shapes and offsets agree with each other and with the size of the file; tensors neither
 * overlap nor leave gaps. */
#ifndef ECH_MODEL_SAFETENSORS_H
#define ECH_MODEL_SAFETENSORS_H

#include "model/tensor_list.h"

/* Append the tensors of one file, `data` its `bytes` bytes. */
int ech_safetensors_parse(const char *path, const unsigned char *data, size_t bytes, int file,
                          struct ech_tensor_list *list, struct ech_err *err);
/* Check a header alone: `data` is the file's content. */
int ech_safetensors_check(const char *name, const void *data, size_t bytes, struct ech_err *err);

#endif
