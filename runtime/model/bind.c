/* From a specification to the tensors of a file: prefix, names, types, shapes. */
#include "model/spec.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 512 };

enum side {
    SIDE_NONE,
    SIDE_VOCAB,
    SIDE_POSITIONS,
    SIDE_TYPES,
    SIDE_EMBED,
    SIDE_PLACE, /* width of the position table */
    SIDE_HIDDEN,
    SIDE_INNER,
    SIDE_INNER2, /* gate and up */
    SIDE_BIASES, /* rows of the relative table */
    SIDE_HEADS,  /* its columns */
    SIDE_Q,
    SIDE_KV,
    SIDE_QKV,
    SIDE_QNORM,
    SIDE_KNORM,
    SIDE_CLASSES,
    SIDE_EXPERTS,
    SIDE_XINNER
};

/* Shape of each slot; a bias has its weight's first side. */
static const enum side shapes[ECH_T_SLOTS][2] = {
    [ECH_T_WORD] = {SIDE_VOCAB, SIDE_EMBED},
    [ECH_T_POSITION] = {SIDE_POSITIONS, SIDE_PLACE},
    [ECH_T_TYPE] = {SIDE_TYPES, SIDE_EMBED},
    [ECH_T_NORM_W] = {SIDE_EMBED},
    [ECH_T_NORM_B] = {SIDE_EMBED},
    [ECH_T_PROJECT_W] = {SIDE_HIDDEN, SIDE_EMBED},
    [ECH_T_PROJECT_B] = {SIDE_HIDDEN},
    [ECH_T_RELATIVE] = {SIDE_BIASES, SIDE_HEADS},
    [ECH_T_RELNORM_W] = {SIDE_HIDDEN},
    [ECH_T_RELNORM_B] = {SIDE_HIDDEN},
    [ECH_T_FINAL_W] = {SIDE_HIDDEN},
    [ECH_T_FINAL_B] = {SIDE_HIDDEN},
    [ECH_T_UNPROJECT_W] = {SIDE_EMBED, SIDE_HIDDEN},
    [ECH_T_UNPROJECT_B] = {SIDE_EMBED},
    [ECH_T_HEAD_W] = {SIDE_VOCAB, SIDE_EMBED},
    [ECH_T_HEAD_B] = {SIDE_VOCAB},
    [ECH_T_POOL_W] = {SIDE_HIDDEN, SIDE_HIDDEN},
    [ECH_T_POOL_B] = {SIDE_HIDDEN},
    [ECH_T_POOLNORM_W] = {SIDE_HIDDEN},
    [ECH_T_POOLNORM_B] = {SIDE_HIDDEN},
    [ECH_T_CLASS_W] = {SIDE_CLASSES, SIDE_HIDDEN},
    [ECH_T_CLASS_B] = {SIDE_CLASSES},
    [ECH_T_Q_W] = {SIDE_Q, SIDE_HIDDEN},
    [ECH_T_Q_B] = {SIDE_Q},
    [ECH_T_K_W] = {SIDE_KV, SIDE_HIDDEN},
    [ECH_T_K_B] = {SIDE_KV},
    [ECH_T_V_W] = {SIDE_KV, SIDE_HIDDEN},
    [ECH_T_V_B] = {SIDE_KV},
    [ECH_T_QKV_W] = {SIDE_QKV, SIDE_HIDDEN},
    [ECH_T_QKV_B] = {SIDE_QKV},
    [ECH_T_O_W] = {SIDE_HIDDEN, SIDE_Q},
    [ECH_T_O_B] = {SIDE_HIDDEN},
    [ECH_T_QNORM_W] = {SIDE_QNORM},
    [ECH_T_KNORM_W] = {SIDE_KNORM},
    [ECH_T_IN1_W] = {SIDE_HIDDEN},
    [ECH_T_IN1_B] = {SIDE_HIDDEN},
    [ECH_T_OUT1_W] = {SIDE_HIDDEN},
    [ECH_T_OUT1_B] = {SIDE_HIDDEN},
    [ECH_T_NORM1_W] = {SIDE_HIDDEN},
    [ECH_T_NORM1_B] = {SIDE_HIDDEN},
    [ECH_T_CELL_W] = {SIDE_HIDDEN, SIDE_HIDDEN},
    [ECH_T_CELL_B] = {SIDE_HIDDEN},
    [ECH_T_FORGET_W] = {SIDE_HIDDEN, SIDE_HIDDEN},
    [ECH_T_FORGET_B] = {SIDE_HIDDEN},
    [ECH_T_XQ_W] = {SIDE_Q, SIDE_HIDDEN},
    [ECH_T_XQ_B] = {SIDE_Q},
    [ECH_T_XK_W] = {SIDE_KV, SIDE_HIDDEN},
    [ECH_T_XK_B] = {SIDE_KV},
    [ECH_T_XV_W] = {SIDE_KV, SIDE_HIDDEN},
    [ECH_T_XV_B] = {SIDE_KV},
    [ECH_T_XO_W] = {SIDE_HIDDEN, SIDE_Q},
    [ECH_T_XO_B] = {SIDE_HIDDEN},
    [ECH_T_INX_W] = {SIDE_HIDDEN},
    [ECH_T_INX_B] = {SIDE_HIDDEN},
    [ECH_T_NORMX_W] = {SIDE_HIDDEN},
    [ECH_T_NORMX_B] = {SIDE_HIDDEN},
    [ECH_T_GATE_W] = {SIDE_INNER, SIDE_HIDDEN},
    [ECH_T_GATE_B] = {SIDE_INNER},
    [ECH_T_UP_W] = {SIDE_INNER, SIDE_HIDDEN},
    [ECH_T_UP_B] = {SIDE_INNER},
    [ECH_T_GATEUP_W] = {SIDE_INNER2, SIDE_HIDDEN},
    [ECH_T_GATEUP_B] = {SIDE_INNER2},
    [ECH_T_DOWN_W] = {SIDE_HIDDEN, SIDE_INNER},
    [ECH_T_DOWN_B] = {SIDE_HIDDEN},
    [ECH_T_IN2_W] = {SIDE_HIDDEN},
    [ECH_T_IN2_B] = {SIDE_HIDDEN},
    [ECH_T_OUT2_W] = {SIDE_HIDDEN},
    [ECH_T_OUT2_B] = {SIDE_HIDDEN},
    [ECH_T_NORM2_W] = {SIDE_HIDDEN},
    [ECH_T_NORM2_B] = {SIDE_HIDDEN},
    [ECH_T_ROUTER_W] = {SIDE_EXPERTS, SIDE_HIDDEN},
    [ECH_T_XGATE_W] = {SIDE_XINNER, SIDE_HIDDEN},
    [ECH_T_XUP_W] = {SIDE_XINNER, SIDE_HIDDEN},
    [ECH_T_XDOWN_W] = {SIDE_HIDDEN, SIDE_XINNER},
};

static int64_t length(const struct ech_spec *s, enum side side)
{
    int64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    switch (side) {
    case SIDE_VOCAB:
        return s->vocab;
    case SIDE_POSITIONS:
        return s->positions;
    case SIDE_TYPES:
        return s->types;
    case SIDE_EMBED:
        return s->embed;
    case SIDE_PLACE:
        return s->positions_after ? s->hidden : s->embed;
    case SIDE_HIDDEN:
        return s->hidden;
    case SIDE_INNER:
        return s->intermediate;
    case SIDE_INNER2:
        return 2 * s->intermediate;
    case SIDE_BIASES:
        return s->disentangled ? 2 * s->relative : s->buckets;
    case SIDE_HEADS:
        return s->disentangled ? s->hidden : s->heads;
    case SIDE_Q:
        return q;
    case SIDE_KV:
        return kv;
    case SIDE_QKV:
        return q + 2 * kv;
    case SIDE_QNORM:
        return s->qk_norm == ECH_QK_HEAD ? s->head_dim : q;
    case SIDE_KNORM:
        return s->qk_norm == ECH_QK_HEAD ? s->head_dim : kv;
    case SIDE_CLASSES:
        return s->classes;
    case SIDE_EXPERTS:
        return s->experts;
    case SIDE_XINNER:
        return s->expert_inner;
    default:
        return 0;
    }
}

static bool of_mlp(enum ech_slot slot)
{
    return slot >= ECH_T_GATE_W && slot <= ECH_T_DOWN_B;
}

/* A head's slots have the head's names, the others the architecture's. */
static const char *name_of(const struct ech_spec *s, enum ech_slot slot)
{
    if (slot >= ECH_T_POOL_W && slot < ECH_T_LAYER)
        return s->head_names ? s->head_names->at[slot - ECH_T_POOL_W] : NULL;
    return s->names[slot];
}

/* Whether this model has the slot at all; layer slots: in the first layer that uses the set. */
static bool wanted(const struct ech_spec *s, enum ech_slot slot, int64_t layer)
{
    if (!name_of(s, slot))
        return false;
    const struct ech_layer_kind *kind = ech_spec_kind(s, layer);
    if (of_mlp(slot))
        return !kind->experts;
    if (slot >= ECH_T_ROUTER_W)
        return kind->experts;
    switch (slot) {
    case ECH_T_POSITION:
        return s->table != ECH_TABLE_NONE;
    case ECH_T_TYPE:
        return s->types > 0;
    case ECH_T_PROJECT_W:
    case ECH_T_PROJECT_B:
    case ECH_T_UNPROJECT_W:
    case ECH_T_UNPROJECT_B:
        return s->embed != s->hidden;
    case ECH_T_RELATIVE:
        return s->buckets > 0 || s->disentangled;
    case ECH_T_RELNORM_W:
    case ECH_T_RELNORM_B:
        return s->relative_norm;
    case ECH_T_HEAD_W:
        return s->head == ECH_HEAD_LM && !s->tied;
    case ECH_T_HEAD_B:
        return s->head == ECH_HEAD_LM;
    case ECH_T_POOL_W:
    case ECH_T_POOL_B:
        return s->pool_dense;
    case ECH_T_POOLNORM_W:
    case ECH_T_POOLNORM_B:
        return s->pool_norm;
    case ECH_T_CLASS_W:
    case ECH_T_CLASS_B:
        return s->head == ECH_HEAD_CLASSES || s->head == ECH_HEAD_TOKEN_CLASSES;
    case ECH_T_QNORM_W:
    case ECH_T_KNORM_W:
        return s->qk_norm != ECH_QK_NONE;
    case ECH_T_IN1_W:
    case ECH_T_IN1_B:
        return !kind->bare;
    default:
        return true;
    }
}

/* --- names --- */

/* One alternative of a pattern, "%d" the set's number, "%e" the expert's. */
static void print_name(const struct ech_spec *s, const char *pattern, size_t bytes, int64_t set,
                       int64_t expert, char *out)
{
    size_t at = 0;
    if (pattern[0] == '/') {
        pattern++;
        bytes--;
    } else
        at = (size_t)snprintf(out, NAME, "%s", s->prefix);
    for (size_t i = 0; i < bytes && at < NAME - 24; i++) {
        bool mark = pattern[i] == '%' && i + 1 < bytes;
        if (mark && (pattern[i + 1] == 'd' || pattern[i + 1] == 'e'))
            at += (size_t)snprintf(out + at, NAME - at, "%lld",
                                   (long long)(pattern[++i] == 'd' ? set : expert));
        else
            out[at++] = pattern[i];
    }
    out[at] = '\0';
}

/* Norms of old checkpoints are called gamma and beta. */
static const struct ech_tensor *find_old_norm(const struct ech_weights *w, const char *name)
{
    static const char *const pairs[2][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                            {"LayerNorm.bias", "LayerNorm.beta"}};
    char old[NAME];
    size_t all = strlen(name);
    for (int i = 0; i < 2; i++) {
        size_t tail = strlen(pairs[i][0]);
        if (all >= tail && strcmp(name + all - tail, pairs[i][0]) == 0) {
            snprintf(old, sizeof old, "%.*s%s", (int)(all - tail), name, pairs[i][1]);
            return ech_weights_find(w, old);
        }
    }
    return NULL;
}

/* The first alternative that the file has; else NULL and the name of the first. */
static const struct ech_tensor *find_name(const struct ech_spec *s, const struct ech_weights *w,
                                          const char *pattern, int64_t set, int64_t expert, char *name)
{
    char other[NAME];
    for (const char *at = pattern; *at;) {
        size_t bytes = strcspn(at, "|");
        char *to = at == pattern ? name : other;
        print_name(s, at, bytes, set, expert, to);
        const struct ech_tensor *t = ech_weights_find(w, to);
        if (!t)
            t = find_old_norm(w, to);
        if (t)
            return t;
        at += bytes + (at[bytes] == '|');
    }
    return NULL;
}

/* What stands before the name of the word embedding is the prefix of all. */
static int find_prefix_of(struct ech_spec *s, const struct ech_weights *w, const char *word, size_t tail,
                          bool *done, struct ech_err *err)
{
    const char *found = NULL;
    for (int64_t i = 0; i < ech_weights_count(w); i++) {
        const char *name = ech_weights_at(w, i)->name;
        size_t all = strlen(name);
        if (all < tail || strncmp(name + all - tail, word, tail) != 0 ||
            (all > tail && name[all - tail - 1] != '.'))
            continue;
        if (found)
            return ech_fail(err, ECH_DATA, "the weights hold two models: %.100s and %.100s", found, name);
        if (all - tail >= sizeof s->prefix)
            return ech_fail(err, ECH_DATA, "the tensor name %.100s... is too long", name);
        found = name;
        memcpy(s->prefix, name, all - tail);
        s->prefix[all - tail] = '\0';
    }
    *done = found != NULL;
    return ECH_OK;
}

static int find_prefix(struct ech_spec *s, const struct ech_weights *w, struct ech_err *err)
{
    const char *word = s->names[ECH_T_WORD]; /* "a|b": the first that is there */
    bool done = false;
    int code = ECH_OK;
    for (const char *at = word; code == ECH_OK && !done && *at;) {
        size_t bytes = strcspn(at, "|");
        code = find_prefix_of(s, w, at, bytes, &done, err);
        at += bytes + (at[bytes] == '|');
    }
    if (code == ECH_OK && !done)
        code = ech_fail(err, ECH_DATA, "%s has no tensor %.*s (with any prefix): not a %s model?",
                        ech_weights_path(w, 0), (int)strcspn(word, "|"), word, s->model_type);
    return code;
}

/* --- one tensor --- */

/* A vector may be stored as one row. */
static bool shape_is(const struct ech_tensor *t, const int64_t *shape, int dims)
{
    if (dims == 1 && t->dims == 2 && t->shape[0] == 1)
        return t->shape[1] == shape[0];
    return t->dims == dims && t->shape[0] == shape[0] && (dims == 1 || t->shape[1] == shape[1]);
}

static int check_tensor(const struct ech_spec *s, const struct ech_weights *w, const struct ech_tensor *t,
                        enum ech_slot slot, struct ech_err *err)
{
    int64_t shape[2] = {length(s, shapes[slot][0]), length(s, shapes[slot][1])};
    int dims = shapes[slot][1] == SIDE_NONE ? 1 : 2;
    char found[128], expected[64];
    const char *path = ech_weights_path(w, t->file);
    if (s->in_out && dims == 2 && slot >= ECH_T_LAYER) {
        int64_t out = shape[0];
        shape[0] = shape[1];
        shape[1] = out;
    }
    if (!shape_is(t, shape, dims))
        return ech_fail(err, ECH_DATA, "%s: tensor %s has shape %s, %s was expected by config.json", path,
                        t->name, ech_shape_print(t->shape, t->dims, found, sizeof found),
                        ech_shape_print(shape, dims, expected, sizeof expected));
    if (!ech_tensor_decodes(t))
        return ech_fail(
            err, ECH_DATA,
            "%s: tensor %s is stored as %s; f32, f16, bf16, GGUF's blocks and int8 with scales are "
            "supported",
            path, t->name, ech_stype_name(t->dtype));
    return ECH_OK;
}

static int bind_one(const struct ech_spec *s, const struct ech_weights *w, enum ech_slot slot, int64_t set,
                    int64_t expert, const struct ech_tensor **out, struct ech_err *err)
{
    char name[NAME];
    int64_t layer = s->groups ? set * s->layers / s->groups : set;
    if (!wanted(s, slot, slot < ECH_T_LAYER ? 0 : layer))
        return ECH_OK;
    /* Sines can be computed where the file has no table of them. */
    const char *names = name_of(s, slot);
    bool optional = names[0] == '?' || (slot == ECH_T_POSITION && s->table == ECH_TABLE_SINES);
    const struct ech_tensor *t = find_name(s, w, names + (names[0] == '?'), set, expert, name);
    if (!t && optional)
        return ECH_OK;
    if (!t)
        return ech_fail(err, ECH_DATA, "%s has no tensor %s, which a %s model of %lld layers needs",
                        ech_weights_path(w, 0), name, s->model_type, (long long)s->layers);
    *out = t;
    return check_tensor(s, w, t, slot, err);
}

/* --- what is left over --- */

/* Buffers that published files hold and that follow from the config: masks, frequencies. */
static bool is_buffer(const char *name)
{
    static const char *const ends[] = {".attn.bias",
                                       ".attn.masked_bias",
                                       ".attention.bias",
                                       ".attention.masked_bias",
                                       "rotary_emb.inv_freq",
                                       ".position_ids",
                                       ".EncDecAttention.relative_attention_bias.weight"};
    size_t all = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t tail = strlen(ends[i]);
        if (all >= tail && strcmp(name + all - tail, ends[i]) == 0)
            return true;
    }
    return false;
}

static int by_address(const void *a, const void *b)
{
    const struct ech_tensor *const *x = a, *const *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* A tensor in a layer that no slot took would be ignored in silence: the file asks for more than is here. */
static int refuse_rest(const struct ech_spec *s, const struct ech_weights *w, const struct ech_bound *b,
                       struct ech_err *err)
{
    const char *pattern = s->names[ECH_T_DOWN_W] ? s->names[ECH_T_DOWN_W] : s->names[ECH_T_O_W];
    const char *mark = strstr(pattern, "%d");
    char layers[NAME];
    int code = ECH_OK;
    print_name(s, pattern, mark ? (size_t)(mark - pattern) : 0, 0, 0, layers);
    const struct ech_tensor **taken = ech_calloc((size_t)b->count + 1, sizeof *taken, err);
    if (!taken)
        return ECH_UNAVAILABLE;
    memcpy(taken, b->tensors, (size_t)b->count * sizeof *taken);
    qsort(taken, (size_t)b->count, sizeof *taken, by_address);
    for (int64_t i = 0; mark && code == ECH_OK && i < ech_weights_count(w); i++) {
        const struct ech_tensor *t = ech_weights_at(w, i);
        if (strncmp(t->name, layers, strlen(layers)) == 0 && !is_buffer(t->name) &&
            !bsearch(&t, taken, (size_t)b->count, sizeof *taken, by_address))
            code = ech_fail(err, ECH_DATA,
                            "%s: tensor %s has no place in a %s model of %lld layers as it is known here",
                            ech_weights_path(w, t->file), t->name, s->model_type, (long long)s->layers);
    }
    ech_free(taken);
    return code;
}

static int bind_all(const struct ech_spec *s, const struct ech_weights *w, struct ech_bound *b,
                    struct ech_err *err)
{
    int code = ECH_OK;
    const struct ech_tensor **at = b->tensors;
    for (int slot = 0; code == ECH_OK && slot < ECH_T_LAYER; slot++)
        code = bind_one(s, w, (enum ech_slot)slot, 0, 0, at++, err);
    for (int64_t set = 0; set < b->sets; set++)
        for (int slot = ECH_T_LAYER; code == ECH_OK && slot < ECH_T_EXPERT; slot++)
            code = bind_one(s, w, (enum ech_slot)slot, set, 0, at++, err);
    for (int64_t i = 0; i < b->sets * b->experts; i++)
        for (int slot = ECH_T_EXPERT; code == ECH_OK && slot < ECH_T_SLOTS; slot++)
            code = bind_one(s, w, (enum ech_slot)slot, i / b->experts, i % b->experts, at++, err);
    return code;
}

int ech_spec_bind(struct ech_spec *s, const struct ech_weights *w, struct ech_bound *out, struct ech_err *err)
{
    struct ech_bound bound = {.sets = ech_spec_groups(s), .experts = s->experts};
    int code = find_prefix(s, w, err);
    if (code != ECH_OK)
        return code;
    bound.count = ECH_T_LAYER + bound.sets * (ECH_T_PER_LAYER + bound.experts * ECH_T_PER_EXPERT);
    bound.tensors = ech_calloc((size_t)bound.count, sizeof *bound.tensors, err);
    if (!bound.tensors)
        return ECH_UNAVAILABLE;
    code = bind_all(s, w, &bound, err);
    if (code == ECH_OK)
        code = refuse_rest(s, w, &bound, err);
    if (code == ECH_OK)
        *out = bound;
    else
        ech_bound_fini(&bound);
    return code;
}

void ech_bound_fini(struct ech_bound *bound)
{
    ech_free(bound->tensors);
    bound->tensors = NULL;
    bound->count = 0;
}
