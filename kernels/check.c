/* The argument checks of all backends (check.h). Cheap beside the work: O(1), O(sequences) or O(ids). */
#include "kernels/check.h"

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
    return (int)act >= ECH_ACT_NONE && (int)act <= ECH_ACT_TANH;
}

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

int ech_check_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                   const void *packed, int64_t part, int64_t parts)
{
    bool ok = format_ok(format) && length_ok(n) && length_ok(k) && type_ok(type) && parts >= 1 &&
              length_ok(parts) && part >= 0 && part < parts;
    return verdict(ok && depth_ok(format, k) && (n == 0 || k == 0 || (w && packed)));
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
        !atype_ok(a->y_type))
        return ECH_OP_SHAPE;
    if (!x_type_ok(a->format, a->x_type))
        return ECH_OP_UNSUPPORTED;
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

int ech_check_norm(const struct ech_norm_args *a)
{
    if (!a || a->size < sizeof *a || !matrix_ok(a->x, a->rows, a->cols, a->ldx) ||
        !matrix_ok(a->y, a->rows, a->cols, a->ldy))
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

int ech_check_attention(const struct ech_attention_args *a)
{
    if (!a || a->size < sizeof *a || !starts_ok(a->starts, a->sequences))
        return ECH_OP_SHAPE;
    if (a->heads < 1 || a->kv_heads < 1 || a->head_dim < 1 || a->heads > LENGTH_MAX ||
        a->head_dim > LENGTH_MAX || a->heads % a->kv_heads != 0)
        return ECH_OP_SHAPE;
    if (a->compute != ECH_FMT_F32 || a->q_type || a->kv_type || a->out_type || a->key_starts || a->window ||
        a->slopes || a->softcap != 0)
        return ECH_OP_UNSUPPORTED;
    int64_t tokens = a->sequences ? a->starts[a->sequences] : 0;
    int64_t wide = a->heads * a->head_dim, narrow = a->kv_heads * a->head_dim;
    if (!matrix_ok(a->q, tokens, wide, a->ldq) || !matrix_ok(a->k, tokens, narrow, a->ldk) ||
        !matrix_ok(a->v, tokens, narrow, a->ldv) || !matrix_ok(a->out, tokens, wide, a->ldo))
        return ECH_OP_SHAPE;
    if (a->bias && (!length_ok(a->bias_span) || a->bias_span < ech_longest(a->starts, a->sequences)))
        return ECH_OP_SHAPE;
    return ECH_OP_OK;
}

int ech_check_embed(const struct ech_embed_args *a)
{
    if (!a || a->size < sizeof *a || a->tables_count < 1 || a->tables_count > 4 ||
        !matrix_ok(a->y, a->count, a->cols, a->cols))
        return ECH_OP_SHAPE;
    if (a->count == 0 || a->cols == 0)
        return ECH_OP_OK;
    for (int64_t t = 0; t < a->tables_count; t++) {
        if (!type_ok(a->wtype[t]) || !a->ids[t] || !matrix_ok(a->tables[t], a->rows[t], a->cols, a->cols))
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
