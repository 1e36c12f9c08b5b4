/* Writing the packed segment: see packing.h. Each of `parts` processes writes its share. */
#include "model/pieces.h"

#include "base/mem.h"
#include "model/packing_impl.h"

#include <math.h>
#include <string.h>

struct share {
    const struct ech_packing *packing;
    const struct ech_spec *spec;
    const struct ech_bound *bound;
    const struct ech_ops *ops;
    char *base;
    int64_t part, parts;
};

static int copy_bytes(const struct share *p, const struct ech_tensor *t, char *to)
{
    size_t step = (t->bytes + (size_t)p->parts - 1) / (size_t)p->parts;
    size_t first = step * (size_t)p->part, end = first + step;
    end = end < t->bytes ? end : t->bytes;
    if (first < end)
        memcpy(to + first, t->data + first, end - first);
    return ECH_OK;
}

/* Share of a table that is decoded. */
static int copy_floats(const struct share *p, const struct ech_tensor *t, float *to, struct ech_err *err)
{
    int64_t cols = t->elements / t->shape[0], rows = (t->shape[0] + p->parts - 1) / p->parts;
    int64_t first = rows * p->part, end = first + rows < t->shape[0] ? first + rows : t->shape[0];
    return first < end ? ech_tensor_to_f32(t, first * cols, (end - first) * cols, to + first * cols, err)
                       : ECH_OK;
}

static int pack_table(const struct share *p, const struct ech_tensor *t, const struct ech_matrix *m,
                      struct ech_err *err)
{
    const struct ech_matrix_part *part = &m->part[0];
    char *to = p->base + part->offset;
    if (part->at)
        return ECH_OK;
    if (part->type == ECH_W_F32 && (t->dtype != ECH_ST_F32 || !ech_tensor_in_place(t)))
        return copy_floats(p, t, (float *)(void *)to, err);
    return copy_bytes(p, t, to);
}

/* Sines of all frequencies, then cosines, of the positions from 0. */
static void pack_sines(const struct share *p, const struct ech_matrix *m)
{
    int64_t half = m->k / 2;
    double step = log(10000.0) / (double)(p->spec->sines_by_half ? half - 1 : half);
    float *to = (float *)(void *)(p->base + m->part[0].offset);
    for (int64_t row = p->part; row < m->n; row += p->parts)
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)row * exp(-(double)i * step);
            to[row * m->k + i] = (float)sin(angle);
            to[row * m->k + half + i] = (float)cos(angle);
        }
}

/* One aligned f32 tensor is packed in place; anything else goes through a widened copy. */
static int pack_product(const struct share *p, const struct ech_sources *from,
                        const struct ech_matrix_part *part, struct ech_err *err)
{
    const struct ech_tensor *first = from->tensor[0];
    const void *data = first->data;
    float *copy = NULL;
    int code = ECH_OK;
    bool plain = from->count == 1 && !from->by_head && !from->in_out && first->dtype == ECH_ST_F32 &&
                 ech_tensor_in_place(first) && (uintptr_t)data % sizeof(float) == 0;
    if (!plain) {
        copy = ech_alloc_aligned((size_t)(from->n * from->k) * sizeof *copy, err);
        code = copy ? ech_piece_floats(p->spec, from, copy, err) : ECH_UNAVAILABLE;
        data = copy;
    }
    if (code == ECH_OK && p->ops->linear_pack(part->format, data, ECH_W_F32, from->n, from->k,
                                              p->base + part->offset, p->part, p->parts) != ECH_OP_OK)
        code = ech_fail(err, ECH_BUG, "packing %s for the backend %s failed", first->name, p->ops->name);
    ech_free(copy);
    return code;
}

static bool in_place(const struct ech_matrix_part *part)
{
    return part->format == ECH_FMT_BLOCK || part->format == ECH_FMT_BLOCK_INT8;
}

static int pack_matrix(const struct share *p, const struct ech_sources *from, const struct ech_matrix *m,
                       struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < m->parts; i++) {
        struct ech_sources one = *from;
        if (m->parts > 1)
            one = (struct ech_sources){.count = 1,
                                       .tensor = {from->tensor[i]},
                                       .rows = {from->rows[i]},
                                       .n = from->rows[i],
                                       .k = from->k};
        if (!in_place(&m->part[i]))
            code = pack_product(p, &one, &m->part[i], err);
        else if (!m->part[i].at)
            code = copy_bytes(p, one.tensor[0], p->base + m->part[i].offset);
    }
    return code;
}

/* Bias of head h between positions i and j, from the bucket of their distance. */
static int pack_spread(const struct share *p, float *to, struct ech_err *err)
{
    const struct ech_tensor *t = ech_bound_at(p->bound, ECH_T_RELATIVE, 0);
    int64_t heads = p->spec->heads, span = p->packing->span;
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

static void pack_rope(const struct share *p, const struct ech_rope *rope, float *to)
{
    int64_t span = p->packing->span, rows = ech_rope_rows(rope, span), half = rope->dim / 2;
    for (int64_t row = p->part; row < rows; row += p->parts)
        ech_rope_row(rope, row % span, row < span ? 0 : rope->original + 1, to + row * half,
                     to + (rows + row) * half);
}

/* Powers of 2^(-8/n) for the largest power of two n within the heads, then every other one of 2n. */
static void pack_slopes(const struct ech_spec *s, float *to)
{
    int64_t whole = 1;
    while (2 * whole <= s->heads)
        whole *= 2;
    for (int64_t h = 0; h < s->heads; h++)
        to[h] = (float)(h < whole ? pow(2, -8.0 * (double)(h + 1) / (double)whole)
                                  : pow(2, -4.0 * (double)(2 * (h - whole) + 1) / (double)whole));
}

/* Pieces that follow from the specification; small ones are not cut. */
static int pack_computed(const struct share *p, enum ech_packed_piece piece, size_t offset,
                         struct ech_err *err)
{
    float *to = (float *)(void *)(p->base + offset);
    if (piece == ECH_P_RELATIVE)
        return pack_spread(p, to, err);
    if (piece == ECH_P_SLOPES)
        pack_slopes(p->spec, to);
    else
        pack_rope(p, &p->spec->ropes[piece - ECH_P_ROPE], to);
    return ECH_OK;
}

static int pack_piece(const struct share *p, enum ech_packed_piece piece, int64_t set, int64_t expert,
                      struct ech_err *err)
{
    const struct ech_matrix *m = ech_packing_expert(p->packing, piece, set, expert);
    const void *at = piece < ECH_P_EXPERT ? ech_packing_at(p->packing, p->base, piece, set) : NULL;
    enum ech_piece_kind kind = ech_piece_kind(piece);
    struct ech_sources from;
    size_t offset = at ? (size_t)((const char *)at - p->base) : 0;
    bool there = ech_piece_sources(p->spec, p->bound, piece, set, expert, &from);
    if (kind == ECH_PIECE_MATRIX && m->parts) {
        if (!there) { /* the tied head */
            const struct ech_tensor *word = ech_bound_at(p->bound, ECH_T_WORD, 0);
            from = (struct ech_sources){.count = 1, .tensor = {word}, .rows = {m->n}, .n = m->n, .k = m->k};
            if (in_place(&m->part[0]))
                return ECH_OK;
        }
        return pack_matrix(p, &from, m, err);
    }
    if (kind == ECH_PIECE_TABLE && m->parts) {
        if (there)
            return pack_table(p, from.tensor[0], m, err);
        pack_sines(p, m);
    } else if (kind == ECH_PIECE_VECTOR && at) {
        if ((offset / 64 + (size_t)piece) % (size_t)p->parts == (size_t)p->part)
            return ech_piece_floats(p->spec, &from, (float *)(void *)(p->base + offset), err);
    } else if (at)
        return pack_computed(p, piece, offset, err);
    return ECH_OK;
}

int ech_packing_pack(const struct ech_packing *packing, const struct ech_spec *s,
                     const struct ech_bound *bound, const struct ech_ops *ops, void *base, int64_t part,
                     int64_t parts, struct ech_err *err)
{
    struct share p = {packing, s, bound, ops, base, part, parts};
    int code = ECH_OK;
    for (int piece = 0; code == ECH_OK && piece < ECH_P_LAYER; piece++)
        code = pack_piece(&p, (enum ech_packed_piece)piece, 0, 0, err);
    for (int64_t set = 0; set < packing->sets; set++)
        for (int piece = ECH_P_LAYER; code == ECH_OK && piece < ECH_P_EXPERT; piece++)
            code = pack_piece(&p, (enum ech_packed_piece)piece, set, 0, err);
    for (int64_t i = 0; i < packing->sets * packing->experts; i++)
        for (int piece = ECH_P_EXPERT; code == ECH_OK && piece < ECH_PIECES; piece++)
            code =
                pack_piece(&p, (enum ech_packed_piece)piece, i / packing->experts, i % packing->experts, err);
    return code;
}
