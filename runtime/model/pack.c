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

/* What a sum of row `row` is multiplied by, as the engine of such files has it. */
static float kept_scale(const struct ech_matrix_part *part, const struct ech_tensor *t, int64_t row)
{
    float scale = ech_tensor_scale(t, row);
    return 1.0f / (part->multiplier != 0 ? part->multiplier * scale : scale);
}

/* Integers of all tensors one under the other, then their scales (ops.h, ECH_W_S8). */
static int pack_kept(const struct share *p, const struct ech_sources *from,
                     const struct ech_matrix_part *part, struct ech_err *err)
{
    size_t all = ech_s8_bytes(from->n, from->k), row = 0;
    char *bytes = ech_alloc_aligned(all, err);
    if (!bytes)
        return ECH_UNAVAILABLE;
    for (int i = 0; i < from->count; i++) {
        const struct ech_tensor *t = from->tensor[i];
        memcpy(bytes + row * (size_t)from->k, t->data, t->bytes);
        for (int64_t j = 0; j < from->rows[i]; j++, row++) {
            float scale = kept_scale(part, t, j);
            memcpy(bytes + ech_s8_scales(from->n, from->k) + row * sizeof scale, &scale, sizeof scale);
        }
    }
    int status = p->ops->linear_pack(part->format, bytes, ECH_W_S8, from->n, from->k, p->base + part->offset,
                                     p->part, p->parts);
    ech_free(bytes);
    return status == ECH_OP_OK
               ? ECH_OK
               : ech_fail(err, ECH_BUG, "packing the integers of %s for the backend %s failed",
                          from->tensor[0]->name, p->ops->name);
}

static int rows_as_floats(const struct ech_tensor *t, const int32_t *rows, int64_t count, float *out,
                          struct ech_err *err)
{
    int64_t cols = t->shape[1];
    int code = ECH_OK;
    for (int64_t i = 0; code == ECH_OK && i < count; i++)
        code = ech_tensor_to_f32(t, rows[i] * cols, cols, out + i * cols, err);
    return code;
}

static void rows_as_bytes(const struct ech_matrix_part *part, const struct ech_tensor *t, const int32_t *rows,
                          int64_t count, char *out)
{
    size_t cols = (size_t)t->shape[1];
    char *scales = out + ech_s8_scales(count, t->shape[1]);
    for (int64_t i = 0; i < count; i++) {
        float scale = kept_scale(part, t, rows[i]);
        memcpy(out + (size_t)i * cols, t->data + (size_t)rows[i] * cols, cols);
        memcpy(scales + (size_t)i * sizeof scale, &scale, sizeof scale);
    }
}

int ech_pack_rows(const struct ech_ops *ops, const struct ech_matrix_part *part, const struct ech_tensor *t,
                  const int32_t *rows, int64_t count, void *out, struct ech_err *err)
{
    int64_t cols = t->shape[1];
    size_t bytes = part->kept ? ech_s8_bytes(count, cols) : (size_t)(count * cols) * sizeof(float);
    void *copy = ech_alloc_aligned(bytes, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    int code = ECH_OK;
    if (part->kept)
        rows_as_bytes(part, t, rows, count, copy);
    else
        code = rows_as_floats(t, rows, count, copy, err);
    enum ech_wtype type = part->kept ? ECH_W_S8 : ECH_W_F32;
    if (code == ECH_OK && ops->linear_pack(part->format, copy, type, count, cols, out, 0, 1) != ECH_OP_OK)
        code = ech_fail(err, ECH_BUG, "packing rows of %s for the backend %s failed", t->name, ops->name);
    ech_free(copy);
    return code;
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
        if (m->part[i].kept)
            code = pack_kept(p, &one, &m->part[i], err);
        else if (!in_place(&m->part[i]))
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

/* --- DeBERTa's table of distances --- */

/* The table (rows, d), normed where the model does so. */
static int distance_table(const struct share *p, float *table, float *gain, struct ech_err *err)
{
    const struct ech_spec *s = p->spec;
    const struct ech_tensor *t = ech_bound_at(p->bound, ECH_T_RELATIVE, 0),
                            *w = ech_bound_at(p->bound, ECH_T_RELNORM_W, 0),
                            *b = ech_bound_at(p->bound, ECH_T_RELNORM_B, 0);
    int64_t d = s->hidden;
    int code = ech_tensor_to_f32(t, 0, t->elements, table, err);
    if (code != ECH_OK || !s->relative_norm)
        return code;
    code = ech_tensor_to_f32(w, 0, d, gain, err);
    if (code == ECH_OK)
        code = ech_tensor_to_f32(b, 0, d, gain + d, err);
    for (float *x = table; code == ECH_OK && x < table + t->elements; x += d) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < d; i++)
            mean += (double)x[i] / (double)d;
        for (int64_t i = 0; i < d; i++)
            square += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)d;
        for (int64_t i = 0; i < d; i++)
            x[i] = (float)(((double)x[i] - mean) / sqrt(square + (double)s->norm_eps) * (double)gain[i] +
                           (double)gain[d + i]);
    }
    return code;
}

enum { ABREAST = 8 };

/* Rows [first, first + ABREAST) of the table, the last one again beyond its end, side by side. */
static void lay_abreast(const float *table, int64_t rows, int64_t first, int64_t d, double *to)
{
    for (int64_t i = 0; i < ABREAST; i++) {
        const float *x = table + (first + i < rows ? first + i : rows - 1) * d;
        for (int64_t j = 0; j < d; j++)
            to[j * ABREAST + i] = (double)x[j];
    }
}

/* to (rows, k) = table (rows, d) through a head's rows of a projection, w (k, d); sums in double, ascending.
 * beside (d, ABREAST): room. */
static void project(const float *table, int64_t rows, int64_t d, const float *w, const float *bias, int64_t k,
                    double *beside, float *to)
{
    for (int64_t r = 0; r < rows; r += ABREAST) {
        lay_abreast(table, rows, r, d, beside);
        for (int64_t c = 0; c < k; c++) {
            double sum[ABREAST] = {0};
            for (int64_t j = 0; j < d; j++)
                for (int i = 0; i < ABREAST; i++)
                    sum[i] += (double)w[c * d + j] * beside[j * ABREAST + i];
            for (int64_t i = 0; i < ABREAST && r + i < rows; i++)
                to[(r + i) * k + c] = (float)(sum[i] + (double)bias[c]);
        }
    }
}

/* Each head's part of the table through the projection of keys, or of queries: heads are shared out. */
static int pack_heads(const struct share *p, enum ech_packed_piece piece, int64_t set,
                      const struct ech_matrix *m, float *room, double *beside, struct ech_err *err)
{
    const struct ech_spec *s = p->spec;
    bool keys = piece == ECH_P_RELKEY;
    const struct ech_tensor *w = ech_bound_at(p->bound, keys ? ECH_T_K_W : ECH_T_Q_W, set),
                            *b = ech_bound_at(p->bound, keys ? ECH_T_K_B : ECH_T_Q_B, set);
    int64_t d = s->hidden, k = s->head_dim;
    size_t stride = ech_packing_head_bytes(p->packing, p->ops, s);
    float *table = room, *part = table + m->n * d, *bias = part + k * d, *to = bias + k,
          *gain = to + m->n * k;
    int code = p->part < s->heads ? distance_table(p, table, gain, err) : ECH_OK;
    for (int64_t head = p->part; code == ECH_OK && head < s->heads; head += p->parts) {
        char *packed = p->base + m->part[0].offset + (size_t)head * stride;
        code = ech_tensor_to_f32(w, head * k * d, k * d, part, err);
        if (code == ECH_OK)
            code = ech_tensor_to_f32(b, head * k, k, bias, err);
        if (code != ECH_OK)
            break;
        project(table, m->n, d, part, bias, k, beside, to);
        if (p->ops->linear_pack(m->part[0].format, to, ECH_W_F32, m->n, k, packed, 0, 1) != ECH_OP_OK)
            code = ech_fail(err, ECH_BUG, "packing %s for the backend %s failed", w->name, p->ops->name);
    }
    return code;
}

static int pack_distances(const struct share *p, enum ech_packed_piece piece, int64_t set,
                          const struct ech_matrix *m, struct ech_err *err)
{
    int64_t d = p->spec->hidden, k = p->spec->head_dim;
    float *room = ech_calloc((size_t)(m->n * d + k * d + k + m->n * k + 2 * d), sizeof *room, err);
    double *beside = room ? ech_calloc((size_t)(d * ABREAST), sizeof *beside, err) : NULL;
    int code = beside ? pack_heads(p, piece, set, m, room, beside, err) : ECH_UNAVAILABLE;
    ech_free(room);
    ech_free(beside);
    return code;
}

static void pack_index(const struct share *p, int32_t *to)
{
    int64_t span = p->packing->span;
    for (int64_t gap = 1 - span; gap < span; gap++)
        to[gap + span - 1] = (int32_t)ech_spec_relative(p->spec, gap);
}

/* Pieces that follow from the specification; small ones are not cut. */
static int pack_computed(const struct share *p, enum ech_packed_piece piece, size_t offset,
                         struct ech_err *err)
{
    float *to = (float *)(void *)(p->base + offset);
    if (piece == ECH_P_RELATIVE)
        return pack_spread(p, to, err);
    if (piece == ECH_P_RELINDEX)
        pack_index(p, (int32_t *)(void *)(p->base + offset));
    else if (piece == ECH_P_SLOPES)
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
    if (kind == ECH_PIECE_DISTANCES)
        return m->parts ? pack_distances(p, piece, set, m, err) : ECH_OK;
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
