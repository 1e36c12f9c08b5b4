/* Pieces and their tensors: see pieces.h. */
#include "model/pieces.h"

#include "base/mem.h"

#include <string.h>

enum { NONE = ECH_T_SLOTS };

/* A piece of several slots has them one under the other; `fused` holds them all, where the model has it. */
static const struct {
    enum ech_piece_kind kind;
    int count;
    int slot[ECH_MATRIX_PARTS], fused;
} table[ECH_PIECES] = {
#define ONE(piece, of, slot) [ECH_P_##piece] = {ECH_PIECE_##of, 1, {slot}, NONE}
#define PAIR(piece)          ONE(piece##_W, MATRIX, ECH_T_##piece##_W), ONE(piece##_B, VECTOR, ECH_T_##piece##_B)
#define NORM(piece)          ONE(piece##_W, VECTOR, ECH_T_##piece##_W), ONE(piece##_B, VECTOR, ECH_T_##piece##_B)
    ONE(WORD, TABLE, ECH_T_WORD),
    ONE(POSITION, TABLE, ECH_T_POSITION),
    ONE(TYPE, TABLE, ECH_T_TYPE),
    NORM(NORM),
    PAIR(PROJECT),
    ONE(RELATIVE, SPREAD, ECH_T_RELATIVE),
    [ECH_P_SLOPES] = {ECH_PIECE_SLOPES},
    [ECH_P_ROPE] = {ECH_PIECE_ROPE},
    [ECH_P_ROPE_LOCAL] = {ECH_PIECE_ROPE},
    [ECH_P_RELINDEX] = {ECH_PIECE_INDEX},
    NORM(FINAL),
    PAIR(UNPROJECT),
    PAIR(HEAD),
    PAIR(POOL),
    NORM(POOLNORM),
    PAIR(CLASS),
    [ECH_P_QKV_W] = {ECH_PIECE_MATRIX, 3, {ECH_T_Q_W, ECH_T_K_W, ECH_T_V_W}, ECH_T_QKV_W},
    [ECH_P_QKV_B] = {ECH_PIECE_VECTOR, 3, {ECH_T_Q_B, ECH_T_K_B, ECH_T_V_B}, ECH_T_QKV_B},
    PAIR(O),
    ONE(QNORM_W, VECTOR, ECH_T_QNORM_W),
    ONE(KNORM_W, VECTOR, ECH_T_KNORM_W),
    NORM(IN1),
    NORM(OUT1),
    NORM(NORM1),
    PAIR(CELL),
    PAIR(FORGET),
    PAIR(XQ),
    [ECH_P_XKV_W] = {ECH_PIECE_MATRIX, 2, {ECH_T_XK_W, ECH_T_XV_W}, NONE},
    [ECH_P_XKV_B] = {ECH_PIECE_VECTOR, 2, {ECH_T_XK_B, ECH_T_XV_B}, NONE},
    PAIR(XO),
    NORM(INX),
    NORM(NORMX),
    [ECH_P_UP_W] = {ECH_PIECE_MATRIX, 2, {ECH_T_GATE_W, ECH_T_UP_W}, ECH_T_GATEUP_W},
    [ECH_P_UP_B] = {ECH_PIECE_VECTOR, 2, {ECH_T_GATE_B, ECH_T_UP_B}, ECH_T_GATEUP_B},
    PAIR(DOWN),
    NORM(IN2),
    NORM(OUT2),
    NORM(NORM2),
    [ECH_P_RELKEY] = {ECH_PIECE_DISTANCES},
    [ECH_P_RELQUERY] = {ECH_PIECE_DISTANCES},
    ONE(ROUTER_W, MATRIX, ECH_T_ROUTER_W),
    [ECH_P_ROUTER_B] = {ECH_PIECE_VECTOR, 0, {NONE}, NONE},
    [ECH_P_XUP_W] = {ECH_PIECE_MATRIX, 2, {ECH_T_XGATE_W, ECH_T_XUP_W}, NONE},
    ONE(XDOWN_W, MATRIX, ECH_T_XDOWN_W),
};

enum ech_piece_kind ech_piece_kind(enum ech_packed_piece piece)
{
    return table[piece].kind;
}

static const struct ech_tensor *tensor_of(const struct ech_bound *b, int slot, int64_t set, int64_t expert)
{
    if (slot == NONE)
        return NULL;
    if (slot >= ECH_T_EXPERT)
        return ech_bound_expert(b, (enum ech_slot)slot, set, expert);
    return ech_bound_at(b, (enum ech_slot)slot, set);
}

/* Rows of one tensor as the product has them. */
static int64_t rows_of(const struct ech_tensor *t, bool vector, bool in_out)
{
    return vector ? t->elements : t->shape[in_out ? 1 : 0];
}

/* A bias that one of several lacks is zeros: its length is that of its weight. */
static int64_t missing_rows(const struct ech_spec *s, enum ech_packed_piece piece, int i)
{
    int64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    if (piece == ECH_P_QKV_B)
        return i == 0 ? q : kv;
    return piece == ECH_P_XKV_B ? kv : s->intermediate;
}

static bool gather(const struct ech_spec *s, const struct ech_bound *b, enum ech_packed_piece piece,
                   int64_t set, int64_t expert, struct ech_sources *out)
{
    bool vector = table[piece].kind == ECH_PIECE_VECTOR, any = false;
    for (int i = 0; i < table[piece].count; i++) {
        const struct ech_tensor *t = tensor_of(b, table[piece].slot[i], set, expert);
        bool gate = table[piece].slot[i] == ECH_T_GATE_W || table[piece].slot[i] == ECH_T_GATE_B;
        if ((!t && !vector) || (!t && gate && !s->gated))
            continue;
        out->tensor[out->count] = t;
        out->rows[out->count] = t || table[piece].count == 1 ? 0 : missing_rows(s, piece, i);
        if (t)
            out->rows[out->count] = rows_of(t, vector, out->in_out);
        out->n += out->rows[out->count++];
        any = any || t;
    }
    return any;
}

bool ech_piece_sources(const struct ech_spec *s, const struct ech_bound *b, enum ech_packed_piece piece,
                       int64_t set, int64_t expert, struct ech_sources *out)
{
    bool vector = table[piece].kind == ECH_PIECE_VECTOR, layer = piece >= ECH_P_LAYER;
    const struct ech_tensor *fused =
        table[piece].count ? tensor_of(b, table[piece].fused, set, expert) : NULL;
    *out = (struct ech_sources){.in_out = s->in_out && layer && !vector};
    if (table[piece].count == 0)
        return false;
    if (fused) {
        out->count = 1;
        out->tensor[0] = fused;
        out->n = out->rows[0] = rows_of(fused, vector, out->in_out);
        out->by_head = s->fused == ECH_FUSED_BY_HEAD && (piece == ECH_P_QKV_W || piece == ECH_P_QKV_B);
    } else if (!gather(s, b, piece, set, expert, out))
        return false;
    const struct ech_tensor *t = out->tensor[0];
    out->k = vector ? 1 : t->shape[out->in_out ? 0 : 1];
    return true;
}

int64_t ech_piece_row(const struct ech_spec *s, int64_t r)
{
    int64_t d = s->head_dim, each = s->heads / s->kv_heads, q = s->heads * d, kv = s->kv_heads * d;
    int64_t which = r < q ? 0 : r < q + kv ? 1 : 2;
    int64_t at = which == 0 ? r : which == 1 ? r - q : r - q - kv, head = at / d;
    int64_t group = which ? head : head / each, place = which ? each + which - 1 : head % each;
    return (group * (each + 2) + place) * d + at % d;
}

static int by_head(const struct ech_spec *s, const struct ech_sources *from, float *out, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t r = 0; code == ECH_OK && r < from->n; r++)
        code = ech_tensor_to_f32(from->tensor[0], ech_piece_row(s, r) * from->k, from->k, out + r * from->k,
                                 err);
    return code;
}

/* [k, n] as it is stored becomes (n, k). */
static int turned(const struct ech_tensor *t, int64_t n, int64_t k, float *out, struct ech_err *err)
{
    float *row = ech_calloc((size_t)n, sizeof *row, err);
    int code = row ? ECH_OK : ECH_UNAVAILABLE;
    for (int64_t i = 0; code == ECH_OK && i < k; i++) {
        code = ech_tensor_to_f32(t, i * n, n, row, err);
        for (int64_t j = 0; j < n; j++)
            out[j * k + i] = row[j];
    }
    ech_free(row);
    return code;
}

int ech_piece_floats(const struct ech_spec *s, const struct ech_sources *from, float *out,
                     struct ech_err *err)
{
    int code = ECH_OK;
    if (from->by_head && !from->in_out)
        return by_head(s, from, out, err);
    for (int i = 0; code == ECH_OK && i < from->count; i++) {
        const struct ech_tensor *t = from->tensor[i];
        if (!t)
            memset(out, 0, (size_t)(from->rows[i] * from->k) * sizeof *out);
        else if (from->in_out)
            code = turned(t, from->rows[i], from->k, out, err);
        else
            code = ech_tensor_to_f32(t, 0, t->elements, out, err);
        out += from->rows[i] * from->k;
    }
    return code;
}
