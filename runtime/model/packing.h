/* The packed segment: what computing needs of a model and cannot use where the file has it, in one block that
 * processes may share. Products in the backend's packing, vectors as f32, tables as stored, rotary and other
 * tables that follow from the specification, each 64-byte aligned. Grows with the model; nothing in it points
 * outside. Block formats are not copied: their products and tables read the mapped file (in_place), which
 * then must stay open; a backend with memory of its own gets a copy of them in the segment. */
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
    ECH_P_RELATIVE, /* (heads, span, span): the buckets spread out */
    ECH_P_SLOPES,   /* (heads): ALiBi */
    ECH_P_ROPE,     /* (2, span, dim / 2) cosines, then sines; with a longer set (2, 2 span, dim / 2) */
    ECH_P_ROPE_LOCAL,
    ECH_P_RELINDEX, /* (2 span - 1) int32: DeBERTa's row of each distance, from -(span - 1) on */
    ECH_P_FINAL_W,
    ECH_P_FINAL_B,
    ECH_P_UNPROJECT_W,
    ECH_P_UNPROJECT_B,
    ECH_P_HEAD_W,
    ECH_P_HEAD_B,
    ECH_P_POOL_W,
    ECH_P_POOL_B,
    ECH_P_POOLNORM_W,
    ECH_P_POOLNORM_B,
    ECH_P_CLASS_W,
    ECH_P_CLASS_B,
    ECH_P_LAYER,               /* first of a layer */
    ECH_P_QKV_W = ECH_P_LAYER, /* (q + 2 kv, hidden): query, key, value */
    ECH_P_QKV_B,
    ECH_P_O_W,
    ECH_P_O_B,
    ECH_P_QNORM_W,
    ECH_P_KNORM_W,
    ECH_P_IN1_W,
    ECH_P_IN1_B,
    ECH_P_OUT1_W,
    ECH_P_OUT1_B,
    ECH_P_NORM1_W,
    ECH_P_NORM1_B,
    ECH_P_CELL_W,
    ECH_P_CELL_B,
    ECH_P_FORGET_W,
    ECH_P_FORGET_B,
    ECH_P_XQ_W,
    ECH_P_XQ_B,
    ECH_P_XKV_W, /* key, value */
    ECH_P_XKV_B,
    ECH_P_XO_W,
    ECH_P_XO_B,
    ECH_P_INX_W,
    ECH_P_INX_B,
    ECH_P_NORMX_W,
    ECH_P_NORMX_B,
    ECH_P_UP_W, /* gate, up where the MLP is gated */
    ECH_P_UP_B,
    ECH_P_DOWN_W,
    ECH_P_DOWN_B,
    ECH_P_IN2_W,
    ECH_P_IN2_B,
    ECH_P_OUT2_W,
    ECH_P_OUT2_B,
    ECH_P_NORM2_W,
    ECH_P_NORM2_B,
    ECH_P_RELKEY,   /* (2 relative, head_dim) of each head: keys of distances */
    ECH_P_RELQUERY, /* and their queries */
    ECH_P_ROUTER_W,
    ECH_P_ROUTER_B, /* none has one: a product's bias is the piece behind it */
    ECH_P_EXPERT,   /* of each expert of a layer */
    ECH_P_XUP_W = ECH_P_EXPERT,
    ECH_P_XDOWN_W,
    ECH_PIECES
};
enum { ECH_P_PER_LAYER = ECH_P_EXPERT - ECH_P_LAYER, ECH_P_PER_EXPERT = ECH_PIECES - ECH_P_EXPERT };

/* One matrix of a product, or the rows of it that are stored alike: q, k, v of block formats stay apart. */
struct ech_matrix_part {
    enum ech_format format;
    enum ech_wtype type; /* of a format in place; how a table is stored */
    int64_t n;
    const void *at; /* in the mapped file; NULL: in the segment, at the piece's offset */
    size_t offset;
    bool kept;        /* INT8: the file's own integers */
    float multiplier; /* INT8: of the product's input, where the file fixes it; 0: each row has its own */
};
enum { ECH_MATRIX_PARTS = 3 };
struct ech_matrix {
    int64_t n, k;
    int parts; /* 0: there is none */
    struct ech_matrix_part part[ECH_MATRIX_PARTS];
};

struct ech_packing_options {
    enum ech_format format; /* of products that are packed */
    bool stored;            /* block formats and tables stay as the file has them, in place */
    bool narrow;            /* products of block formats: activations quantised (BLOCK_INT8) */
    int64_t span;           /* longest sequence: side of spread biases, rows of rotary tables */
};

struct ech_packing {
    size_t *offsets;             /* of every piece; SIZE_MAX: the model or the stage has none */
    struct ech_matrix *matrices; /* of every piece that is a product or a table */
    size_t bytes;
    bool in_place; /* something is read in the mapped file */
    int64_t span, sets, experts;
    enum ech_format format;
};

/* Of one stage: its layers, the tables where it is the head, the spread biases where it has layers, what
 * follows the layers where it is the tail. */
int ech_packing_make(const struct ech_spec *spec, const struct ech_bound *bound, const struct ech_ops *ops,
                     const struct ech_packing_options *options, const struct ech_stage *stage,
                     struct ech_packing *out, struct ech_err *err);
void ech_packing_fini(struct ech_packing *packing);
/* Write this part's share of every piece at `base` (64-byte aligned). */
int ech_packing_pack(const struct ech_packing *packing, const struct ech_spec *spec,
                     const struct ech_bound *bound, const struct ech_ops *ops, void *base, int64_t part,
                     int64_t parts, struct ech_err *err);
/* A vector, spread bias or rotary table, or NULL where the model or the stage has none. `set`: of layer
 * weights (ech_spec_group). */
const void *ech_packing_at(const struct ech_packing *packing, const void *base, enum ech_packed_piece piece,
                           int64_t set);
/* A product's matrix, or a table (one part); parts 0 where there is none. */
const struct ech_matrix *ech_packing_matrix(const struct ech_packing *packing, enum ech_packed_piece piece,
                                            int64_t set);
const struct ech_matrix *ech_packing_expert(const struct ech_packing *packing, enum ech_packed_piece piece,
                                            int64_t set, int64_t expert);
static inline const void *ech_matrix_at(const struct ech_matrix_part *part, const void *base)
{
    return part->at ? part->at : (const char *)base + part->offset;
}
/* From one head's matrix to the next in RELKEY and RELQUERY. */
size_t ech_packing_head_bytes(const struct ech_packing *packing, const struct ech_ops *ops,
                              const struct ech_spec *spec);
/* Bytes of the products that are packed; tables are not among them. */
size_t ech_packing_product_bytes(const struct ech_packing *packing, const struct ech_ops *ops);
/* Does a file fix the scale of some product's input? */
bool ech_packing_fixed(const struct ech_packing *packing);
/* `count` rows of a tensor as the matrix of a product for `part`'s format at `out` (64-byte aligned; the
 * packed size of (count, cols)): the bits of those outputs of the whole. */
int ech_pack_rows(const struct ech_ops *ops, const struct ech_matrix_part *part, const struct ech_tensor *t,
                  const int32_t *rows, int64_t count, void *out, struct ech_err *err);
/* Scratch of the largest product with up to m rows, for a queue of `threads`. */
size_t ech_packing_workspace(const struct ech_packing *packing, const struct ech_ops *ops, int64_t m,
                             int threads);

#endif
