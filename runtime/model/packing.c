/* The packed segment: what goes where (packing.h). Writing it is in pack.c. */
#include "model/pieces.h"

#include "base/mem.h"
#include "base/num.h"
#include "model/packing_impl.h"

enum { ALIGN = 64 };

static size_t index_of(const struct ech_packing *p, enum ech_packed_piece piece, int64_t set, int64_t expert)
{
    if (piece < ECH_P_LAYER)
        return (size_t)piece;
    if (piece < ECH_P_EXPERT)
        return (size_t)(piece + set * ECH_P_PER_LAYER);
    return (size_t)(ECH_P_LAYER + p->sets * ECH_P_PER_LAYER + (set * p->experts + expert) * ECH_P_PER_EXPERT +
                    (piece - ECH_P_EXPERT));
}

static int64_t count_all(const struct ech_packing *p)
{
    return ECH_P_LAYER + p->sets * (ECH_P_PER_LAYER + p->experts * ECH_P_PER_EXPERT);
}

/* What the pieces of a stage are laid out from. */
struct plan {
    const struct ech_spec *spec;
    const struct ech_bound *bound;
    const struct ech_ops *ops;
    const struct ech_packing_options *options;
    const struct ech_stage *stage;
    struct ech_packing *packing;
};

static size_t take(struct ech_packing *p, size_t bytes)
{
    size_t at = p->bytes;
    p->bytes += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

/* --- which pieces a stage has --- */

static bool uses_set(const struct plan *p, int64_t set)
{
    for (int64_t layer = p->stage->first; layer < p->stage->end; layer++)
        if (ech_spec_group(p->spec, layer) == set)
            return true;
    return false;
}

static bool holds(const struct plan *p, enum ech_packed_piece piece, int64_t set)
{
    if (piece >= ECH_P_LAYER)
        return uses_set(p, set);
    if (piece >= ECH_P_FINAL_W)
        return p->stage->tail;
    if (piece >= ECH_P_RELATIVE)
        return p->stage->end > p->stage->first;
    if (piece == ECH_P_WORD && p->stage->tail && p->spec->head == ECH_HEAD_LM && p->spec->tied)
        return true;
    return p->stage->head;
}

/* --- how a tensor is used --- */

static const int stored_as[ECH_STYPES] = {
    [ECH_ST_F32] = ECH_W_F32,     [ECH_ST_F16] = ECH_W_F16,       [ECH_ST_BF16] = ECH_W_BF16,
    [ECH_ST_Q4_0] = ECH_W_Q4_0,   [ECH_ST_Q4_1] = ECH_W_Q4_1,     [ECH_ST_Q5_0] = ECH_W_Q5_0,
    [ECH_ST_Q5_1] = ECH_W_Q5_1,   [ECH_ST_Q8_0] = ECH_W_Q8_0,     [ECH_ST_Q2_K] = ECH_W_Q2_K,
    [ECH_ST_Q3_K] = ECH_W_Q3_K,   [ECH_ST_Q4_K] = ECH_W_Q4_K,     [ECH_ST_Q5_K] = ECH_W_Q5_K,
    [ECH_ST_Q6_K] = ECH_W_Q6_K,   [ECH_ST_IQ4_NL] = ECH_W_IQ4_NL, [ECH_ST_IQ4_XS] = ECH_W_IQ4_XS,
    [ECH_ST_MXFP4] = ECH_W_MXFP4, [ECH_ST_TQ1_0] = ECH_W_TQ1_0,   [ECH_ST_TQ2_0] = ECH_W_TQ2_0,
};

static bool is_block(const struct ech_tensor *t)
{
    return t->dtype >= ECH_ST_Q4_0;
}

static bool is_float(const struct ech_tensor *t)
{
    return t->dtype <= ECH_ST_BF16;
}

/* Rows of the file are the rows of the product. f16 has no packed form of its own size. */
static bool usable(const struct plan *p, const struct ech_tensor *t)
{
    return p->options->stored && ech_tensor_in_place(t) && p->ops->numerics[ECH_FMT_BLOCK] &&
           (is_block(t) ||
            (t->dtype == ECH_ST_F16 && !p->options->narrow && p->options->format == ECH_FMT_F32));
}

/* Integers that are not rounded anew. */
static bool keeps(const struct plan *p, const struct ech_sources *from, int i)
{
    const struct ech_tensor *t = from->tensor[i];
    return p->options->format == ECH_FMT_INT8 && t->dtype == ECH_ST_I8 && t->scale_count > 0 &&
           ech_tensor_in_place(t) && !from->by_head && !from->in_out;
}

/* Tensors that one product cannot hold: other integers, other scales of the input. */
static bool differ(const struct plan *p, const struct ech_sources *from)
{
    for (int i = 1; i < from->count; i++)
        if (keeps(p, from, i) != keeps(p, from, 0) ||
            (keeps(p, from, 0) && from->tensor[i]->input_scale != from->tensor[0]->input_scale))
            return true;
    return false;
}

static enum ech_format format_in_place(const struct plan *p, const struct ech_tensor *t)
{
    return p->options->narrow && is_block(t) ? ECH_FMT_BLOCK_INT8 : ECH_FMT_BLOCK;
}

static struct ech_matrix_part part_in_place(const struct plan *p, const struct ech_tensor *t, int64_t n)
{
    struct ech_matrix_part part = {
        .format = format_in_place(p, t), .type = (enum ech_wtype)stored_as[t->dtype], .n = n};
    if (p->ops->device)
        part.offset = take(p->packing, t->bytes);
    else {
        part.at = t->data;
        p->packing->in_place = true;
    }
    return part;
}

/* --- the pieces --- */

static void place_matrix(const struct plan *p, enum ech_packed_piece piece, const struct ech_sources *from,
                         struct ech_matrix *m)
{
    bool apart = differ(p, from);
    (void)piece;
    for (int i = 0; i < from->count; i++)
        apart = apart || (usable(p, from->tensor[i]) && !from->by_head && !from->in_out);
    *m = (struct ech_matrix){.n = from->n, .k = from->k, .parts = apart ? from->count : 1};
    for (int i = 0; i < m->parts; i++) {
        int64_t n = apart ? from->rows[i] : from->n;
        if (apart && usable(p, from->tensor[i])) {
            m->part[i] = part_in_place(p, from->tensor[i], n);
            continue;
        }
        size_t bytes = p->ops->linear_packed_bytes(p->options->format, n, from->k);
        m->part[i] =
            (struct ech_matrix_part){.format = p->options->format, .n = n, .offset = take(p->packing, bytes)};
        m->part[i].kept = keeps(p, from, i);
        m->part[i].multiplier = m->part[i].kept ? from->tensor[i]->input_scale : 0;
    }
}

/* Values of a table that is not kept as it is stored: f32. */
static void place_table(const struct plan *p, const struct ech_tensor *t, struct ech_matrix *m)
{
    int64_t rows = t->shape[0], cols = t->dims == 1 ? 1 : t->shape[1];
    bool kept = is_float(t) || (is_block(t) && p->ops->numerics[ECH_FMT_BLOCK]);
    kept = kept && ech_tensor_in_place(t);
    *m = (struct ech_matrix){.n = rows, .k = cols, .parts = 1};
    m->part[0] = (struct ech_matrix_part){
        .format = ECH_FMT_BLOCK, .type = kept ? (enum ech_wtype)stored_as[t->dtype] : ECH_W_F32, .n = rows};
    bool aligned = is_block(t) || (uintptr_t)t->data % ech_stype_bytes(t->dtype) == 0;
    if (kept && aligned && p->options->stored && !p->ops->device) {
        m->part[0].at = t->data;
        p->packing->in_place = true;
    } else
        m->part[0].offset = take(p->packing, kept ? t->bytes : (size_t)t->elements * sizeof(float));
}

static void place_sines(const struct plan *p, struct ech_matrix *m)
{
    const struct ech_spec *s = p->spec;
    int64_t cols = s->positions_after ? s->hidden : s->embed, rows = p->options->span + s->first;
    *m = (struct ech_matrix){.n = rows, .k = cols, .parts = 1};
    m->part[0] = (struct ech_matrix_part){.format = ECH_FMT_BLOCK, .type = ECH_W_F32, .n = rows};
    m->part[0].offset = take(p->packing, (size_t)(rows * cols) * sizeof(float));
}

/* A tied head computes on the word table itself, where that gives the bits of the packed product. */
static bool head_on_table(const struct plan *p, const struct ech_tensor *word)
{
    bool exact = p->options->format == ECH_FMT_F32 || p->options->format == ECH_FMT_BF16_F32;
    return p->ops->numerics[ECH_FMT_BLOCK] && ech_tensor_in_place(word) &&
           (is_block(word) ? p->options->stored : is_float(word) && exact);
}

static void place_tied_head(const struct plan *p, struct ech_matrix *m)
{
    const struct ech_tensor *word = ech_bound_at(p->bound, ECH_T_WORD, 0);
    struct ech_sources from = {
        .count = 1, .tensor = {word}, .rows = {word->shape[0]}, .n = word->shape[0], .k = word->shape[1]};
    if (head_on_table(p, word)) {
        *m = *ech_packing_matrix(p->packing, ECH_P_WORD, 0);
        m->part[0].format = format_in_place(p, word);
    } else
        place_matrix(p, ECH_P_HEAD_W, &from, m);
}

size_t ech_packing_head_bytes(const struct ech_packing *packing, const struct ech_ops *ops,
                              const struct ech_spec *s)
{
    size_t bytes = ops->linear_packed_bytes(packing->format, 2 * s->relative, s->head_dim);
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* A matrix of each head, one after the other. */
static void place_distances(const struct plan *p, enum ech_packed_piece piece, struct ech_matrix *m)
{
    const struct ech_spec *s = p->spec;
    if (!(piece == ECH_P_RELKEY ? s->content_to_position : s->position_to_content))
        return;
    size_t bytes = (size_t)s->heads * ech_packing_head_bytes(p->packing, p->ops, s);
    *m = (struct ech_matrix){.n = 2 * s->relative, .k = s->head_dim, .parts = 1};
    m->part[0] =
        (struct ech_matrix_part){.format = p->options->format, .n = m->n, .offset = take(p->packing, bytes)};
}

static size_t computed_bytes(const struct plan *p, enum ech_packed_piece piece)
{
    const struct ech_spec *s = p->spec;
    size_t span = (size_t)p->options->span;
    if (piece == ECH_P_SLOPES)
        return s->alibi ? (size_t)s->heads * sizeof(float) : 0;
    if (piece == ECH_P_RELINDEX)
        return s->disentangled ? (2 * span - 1) * sizeof(int32_t) : 0;
    if (piece == ECH_P_RELATIVE)
        return s->buckets && !s->disentangled ? (size_t)s->heads * span * span * sizeof(float) : 0;
    return 2 * (size_t)ech_rope_rows(&s->ropes[piece - ECH_P_ROPE], p->options->span) *
           (size_t)(s->ropes[piece - ECH_P_ROPE].dim / 2) * sizeof(float);
}

static void place(const struct plan *p, enum ech_packed_piece piece, int64_t set, int64_t expert)
{
    size_t i = index_of(p->packing, piece, set, expert);
    struct ech_matrix *m = &p->packing->matrices[i];
    enum ech_piece_kind kind = ech_piece_kind(piece);
    struct ech_sources from;
    p->packing->offsets[i] = SIZE_MAX;
    if (!holds(p, piece, set))
        return;
    if (kind == ECH_PIECE_DISTANCES) {
        place_distances(p, piece, m);
        return;
    }
    if (kind != ECH_PIECE_TABLE && kind != ECH_PIECE_VECTOR && kind != ECH_PIECE_MATRIX) {
        size_t bytes = computed_bytes(p, piece);
        if (bytes)
            p->packing->offsets[i] = take(p->packing, bytes);
        return;
    }
    bool there = ech_piece_sources(p->spec, p->bound, piece, set, expert, &from);
    if (piece == ECH_P_HEAD_W && p->spec->head == ECH_HEAD_LM && p->spec->tied)
        place_tied_head(p, m);
    else if (piece == ECH_P_POSITION && p->spec->table == ECH_TABLE_SINES && !there)
        place_sines(p, m);
    else if (there && kind == ECH_PIECE_TABLE)
        place_table(p, from.tensor[0], m);
    else if (there && kind == ECH_PIECE_MATRIX)
        place_matrix(p, piece, &from, m);
    else if (there)
        p->packing->offsets[i] = take(p->packing, (size_t)from.n * sizeof(float));
}

int ech_packing_make(const struct ech_spec *s, const struct ech_bound *bound, const struct ech_ops *ops,
                     const struct ech_packing_options *options, const struct ech_stage *stage,
                     struct ech_packing *out, struct ech_err *err)
{
    struct ech_packing packing = {
        .span = options->span, .format = options->format, .sets = bound->sets, .experts = bound->experts};
    struct plan p = {s, bound, ops, options, stage, &packing};
    size_t count = (size_t)count_all(&packing);
    packing.offsets = ech_calloc(count, sizeof *packing.offsets, err);
    packing.matrices = packing.offsets ? ech_calloc(count, sizeof *packing.matrices, err) : NULL;
    if (!packing.matrices) {
        ech_packing_fini(&packing);
        return ECH_UNAVAILABLE;
    }
    for (int piece = 0; piece < ECH_P_LAYER; piece++)
        place(&p, (enum ech_packed_piece)piece, 0, 0);
    for (int64_t set = 0; set < packing.sets; set++)
        for (int piece = ECH_P_LAYER; piece < ECH_P_EXPERT; piece++)
            place(&p, (enum ech_packed_piece)piece, set, 0);
    for (int64_t i = 0; i < packing.sets * packing.experts; i++)
        for (int piece = ECH_P_EXPERT; piece < ECH_PIECES; piece++)
            place(&p, (enum ech_packed_piece)piece, i / packing.experts, i % packing.experts);
    *out = packing;
    return ECH_OK;
}

void ech_packing_fini(struct ech_packing *packing)
{
    ech_free(packing->offsets);
    ech_free(packing->matrices);
    packing->offsets = NULL;
    packing->matrices = NULL;
}

const void *ech_packing_at(const struct ech_packing *packing, const void *base, enum ech_packed_piece piece,
                           int64_t set)
{
    size_t offset = packing->offsets[index_of(packing, piece, set, 0)];
    return offset == SIZE_MAX ? NULL : (const char *)base + offset;
}

const struct ech_matrix *ech_packing_matrix(const struct ech_packing *packing, enum ech_packed_piece piece,
                                            int64_t set)
{
    return &packing->matrices[index_of(packing, piece, set, 0)];
}

const struct ech_matrix *ech_packing_expert(const struct ech_packing *packing, enum ech_packed_piece piece,
                                            int64_t set, int64_t expert)
{
    return &packing->matrices[index_of(packing, piece, set, expert)];
}

bool ech_packing_fixed(const struct ech_packing *p)
{
    for (size_t i = 0; i < (size_t)count_all(p); i++)
        for (int part = 0; part < p->matrices[i].parts; part++)
            if (p->matrices[i].part[part].multiplier != 0)
                return true;
    return false;
}

static bool is_table(size_t index)
{
    return index < ECH_P_LAYER && ech_piece_kind((enum ech_packed_piece)index) == ECH_PIECE_TABLE;
}

size_t ech_packing_product_bytes(const struct ech_packing *p, const struct ech_ops *ops)
{
    size_t bytes = 0;
    for (size_t i = 0; i < (size_t)count_all(p); i++)
        for (int part = 0; part < p->matrices[i].parts && !is_table(i); part++) {
            const struct ech_matrix_part *of = &p->matrices[i].part[part];
            if (!of->at)
                bytes += ops->linear_packed_bytes(of->format, of->n, p->matrices[i].k);
        }
    return bytes;
}

size_t ech_packing_workspace(const struct ech_packing *p, const struct ech_ops *ops, int64_t m, int threads)
{
    size_t most = 0;
    for (size_t i = 0; i < (size_t)count_all(p); i++)
        for (int part = 0; part < p->matrices[i].parts && !is_table(i); part++) {
            const struct ech_matrix_part *of = &p->matrices[i].part[part];
            size_t bytes = ops->linear_workspace(of->format, m, of->n, p->matrices[i].k, threads);
            most = bytes > most ? bytes : most;
        }
    return most;
}
