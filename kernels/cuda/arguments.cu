/* The argument checks (arguments.h): O(1), or O(sequences). */
#include "kernels/cuda/arguments.h"

/* No length or stride above this: every product of two of them and a float's size fits int64_t. */
static const int64_t LENGTH_MAX = (int64_t)1 << 30;

static int verdict(bool ok)
{
    return ok ? ECH_OP_OK : ECH_OP_SHAPE;
}

static bool length_ok(int64_t n)
{
    return n >= 0 && n <= LENGTH_MAX;
}

static bool matrix_ok(const void *p, int64_t rows, int64_t cols, int64_t ld)
{
    if (!length_ok(rows) || !length_ok(cols))
        return false;
    return rows == 0 || cols == 0 || (p && ld >= cols && ld <= LENGTH_MAX);
}

static bool type_ok(enum ech_atype t)
{
    return (int)t >= ECH_A_F32 && (int)t < ECH_ATYPES;
}

/* The same for activations of a type; a Q8 matrix has scales and padded rows. */
static bool typed_ok(const void *p, enum ech_atype type, const float *scale, int64_t rows, int64_t cols,
                     int64_t ld)
{
    if (!type_ok(type) || !matrix_ok(p, rows, cols, ld))
        return false;
    return type != ECH_A_Q8 || rows == 0 || cols == 0 || (scale && ld >= ech_q8_stride(cols));
}

static bool act_ok(enum ech_act act)
{
    return (int)act >= ECH_ACT_NONE && (int)act < ECH_ACTS;
}

static bool format_ok(enum ech_format f)
{
    return f == ECH_FMT_F32 || f == ECH_FMT_BF16 || f == ECH_FMT_F16 || f == ECH_FMT_INT8;
}

static bool format_known(enum ech_format f)
{
    return (int)f >= 0 && f < ECH_FORMATS;
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

int cuda_check_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                    const void *packed, int64_t part, int64_t parts)
{
    if (!format_ok(format))
        return format_known(format) ? ECH_OP_UNSUPPORTED : ECH_OP_SHAPE;
    bool ok = length_ok(n) && length_ok(k) && (int)type >= ECH_W_F32 && (int)type <= ECH_W_BF16 &&
              parts >= 1 && length_ok(parts) && part >= 0 && part < parts;
    return verdict(ok && (n == 0 || k == 0 || (w && packed)));
}

/* The type of x beside f32 that a format takes as it is. */
static enum ech_atype native(enum ech_format format)
{
    return format == ECH_FMT_BF16   ? ECH_A_BF16
           : format == ECH_FMT_F16  ? ECH_A_F16
           : format == ECH_FMT_INT8 ? ECH_A_Q8
                                    : ECH_A_F32;
}

/* Products on a file's own blocks. */
static int check_blocks(const struct ech_linear_args *a)
{
    const struct ech_block_type *type = ech_block_type(a->w_type);
    if (!type || a->k % type->elements != 0)
        return ECH_OP_SHAPE;
    if (a->x_type != ECH_A_F32 || a->y_type == ECH_A_Q8 ||
        (a->format == ECH_FMT_BLOCK_INT8 && type->group == 0))
        return ECH_OP_UNSUPPORTED;
    if (a->m == 0 || a->n == 0)
        return ECH_OP_OK;
    bool own_residual = a->residual && (const void *)a->residual == a->y && a->y_type != ECH_A_F32;
    return verdict((a->k == 0 || a->packed) && matrix_ok(a->x, a->m, a->k, a->ldx) &&
                   matrix_ok(a->y, a->m, a->n, a->ldy) &&
                   (!a->residual || matrix_ok(a->residual, a->m, a->n, a->ldr)) && !own_residual);
}

int cuda_check_linear(const struct ech_linear_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->m) || !length_ok(a->n) || !length_ok(a->k) ||
        !act_ok(a->act) || !format_known(a->format) || !type_ok(a->x_type) || !type_ok(a->y_type))
        return ECH_OP_SHAPE;
    if (ech_format_in_place(a->format))
        return check_blocks(a);
    if (!format_ok(a->format) || (a->x_type != ECH_A_F32 && a->x_type != native(a->format)))
        return ECH_OP_UNSUPPORTED;
    if (a->m == 0 || a->n == 0)
        return ECH_OP_OK;
    bool own_residual = a->residual && (const void *)a->residual == a->y && a->y_type != ECH_A_F32;
    bool packed_ok = a->k == 0 || (a->packed && (uintptr_t)a->packed % 16 == 0);
    return verdict(packed_ok && typed_ok(a->x, a->x_type, a->x_scale, a->m, a->k, a->ldx) &&
                   typed_ok(a->y, a->y_type, a->y_scale, a->m, a->n, a->ldy) &&
                   (!a->residual || matrix_ok(a->residual, a->m, a->n, a->ldr)) && !own_residual);
}

int cuda_check_convert(const struct ech_convert_args *a)
{
    return verdict(a && a->size >= sizeof *a &&
                   typed_ok(a->x, a->x_type, a->x_scale, a->rows, a->cols, a->ldx) &&
                   typed_ok(a->y, a->y_type, a->y_scale, a->rows, a->cols, a->ldy));
}

int cuda_check_norm(const struct ech_norm_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->cols) || !length_ok(a->parts))
        return ECH_OP_SHAPE;
    const int64_t parts = a->parts ? a->parts : 1;
    if (!matrix_ok(a->x, a->rows, parts * a->cols, a->ldx) ||
        !matrix_ok(a->y, a->rows, parts * a->cols, a->ldy) || (a->also && parts > 1) ||
        (a->kind != ECH_NORM_LAYER && a->kind != ECH_NORM_RMS))
        return ECH_OP_SHAPE;
    if (a->also && !typed_ok(a->also, a->also_type, a->also_scale, a->rows, a->cols, a->ld_also))
        return ECH_OP_SHAPE;
    return verdict(a->gain || a->rows == 0 || a->cols == 0);
}

/* Keys of a cache, anywhere. */
static bool counts_ok(const struct ech_attention_args *a)
{
    for (int64_t s = 0; s < a->sequences; s++)
        if (!a->key_starts || !length_ok(a->key_starts[s]) || !length_ok(a->key_counts[s]) ||
            a->key_starts[s] + a->key_counts[s] > LENGTH_MAX)
            return false;
    return true;
}

/* Every sequence has a place for its keys, and the bias one for each pair of positions, none below 0; *rows:
 * of k and v that hold all. */
static bool keys_ok(const struct ech_attention_args *a, int64_t *rows)
{
    *rows = 0;
    if (a->key_counts ? !counts_ok(a) : a->key_starts && !starts_ok(a->key_starts, a->sequences))
        return false;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t first, keys = ech_attention_keys(a, s, &first);
        int64_t queries = a->starts[s + 1] - a->starts[s];
        *rows = first + keys > *rows ? first + keys : *rows;
        if (!a->bias)
            continue;
        if (!length_ok(a->bias_span) || queries > keys || a->bias_span < keys)
            return false;
    }
    return true;
}

int cuda_check_attention(const struct ech_attention_args *a)
{
    int64_t keys;
    if (!a || a->size < sizeof *a || !starts_ok(a->starts, a->sequences))
        return ECH_OP_SHAPE;
    if (a->heads < 1 || a->kv_heads < 1 || a->head_dim < 1 || a->heads > LENGTH_MAX ||
        a->head_dim > LENGTH_MAX || a->heads % a->kv_heads != 0 || a->window < 0 || !(a->softcap >= 0) ||
        !keys_ok(a, &keys))
        return ECH_OP_SHAPE;
    if (!type_ok(a->q_type) || !type_ok(a->kv_type) || !type_ok(a->out_type) || !format_known(a->compute))
        return ECH_OP_SHAPE;
    int64_t queries = a->sequences ? a->starts[a->sequences] : 0;
    int64_t wide = a->heads * a->head_dim, narrow = a->kv_heads * a->head_dim;
    return verdict(matrix_ok(a->q, queries, wide, a->ldq) && matrix_ok(a->k, keys, narrow, a->ldk) &&
                   matrix_ok(a->v, keys, narrow, a->ldv) && matrix_ok(a->out, queries, wide, a->ldo));
}

int cuda_check_embed(const struct ech_embed_args *a)
{
    if (!a || a->size < sizeof *a || a->tables_count < 1 || a->tables_count > 4 ||
        !matrix_ok(a->y, a->count, a->cols, a->cols))
        return ECH_OP_SHAPE;
    for (int64_t t = 0; t < a->tables_count && a->count > 0 && a->cols > 0; t++) {
        const struct ech_block_type *type = ech_block_type(a->wtype[t]);
        if (!type || a->cols % type->elements != 0 || !a->ids[t] ||
            !matrix_ok(a->tables[t], a->rows[t], a->cols, a->cols))
            return ECH_OP_SHAPE;
    }
    return ECH_OP_OK;
}

int cuda_check_pool(const struct ech_pool_args *a)
{
    if (!a || a->size < sizeof *a || !starts_ok(a->starts, a->sequences) || (int)a->kind < ECH_POOL_MEAN ||
        (int)a->kind > ECH_POOL_MAX)
        return ECH_OP_SHAPE;
    int64_t tokens = a->sequences ? a->starts[a->sequences] : 0;
    return verdict(matrix_ok(a->x, tokens, a->cols, a->ldx) &&
                   matrix_ok(a->out, a->sequences, a->cols, a->cols));
}

int cuda_check_gate(const struct ech_gate_args *a)
{
    return verdict(a && a->size >= sizeof *a && act_ok(a->act) &&
                   matrix_ok(a->gate, a->rows, a->cols, a->ldg) &&
                   matrix_ok(a->up, a->rows, a->cols, a->ldu) && matrix_ok(a->y, a->rows, a->cols, a->ldy));
}

int cuda_check_rotary(const struct ech_rotary_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->rows) || a->heads < 1 || a->heads > LENGTH_MAX ||
        a->head_dim < 1 || a->head_dim > LENGTH_MAX || a->rotary < 0 || a->rotary % 2 ||
        a->rotary > a->head_dim)
        return ECH_OP_SHAPE;
    if (a->rows == 0 || a->rotary == 0)
        return ECH_OP_OK;
    return verdict(matrix_ok(a->x, a->rows, a->heads * a->head_dim, a->ldx) && a->positions &&
                   matrix_ok(a->cos, a->table_rows, a->rotary / 2, a->rotary / 2) &&
                   matrix_ok(a->sin, a->table_rows, a->rotary / 2, a->rotary / 2));
}

int cuda_check_combine(const struct ech_combine_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->take) || !length_ok(a->x_rows) ||
        !matrix_ok(a->y, a->rows, a->cols, a->ldy))
        return ECH_OP_SHAPE;
    return verdict(a->rows == 0 || a->cols == 0 || a->take == 0 ||
                   (a->index && matrix_ok(a->x, a->x_rows, a->cols, a->ldx)));
}

int cuda_check_ssru(const struct ech_ssru_args *a)
{
    return verdict(a && a->size >= sizeof *a && matrix_ok(a->forget, a->rows, a->cols, a->ldf) &&
                   matrix_ok(a->x, a->rows, a->cols, a->ldx) &&
                   matrix_ok(a->cell, a->rows, a->cols, a->ldc) && matrix_ok(a->y, a->rows, a->cols, a->ldy));
}

int cuda_check_relative(const struct ech_relative_args *a)
{
    if (!a || a->size < sizeof *a || !length_ok(a->centre) || !matrix_ok(a->y, a->rows, a->rows, a->ldy))
        return ECH_OP_SHAPE;
    return verdict(a->rows == 0 || ((a->content || a->position) && a->index && a->rows <= a->centre + 1 &&
                                    (!a->content || matrix_ok(a->content, a->rows, a->cols, a->ldc)) &&
                                    (!a->position || matrix_ok(a->position, a->rows, a->cols, a->ldp))));
}

int cuda_check_activate(enum ech_act act, const float *x, int64_t count)
{
    return verdict(act_ok(act) && count >= 0 && count <= LENGTH_MAX * 256 && (x || count == 0));
}

int cuda_check_softmax(const float *x, int64_t rows, int64_t cols, int64_t ld)
{
    return verdict(matrix_ok(x, rows, cols, ld));
}
