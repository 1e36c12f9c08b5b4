/* Marian's own models: one file of items, binary or .npz, little endian. Binary:
 *
 *   u64 version 1, u64 items; each item 32 bytes: u64 bytes of its name with the NUL, u64 type, u64
 * dimensions, u64 bytes of its data; all names; all dimensions, i32 each; u64 padding and that many bytes;
 * all data, to the end of the file
 *
 * Types: f32; intgemm's int8, which is the transpose of the stated shape with one f32 behind it (stored =
 * value * that); bytes of a text. An .npz is a zip of arrays, f32 and one text. The text special:model.yml
 * says what the model is. */
#ifndef ECH_MODEL_MARIAN_H
#define ECH_MODEL_MARIAN_H

#include "model/tensor_list.h"

/* Items under Marian's names, shapes as stated, int8 as it lies. On failure `items` holds a part.
 * Errors  ECH_DATA with the name and the place of what is wrong. */
int ech_marian_parse(const char *path, const unsigned char *data, size_t bytes, int file,
                     struct ech_tensor_list *items, struct ech_err *err);
/* Items under Hugging Face's names into `out`, and their configuration. `items` is sorted.
 * Errors  ECH_DATA: an item or a setting that is not known, by name. */
int ech_marian_describe(const char *path, struct ech_tensor_list *items, struct ech_tensor_list *out,
                        json_t **config, struct ech_err *err);

#endif
