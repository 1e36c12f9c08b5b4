/* The packed segment: see packing.h. */
#include "model/packing.h"

#include "base/mem.h"

#include <string.h>

enum kind { TABLE, VECTOR, MATRIX, FUSED, FUSED_VECTOR, SPREAD };

/* How each piece is made from tensors. */
static const struct {
    enum kind kind;
    enum ech_slot slot;
} pieces[ECH_PIECES] = {
    [ECH_P_WORD] = {TABLE, ECH_T_WORD},
    [ECH_P_POSITION] = {TABLE, ECH_T_POSITION},
    [ECH_P_TYPE] = {TABLE, ECH_T_TYPE},
    [ECH_P_NORM_W] = {VECTOR, ECH_T_NORM_W},
    [ECH_P_NORM_B] = {VECTOR, ECH_T_NORM_B},
    [ECH_P_PROJECT_W] = {MATRIX, ECH_T_PROJECT_W},
    [ECH_P_PROJECT_B] = {VECTOR, ECH_T_PROJECT_B},
    [ECH_P_RELATIVE] = {SPREAD, ECH_T_RELATIVE},
    [ECH_P_QKV_W] = {FUSED, ECH_T_Q_W},
    [ECH_P_QKV_B] = {FUSED_VECTOR, ECH_T_Q_B},
    [ECH_P_O_W] = {MATRIX, ECH_T_O_W},
    [ECH_P_O_B] = {VECTOR, ECH_T_O_B},
    [ECH_P_NORM1_W] = {VECTOR, ECH_T_NORM1_W},
    [ECH_P_NORM1_B] = {VECTOR, ECH_T_NORM1_B},
    [ECH_P_UP_W] = {MATRIX, ECH_T_UP_W},
    [ECH_P_UP_B] = {VECTOR, ECH_T_UP_B},
    [ECH_P_DOWN_W] = {MATRIX, ECH_T_DOWN_W},
    [ECH_P_DOWN_B] = {VECTOR, ECH_T_DOWN_B},
    [ECH_P_NORM2_W] = {VECTOR, ECH_T_NORM2_W},
    [ECH_P_NORM2_B] = {VECTOR, ECH_T_NORM2_B},
};
/* Query, key and value follow each other by two slots. */
static const int fused_step = ECH_T_K_W - ECH_T_Q_W;
enum { FUSED_PARTS = 3, ALIGN = 64 };

static size_t index_of(enum ech_packed_piece piece, int64_t layer)
{
    return (size_t)(piece < ECH_P_LAYER ? piece : piece + layer * ECH_P_PER_LAYER);
}

static size_t piece_bytes(enum kind kind, const struct ech_tensor *t, const struct ech_spec *s,
                          const struct ech_ops *ops, const struct ech_packing *packing)
{
    switch (kind) {
    case TABLE:
        return t->bytes;
    case VECTOR:
        return (size_t)t->elements * sizeof(float);
    case MATRIX:
        return ops->linear_packed_bytes(packing->format, t->shape[0], t->shape[1]);
    case FUSED:
        return ops->linear_packed_bytes(packing->format, FUSED_PARTS * t->shape[0], t->shape[1]);
    case FUSED_VECTOR:
        return FUSED_PARTS * (size_t)t->elements * sizeof(float);
    case SPREAD:
        return (size_t)s->heads * (size_t)packing->span * (size_t)packing->span * sizeof(float);
    }
    return 0;
}

static bool holds(const struct ech_stage *stage, enum ech_packed_piece piece, int64_t layer)
{
    if (piece >= ECH_P_LAYER)
        return layer >= stage->first && layer < stage->end;
    return piece == ECH_P_RELATIVE ? stage->end > stage->first : stage->head;
}

static void place(struct ech_packing *packing, const struct ech_spec *s, const struct ech_bound *bound,
                  const struct ech_ops *ops, const struct ech_stage *stage, enum ech_packed_piece piece,
                  int64_t layer)
{
    const struct ech_tensor *t =
        holds(stage, piece, layer) ? ech_bound_at(bound, pieces[piece].slot, layer) : NULL;
    size_t *offset = &packing->offsets[index_of(piece, layer)];
    *offset = t ? packing->bytes : SIZE_MAX;
    if (t)
        packing->bytes += (piece_bytes(pieces[piece].kind, t, s, ops, packing) + ALIGN - 1) / ALIGN * ALIGN;
}

int ech_packing_make(const struct ech_spec *s, const struct ech_bound *bound, const struct ech_ops *ops,
                     enum ech_format format, int64_t span, const struct ech_stage *stage,
                     struct ech_packing *out, struct ech_err *err)
{
    struct ech_packing packing = {.span = span, .format = format};
    packing.offsets =
        ech_calloc((size_t)(ECH_P_LAYER + s->layers * ECH_P_PER_LAYER), sizeof *packing.offsets, err);
    if (!packing.offsets)
        return ECH_UNAVAILABLE;
    for (int piece = 0; piece < ECH_P_LAYER; piece++)
        place(&packing, s, bound, ops, stage, (enum ech_packed_piece)piece, 0);
    for (int64_t layer = 0; layer < s->layers; layer++)
        for (int piece = ECH_P_LAYER; piece < ECH_PIECES; piece++)
            place(&packing, s, bound, ops, stage, (enum ech_packed_piece)piece, layer);
    *out = packing;
    return ECH_OK;
}

void ech_packing_fini(struct ech_packing *packing)
{
    ech_free(packing->offsets);
    packing->offsets = NULL;
}

const void *ech_packing_at(const struct ech_packing *packing, const void *base, enum ech_packed_piece piece,
                           int64_t layer)
{
    size_t offset = packing->offsets[index_of(piece, layer)];
    return offset == SIZE_MAX ? NULL : (const char *)base + offset;
}

struct share {
    const struct ech_spec *spec;
    const struct ech_bound *bound;
    const struct ech_ops *ops;
    enum ech_format format;
    int64_t span, part, parts;
};

static void pack_table(const struct share *p, const struct ech_tensor *t, char *to)
{
    size_t step = (t->bytes + (size_t)p->parts - 1) / (size_t)p->parts;
    size_t first = step * (size_t)p->part, end = first + step;
    end = end < t->bytes ? end : t->bytes;
    if (first < end)
        memcpy(to + first, t->data + first, end - first);
}

/* The product of `count` tensors, fused_step slots apart, stacked by rows. One aligned f32 tensor is packed
 * in place; anything else goes through a widened copy. */
static int pack_matrix(const struct share *p, enum ech_slot slot, int64_t layer, int count, void *to,
                       struct ech_err *err)
{
    const struct ech_tensor *first = ech_bound_at(p->bound, slot, layer);
    int64_t n = first->shape[0], k = first->shape[1];
    const void *from = first->data;
    float *copy = NULL;
    int code = ECH_OK;
    if (count > 1 || first->dtype != ECH_ST_F32 || (uintptr_t)from % sizeof(float) != 0) {
        copy = ech_alloc_aligned((size_t)(count * n * k) * sizeof *copy, err);
        if (!copy)
            return ECH_UNAVAILABLE;
        for (int i = 0; code == ECH_OK && i < count; i++) {
            const struct ech_tensor *t =
                ech_bound_at(p->bound, (enum ech_slot)((int)slot + i * fused_step), layer);
            code = ech_tensor_to_f32(t, 0, t->elements, copy + i * n * k, err);
        }
        from = copy;
    }
    if (code == ECH_OK &&
        p->ops->linear_pack(p->format, from, ECH_W_F32, count * n, k, to, p->part, p->parts) != ECH_OP_OK)
        code = ech_fail(err, ECH_BUG, "packing %s for the backend %s failed", first->name, p->ops->name);
    ech_free(copy);
    return code;
}

static int pack_vectors(const struct share *p, enum ech_slot slot, int64_t layer, int count, float *to,
                        struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < count; i++) {
        const struct ech_tensor *t =
            ech_bound_at(p->bound, (enum ech_slot)((int)slot + i * fused_step), layer);
        code = ech_tensor_to_f32(t, 0, t->elements, to + i * t->elements, err);
    }
    return code;
}

/* Bias of head h between positions i and j, from the bucket of their distance. */
static int pack_spread(const struct share *p, const struct ech_tensor *t, float *to, struct ech_err *err)
{
    int64_t heads = p->spec->heads, span = p->span;
    float *table = ech_calloc((size_t)t->elements, sizeof *table, err);
    if (!table)
        return ECH_UNAVAILABLE;
    int code = ech_tensor_to_f32(t, 0, t->elements, table, err);
    for (int64_t i = p->part; code == ECH_OK && i < span; i += p->parts)
        for (int64_t j = 0; j < span; j++) {
            int64_t bucket = ech_spec_bucket(p->spec, i, j);
            for (int64_t h = 0; h < heads; h++)
                to[(h * span + i) * span + j] = table[bucket * heads + h];
        }
    ech_free(table);
    return code;
}

static int pack_piece(const struct share *p, enum ech_packed_piece piece, int64_t layer, char *to,
                      struct ech_err *err)
{
    enum ech_slot slot = pieces[piece].slot;
    enum kind kind = pieces[piece].kind;
    const struct ech_tensor *t = ech_bound_at(p->bound, slot, layer);
    bool mine = (int64_t)index_of(piece, layer) % p->parts == p->part; /* small pieces are not cut */
    switch (kind) {
    case TABLE:
        pack_table(p, t, to);
        return ECH_OK;
    case MATRIX:
        return pack_matrix(p, slot, layer, 1, to, err);
    case FUSED:
        return pack_matrix(p, slot, layer, FUSED_PARTS, to, err);
    case SPREAD:
        return pack_spread(p, t, (float *)(void *)to, err);
    case VECTOR:
        return mine ? pack_vectors(p, slot, layer, 1, (float *)(void *)to, err) : ECH_OK;
    case FUSED_VECTOR:
        return mine ? pack_vectors(p, slot, layer, FUSED_PARTS, (float *)(void *)to, err) : ECH_OK;
    }
    return ECH_OK;
}

int ech_packing_pack(const struct ech_packing *packing, const struct ech_spec *s,
                     const struct ech_bound *bound, const struct ech_ops *ops, void *base, int64_t part,
                     int64_t parts, struct ech_err *err)
{
    struct share p = {.spec = s,
                      .bound = bound,
                      .ops = ops,
                      .format = packing->format,
                      .span = packing->span,
                      .part = part,
                      .parts = parts};
    int code = ECH_OK;
    for (int64_t layer = 0; layer < s->layers; layer++)
        for (int piece = layer ? ECH_P_LAYER : 0; code == ECH_OK && piece < ECH_PIECES; piece++) {
            size_t offset = packing->offsets[index_of((enum ech_packed_piece)piece, layer)];
            if (offset != SIZE_MAX)
                code = pack_piece(&p, (enum ech_packed_piece)piece, layer, (char *)base + offset, err);
        }
    return code;
}
