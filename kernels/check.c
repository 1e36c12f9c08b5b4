/* The argument checks of all backends (check.h). Cheap beside the work: O(1), O(sequences) or O(ids). */
#include "kernels/check.h"

#include <math.h>

#include "kernels/blocks.h"

/* No length or stride above this: every product of two of them and a float's size fits int64_t. */
static const int64_t LENGTH_MAX = (int64_t)1 << 30;

static bool length_ok(int64_t n)
{
    return n >= 0 && n <= LENGTH_MAX;
}

/* rows x cols elements behind `p` with stride ld. */
static bool matrix_ok(const void *p, int64_t rows, int64_t cols, int64_t ld)
{
    if (!length_ok(rows) || !length_ok(cols))
        return false;
    if (rows == 0 || cols == 0)
        return true;
    return p && ld >= cols && ld <= LENGTH_MAX;
}

static bool act_ok(enum ech_act act)
{
    return (int)act >= ECH_ACT_NONE && act < ECH_ACTS;
}

/* Types that are packed. */
static bool type_ok(enum ech_wtype type)
{
    return (int)type >= ECH_W_F32 && (int)type <= ECH_W_BF16;
}

static bool atype_ok(enum ech_atype type)
{
    return (int)type >= ECH_A_F32 && (int)type < ECH_ATYPES;
}

static int verdict(bool ok)
{
    return ok ? ECH_OP_OK : ECH_OP_SHAPE;
}

static bool starts_ok(const int64_t *starts, int64_t sequences)
{
    if (!length_ok(sequences))
        return false;
    if (sequences == 0)
        return true;
    if (!starts || starts[0] < 0 || starts[sequences] > LENGTH_MAX)
        return false;
    for (int64_t s = 0; s < sequences; s++)
        if (starts[s] > starts[s + 1])
            return false;
    return true;
}

int64_t ech_longest(const int64_t *starts, int64_t sequences)
{
    int64_t longest = 0;
    for (int64_t s = 0; s < sequences; s++)
        if (starts[s + 1] - starts[s] > longest)
            longest = starts[s + 1] - starts[s];
    return longest;
}

static bool format_ok(enum ech_format format)
{
    return (int)format >= 0 && format < ECH_FORMATS;
}

/* Sums of int8 products fit int32. */
static bool depth_ok(enum ech_format format, int64_t k)
{
    return format != ECH_FMT_INT8 || k <= ECH_INT8_K_MAX;
}

/* Int8 as a file has it is packed for its own products alone. */
static bool packs_type(enum ech_format format, enum ech_wtype type)
{
    return type_ok(type) || (type == ECH_W_S8 && format == ECH_FMT_INT8);
}

/* A fixed scale of x: its inverse is a number too. */
static bool multiplier_ok(const struct ech_linear_args *a)
{
    const bool fits = a->format == ECH_FMT_INT8 && a->x_type == ECH_A_F32;
    return a->x_multiplier == 0 || (fits && a->x_multiplier >= 0x1p-100f && a->x_multiplier <= 0x1p100f);
}

int ech_check_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                   const void *packed, int64_t part, int64_t parts)
{
    bool ok = format_ok(format) && length_ok(n) && length_ok(k) && packs_type(format, type) && parts >= 1 &&
              length_ok(parts) && part >= 0 && part < parts;
    return verdict(ok && depth_ok(format, k) && (n == 0 || k == 0 || (w && packed)));
}

/* Products on a file's own blocks: is the type one, are rows whole blocks, does the format do it? */
static int check_blocks(const struct ech_linear_args *a)
{
    const struct ech_block_type *type = ech_block_type(a->w_type);
    if (!type || a->k % type->elements != 0)
        return ECH_OP_SHAPE;
    bool ok = a->y_type != ECH_A_Q8 && (a->format == ECH_FMT_BLOCK || type->group > 0);
    return ok ? ECH_OP_OK : ECH_OP_UNSUPPORTED;
}

/* Does a product of this format take x of this type? */
static bool x_type_ok(enum ech_format format, enum ech_atype type)
{
    static const enum ech_format taker[ECH_ATYPES] = {
        [ECH_A_BF16] = ECH_FMT_BF16, [ECH_A_Q8] = ECH_FMT_INT8, [ECH_A_F16] = ECH_FMT_F16};
    return type == ECH_A_F32 || taker[type] == format;
}

/* A matrix of activations: a Q8 row is padded, and its scales are elsewhere. */
static bool activations_ok(const void *p, enum ech_atype type, int64_t rows, int64_t cols, int64_t ld,
                           const float *scale)
{
    if (type == ECH_A_Q8 && rows > 0 && (!scale || ld < ech_q8_stride(cols)))
        return false;
    return matrix_ok(p, rows, cols, ld);
}

int ech_check_linear(const struct ech_linear_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->m) || !length_ok(a->n) || !length_ok(a->k) ||
        !act_ok(a->act) || !format_ok(a->format) || !depth_ok(a->format, a->k) || !atype_ok(a->x_type) ||
        !atype_ok(a->y_type) || !multiplier_ok(a))
        return ECH_OP_SHAPE;
    if (!x_type_ok(a->format, a->x_type))
        return ECH_OP_UNSUPPORTED;
    int rc = ech_format_in_place(a->format) ? check_blocks(a) : ECH_OP_OK;
    if (rc)
        return rc;
    if (a->m == 0 || a->n == 0)
        return ECH_OP_OK;
    return verdict((a->k == 0 || a->packed) &&
                   activations_ok(a->x, a->x_type, a->m, a->k, a->ldx, a->x_scale) &&
                   activations_ok(a->y, a->y_type, a->m, a->n, a->ldy, a->y_scale) &&
                   (!a->residual || (matrix_ok(a->residual, a->m, a->n, a->ldr) &&
                                     (a->y_type == ECH_A_F32 || a->residual != a->y))));
}

int ech_check_convert(const struct ech_convert_args *a)
{
    return verdict(a && a->size >= sizeof *a && atype_ok(a->x_type) && atype_ok(a->y_type) &&
                   activations_ok(a->x, a->x_type, a->rows, a->cols, a->ldx, a->x_scale) &&
                   activations_ok(a->y, a->y_type, a->rows, a->cols, a->ldy, a->y_scale));
}

/* Parts times cols fits int64_t. */
static const int64_t PARTS_MAX = (int64_t)1 << 30;

int ech_check_norm(const struct ech_norm_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->cols) || a->parts < 0 || a->parts > PARTS_MAX)
        return ECH_OP_SHAPE;
    const int64_t parts = a->parts ? a->parts : 1;
    if (!matrix_ok(a->x, a->rows, parts * a->cols, a->ldx) ||
        !matrix_ok(a->y, a->rows, parts * a->cols, a->ldy) || (a->also && parts > 1))
        return ECH_OP_SHAPE;
    if ((int)a->kind < ECH_NORM_LAYER || (int)a->kind > ECH_NORM_RMS)
        return ECH_OP_SHAPE;
    /* What a kind would pass over in silence. */
    if (a->kind == ECH_NORM_RMS ? a->shift != NULL : a->gain_offset != 0)
        return ECH_OP_SHAPE;
    if (a->also && (!atype_ok(a->also_type) || a->also_type == ECH_A_F32 ||
                    !activations_ok(a->also, a->also_type, a->rows, a->cols, a->ld_also, a->also_scale)))
        return ECH_OP_SHAPE;
    return verdict(a->gain || a->rows == 0 || a->cols == 0);
}

/* What the CPU's attention computes in, and the types it takes and gives with that: keys and values in bf16
 * always, the rest with compute BF16. */
static int attention_types(const struct ech_attention_args *a)
{
    const enum ech_atype types[] = {a->q_type, a->kv_type, a->out_type};
    if ((int)a->compute < 0 || a->compute >= ECH_FORMATS)
        return ECH_OP_SHAPE;
    bool bf16 = a->compute == ECH_FMT_BF16, done = bf16 || a->compute == ECH_FMT_F32;
    for (int i = 0; i < 3; i++) {
        if ((int)types[i] < 0 || types[i] >= ECH_ATYPES)
            return ECH_OP_SHAPE;
        done = done && (types[i] == ECH_A_F32 || ((bf16 || i == 1) && types[i] == ECH_A_BF16));
    }
    return done ? ECH_OP_OK : ECH_OP_UNSUPPORTED;
}

/* Biases are read by positions: a square as wide as the longest sequence, and no position below 0. */
static bool bias_ok(const struct ech_attention_args *a)
{
    if (!a->bias)
        return true;
    if (!length_ok(a->bias_span) || a->bias_span < ech_attention_longest(a))
        return false;
    for (int64_t s = 0; s < a->sequences && a->key_starts; s++)
        if (a->starts[s + 1] - a->starts[s] > ech_attention_keys(a, s, &(int64_t){0}))
            return false;
    return true;
}

/* Keys of a cache lie in any order; *rows: how many rows of k and v hold them all. */
static bool key_counts_ok(const struct ech_attention_args *a, int64_t *rows)
{
    *rows = 0;
    if (!a->key_starts)
        return false;
    for (int64_t s = 0; s < a->sequences; s++) {
        const int64_t first = a->key_starts[s], count = a->key_counts[s];
        if (!length_ok(first) || !length_ok(count) || first + count > LENGTH_MAX)
            return false;
        *rows = first + count > *rows ? first + count : *rows;
    }
    return true;
}

/* And packed ones. */
static bool keys_ok(const struct ech_attention_args *a, int64_t *rows)
{
    if (a->key_counts)
        return key_counts_ok(a, rows);
    const int64_t *starts = a->key_starts ? a->key_starts : a->starts;
    if (!starts_ok(starts, a->sequences))
        return false;
    *rows = a->sequences ? starts[a->sequences] : 0;
    return true;
}

int64_t ech_attention_longest(const struct ech_attention_args *a)
{
    int64_t queries = ech_longest(a->starts, a->sequences);
    int64_t keys = 0;
    for (int64_t s = 0; s < a->sequences && a->key_starts; s++) {
        int64_t first, count = ech_attention_keys(a, s, &first);
        keys = count > keys ? count : keys;
    }
    return queries == 0 || queries > keys ? queries : keys;
}

int ech_check_gate(const struct ech_gate_args *a)
{
    return verdict(a && a->size >= sizeof *a && act_ok(a->act) &&
                   matrix_ok(a->gate, a->rows, a->cols, a->ldg) &&
                   matrix_ok(a->up, a->rows, a->cols, a->ldu) && matrix_ok(a->y, a->rows, a->cols, a->ldy));
}

int ech_check_rotary(const struct ech_rotary_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->heads) || !length_ok(a->head_dim) ||
        !matrix_ok(a->x, a->rows, a->heads * a->head_dim, a->ldx))
        return ECH_OP_SHAPE;
    if (a->rotary < 0 || a->rotary > a->head_dim || a->rotary % 2 != 0 || !length_ok(a->table_rows))
        return ECH_OP_SHAPE;
    if (a->rows == 0 || a->heads == 0 || a->rotary == 0)
        return ECH_OP_OK;
    if (!a->cos || !a->sin || !a->positions)
        return ECH_OP_SHAPE;
    for (int64_t r = 0; r < a->rows; r++)
        if (a->positions[r] < 0 || a->positions[r] >= a->table_rows)
            return ECH_OP_SHAPE;
    return ECH_OP_OK;
}

int ech_check_topk(const struct ech_topk_args *a)
{
    if (!a || a->size < sizeof *a || !matrix_ok(a->x, a->rows, a->cols, a->ldx))
        return ECH_OP_SHAPE;
    return verdict(a->count >= 0 && a->count <= a->cols && (a->indices || a->rows == 0 || a->count == 0));
}

int ech_check_combine(const struct ech_combine_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->take) || !length_ok(a->x_rows) ||
        !matrix_ok(a->y, a->rows, a->cols, a->ldy))
        return ECH_OP_SHAPE;
    if (a->rows == 0 || a->cols == 0 || a->take == 0)
        return ECH_OP_OK;
    if (!a->index || !matrix_ok(a->x, a->x_rows, a->cols, a->ldx))
        return ECH_OP_SHAPE;
    for (int64_t i = 0; i < a->rows * a->take; i++)
        if (a->index[i] < 0 || a->index[i] >= a->x_rows)
            return ECH_OP_SHAPE;
    return ECH_OP_OK;
}

int ech_check_ssru(const struct ech_ssru_args *a)
{
    return verdict(a && a->size >= sizeof *a && matrix_ok(a->forget, a->rows, a->cols, a->ldf) &&
                   matrix_ok(a->x, a->rows, a->cols, a->ldx) &&
                   matrix_ok(a->cell, a->rows, a->cols, a->ldc) && matrix_ok(a->y, a->rows, a->cols, a->ldy));
}

int ech_check_relative(const struct ech_relative_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->centre) || !matrix_ok(a->y, a->rows, a->rows, a->ldy))
        return ECH_OP_SHAPE;
    if (a->rows == 0)
        return ECH_OP_OK;
    if ((!a->content && !a->position) || !a->index || a->rows > a->centre + 1 ||
        (a->content && !matrix_ok(a->content, a->rows, a->cols, a->ldc)) ||
        (a->position && !matrix_ok(a->position, a->rows, a->cols, a->ldp)))
        return ECH_OP_SHAPE;
    for (int64_t gap = 1 - a->rows; gap < a->rows; gap++)
        if (a->index[a->centre + gap] < 0 || a->index[a->centre + gap] >= a->cols)
            return ECH_OP_SHAPE;
    return ECH_OP_OK;
}

int ech_check_attention(const struct ech_attention_args *a)
{
    static const int64_t DISTANCE_MAX = (int64_t)1 << 24; /* exact in f32 */
    int64_t keys;
    if (!a || a->size < sizeof *a || !starts_ok(a->starts, a->sequences) || !keys_ok(a, &keys))
        return ECH_OP_SHAPE;
    if (a->heads < 1 || a->kv_heads < 1 || a->head_dim < 1 || a->heads > LENGTH_MAX ||
        a->head_dim > LENGTH_MAX || a->heads % a->kv_heads != 0)
        return ECH_OP_SHAPE;
    int rc = attention_types(a);
    if (rc)
        return rc;
    if (!length_ok(a->window) || !(a->softcap >= 0 && a->softcap < INFINITY))
        return ECH_OP_SHAPE;
    int64_t queries = a->sequences ? a->starts[a->sequences] : 0;
    int64_t wide = a->heads * a->head_dim, narrow = a->kv_heads * a->head_dim;
    return verdict(matrix_ok(a->q, queries, wide, a->ldq) && matrix_ok(a->k, keys, narrow, a->ldk) &&
                   matrix_ok(a->v, keys, narrow, a->ldv) && matrix_ok(a->out, queries, wide, a->ldo) &&
                   bias_ok(a) && (!a->slopes || ech_attention_longest(a) <= DISTANCE_MAX));
}

int ech_check_embed(const struct ech_embed_args *a)
{
    if (!a || a->size < sizeof *a || a->tables_count < 1 || a->tables_count > 4 ||
        !matrix_ok(a->y, a->count, a->cols, a->cols))
        return ECH_OP_SHAPE;
    if (a->count == 0 || a->cols == 0)
        return ECH_OP_OK;
    for (int64_t t = 0; t < a->tables_count; t++) {
        const struct ech_block_type *type = ech_block_type(a->wtype[t]);
        if (!type || a->cols % type->elements != 0 || !a->ids[t] ||
            !matrix_ok(a->tables[t], a->rows[t], a->cols, a->cols))
            return ECH_OP_SHAPE;
        for (int64_t i = 0; i < a->count; i++)
            if (a->ids[t][i] < 0 || a->ids[t][i] >= a->rows[t])
                return ECH_OP_SHAPE;
    }
    return ECH_OP_OK;
}

int ech_check_pool(const struct ech_pool_args *a)
{
    if (!a || a->size < sizeof *a || !starts_ok(a->starts, a->sequences))
        return ECH_OP_SHAPE;
    if ((int)a->kind < ECH_POOL_MEAN || (int)a->kind > ECH_POOL_MAX)
        return ECH_OP_SHAPE;
    int64_t tokens = a->sequences ? a->starts[a->sequences] : 0;
    return verdict(matrix_ok(a->x, tokens, a->cols, a->ldx) &&
                   matrix_ok(a->out, a->sequences, a->cols, a->cols));
}

int ech_check_activate(enum ech_act act, const float *x, int64_t count)
{
    return verdict(act_ok(act) && count >= 0 && count <= LENGTH_MAX * LENGTH_MAX && (x || count == 0));
}

int ech_check_softmax(const float *x, int64_t rows, int64_t cols, int64_t ld)
{
    return verdict(matrix_ok(x, rows, cols, ld));
}
