/* CTranslate2's model.bin, versions 2 to 6, little endian, nothing aligned. A string is u16 bytes, its final
 * NUL among them, then the bytes.
 *
 *   u32 version, string specification, u32 revision (of the specification), u32 variables
 *   each: string name, u8 dimensions, u32 each; then
 *     version >= 4: u8 type (f32, i8, i16, i32, f16, bf16), u32 bytes; before: u8 bytes of an element (4:
 * f32, 1: i8, 2: i16), u32 elements; the data version >= 3: u32 aliases, each: string alias, string name the
 * end of the file
 *
 * NAME_scale beside an int8 or int16 NAME holds its multipliers (stored = value * scale): one a row, or one.
 */
#ifndef ECH_MODEL_CT2_H
#define ECH_MODEL_CT2_H

#include "model/tensor_list.h"

struct ech_ct2 {
    const char *path; /* borrowed */
    uint32_t version, revision;
    char spec[128];
    struct ech_tensor_list variables; /* sorted by name; an alias is a second view */
    unsigned char *used;              /* 1 where a variable was taken */
};

/* On failure nothing is kept. Errors  ECH_DATA with the name and the place of what is wrong. */
int ech_ct2_parse(const char *path, const unsigned char *data, size_t bytes, int file, struct ech_ct2 *out,
                  struct ech_err *err);
void ech_ct2_fini(struct ech_ct2 *ct2);

/* NULL where there is none; marks it as used. */
const struct ech_tensor *ech_ct2_take(struct ech_ct2 *ct2, const char *name);
/* A scalar of any type; false: not there (or no scalar). Marks it as used. */
bool ech_ct2_number(struct ech_ct2 *ct2, const char *name, double *out);

/* All variables under Hugging Face's names into `out`, and their configuration. `beside`: the config.json
 * that lies beside, or NULL.
 * Errors  ECH_DATA: a specification or variable that is not known, by name. */
int ech_ct2_describe(struct ech_ct2 *ct2, const json_t *beside, struct ech_tensor_list *out, json_t **config,
                     struct ech_err *err);

#endif
