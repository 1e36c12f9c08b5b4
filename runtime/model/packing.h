/* The packed segment: everything that computing needs of a model, in one block that processes may share.
 * Products in the backend's packing, vectors as f32, embedding tables as stored, each 64-byte aligned.
 * Grows with the model; nothing in it points outside. */
#ifndef ECH_MODEL_PACKING_H
#define ECH_MODEL_PACKING_H

#include "model/spec.h"
#include "model/stage.h"

enum ech_packed_piece {
    ECH_P_WORD,
    ECH_P_POSITION,
    ECH_P_TYPE,
    ECH_P_NORM_W,
    ECH_P_NORM_B,
    ECH_P_PROJECT_W,
    ECH_P_PROJECT_B,
    ECH_P_RELATIVE,            /* (heads, span, span): the buckets spread out */
    ECH_P_LAYER,               /* first of a layer */
    ECH_P_QKV_W = ECH_P_LAYER, /* (3 hidden, hidden): query, key, value */
    ECH_P_QKV_B,
    ECH_P_O_W,
    ECH_P_O_B,
    ECH_P_NORM1_W,
    ECH_P_NORM1_B,
    ECH_P_UP_W,
    ECH_P_UP_B,
    ECH_P_DOWN_W,
    ECH_P_DOWN_B,
    ECH_P_NORM2_W,
    ECH_P_NORM2_B,
    ECH_PIECES
};
enum { ECH_P_PER_LAYER = ECH_PIECES - ECH_P_LAYER };

struct ech_packing {
    size_t *offsets; /* of every piece; SIZE_MAX: the model or the stage has none */
    size_t bytes;
    int64_t span;           /* longest sequence: side of the spread biases */
    enum ech_format format; /* of the products */
};

/* Of one stage: its layers, the tables where it is the head, the spread biases where it has layers. */
int ech_packing_make(const struct ech_spec *spec, const struct ech_bound *bound, const struct ech_ops *ops,
                     enum ech_format format, int64_t span, const struct ech_stage *stage,
                     struct ech_packing *out, struct ech_err *err);
void ech_packing_fini(struct ech_packing *packing);
/* Write this part's share of every piece at `base` (64-byte aligned). */
int ech_packing_pack(const struct ech_packing *packing, const struct ech_spec *spec,
                     const struct ech_bound *bound, const struct ech_ops *ops, void *base, int64_t part,
                     int64_t parts, struct ech_err *err);
/* A piece, or NULL where the model or the stage has none. */
const void *ech_packing_at(const struct ech_packing *packing, const void *base, enum ech_packed_piece piece,
                           int64_t layer);

#endif
