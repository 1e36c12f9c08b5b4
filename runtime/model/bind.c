/* From a specification to the tensors of a file: prefix, names, types, shapes. */
#include "model/spec.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum side {
    SIDE_NONE,
    SIDE_VOCAB,
    SIDE_POSITIONS,
    SIDE_TYPES,
    SIDE_EMBED,
    SIDE_HIDDEN,
    SIDE_INNER,
    SIDE_BUCKETS,
    SIDE_HEADS
};

/* Shape of each slot. */
static const enum side shapes[ECH_T_SLOTS][2] = {
    [ECH_T_WORD] = {SIDE_VOCAB, SIDE_EMBED},      [ECH_T_POSITION] = {SIDE_POSITIONS, SIDE_EMBED},
    [ECH_T_TYPE] = {SIDE_TYPES, SIDE_EMBED},      [ECH_T_NORM_W] = {SIDE_EMBED, SIDE_NONE},
    [ECH_T_NORM_B] = {SIDE_EMBED, SIDE_NONE},     [ECH_T_PROJECT_W] = {SIDE_HIDDEN, SIDE_EMBED},
    [ECH_T_PROJECT_B] = {SIDE_HIDDEN, SIDE_NONE}, [ECH_T_RELATIVE] = {SIDE_BUCKETS, SIDE_HEADS},
    [ECH_T_Q_W] = {SIDE_HIDDEN, SIDE_HIDDEN},     [ECH_T_Q_B] = {SIDE_HIDDEN, SIDE_NONE},
    [ECH_T_K_W] = {SIDE_HIDDEN, SIDE_HIDDEN},     [ECH_T_K_B] = {SIDE_HIDDEN, SIDE_NONE},
    [ECH_T_V_W] = {SIDE_HIDDEN, SIDE_HIDDEN},     [ECH_T_V_B] = {SIDE_HIDDEN, SIDE_NONE},
    [ECH_T_O_W] = {SIDE_HIDDEN, SIDE_HIDDEN},     [ECH_T_O_B] = {SIDE_HIDDEN, SIDE_NONE},
    [ECH_T_NORM1_W] = {SIDE_HIDDEN, SIDE_NONE},   [ECH_T_NORM1_B] = {SIDE_HIDDEN, SIDE_NONE},
    [ECH_T_UP_W] = {SIDE_INNER, SIDE_HIDDEN},     [ECH_T_UP_B] = {SIDE_INNER, SIDE_NONE},
    [ECH_T_DOWN_W] = {SIDE_HIDDEN, SIDE_INNER},   [ECH_T_DOWN_B] = {SIDE_HIDDEN, SIDE_NONE},
    [ECH_T_NORM2_W] = {SIDE_HIDDEN, SIDE_NONE},   [ECH_T_NORM2_B] = {SIDE_HIDDEN, SIDE_NONE},
};

static int64_t length(const struct ech_spec *s, enum side side)
{
    switch (side) {
    case SIDE_VOCAB:
        return s->vocab;
    case SIDE_POSITIONS:
        return s->positions;
    case SIDE_TYPES:
        return s->types;
    case SIDE_EMBED:
        return s->embed;
    case SIDE_HIDDEN:
        return s->hidden;
    case SIDE_INNER:
        return s->intermediate;
    case SIDE_BUCKETS:
        return s->buckets;
    case SIDE_HEADS:
        return s->heads;
    default:
        return 0;
    }
}

/* Whether this model has the slot at all. */
static bool wanted(const struct ech_spec *s, enum ech_slot slot)
{
    if (slot == ECH_T_TYPE)
        return s->types > 0;
    if (slot == ECH_T_PROJECT_W || slot == ECH_T_PROJECT_B)
        return s->embed != s->hidden;
    if (slot == ECH_T_RELATIVE)
        return s->buckets > 0;
    return true;
}

/* What stands before the name of the word embedding is the prefix of all. */
static int find_prefix(struct ech_spec *s, const struct ech_weights *w, struct ech_err *err)
{
    const char *word = s->arch->names[ECH_T_WORD], *found = NULL;
    size_t tail = strlen(word);
    for (int64_t i = 0; i < ech_weights_count(w); i++) {
        const char *name = ech_weights_at(w, i)->name;
        size_t all = strlen(name);
        if (all < tail || strcmp(name + all - tail, word) != 0 || (all > tail && name[all - tail - 1] != '.'))
            continue;
        if (found)
            return ech_fail(err, ECH_DATA, "the weights hold two models: %.100s and %.100s", found, name);
        if (all - tail >= sizeof s->prefix)
            return ech_fail(err, ECH_DATA, "the tensor name %.100s... is too long", name);
        found = name;
        memcpy(s->prefix, name, all - tail);
        s->prefix[all - tail] = '\0';
    }
    if (!found)
        return ech_fail(err, ECH_DATA, "%s has no tensor %s (with any prefix): not a %s model?",
                        ech_weights_path(w, 0), word, s->model_type);
    return ECH_OK;
}

static void print_name(const struct ech_spec *s, enum ech_slot slot, int64_t layer, char *out, size_t bytes)
{
    const char *pattern = s->arch->names[slot], *mark = strstr(pattern, "%d");
    if (mark)
        snprintf(out, bytes, "%s%.*s%lld%s", s->prefix, (int)(mark - pattern), pattern, (long long)layer,
                 mark + 2);
    else
        snprintf(out, bytes, "%s%s", s->prefix, pattern);
}

/* Norms of old checkpoints are called gamma and beta. */
static const struct ech_tensor *find_old_norm(const struct ech_weights *w, const char *name)
{
    static const char *const pairs[2][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                            {"LayerNorm.bias", "LayerNorm.beta"}};
    char old[512];
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

static int check_tensor(const struct ech_spec *s, const struct ech_weights *w, const struct ech_tensor *t,
                        enum ech_slot slot, struct ech_err *err)
{
    int64_t shape[2] = {length(s, shapes[slot][0]), length(s, shapes[slot][1])};
    int dims = shapes[slot][1] == SIDE_NONE ? 1 : 2;
    char found[128], expected[64];
    const char *path = ech_weights_path(w, t->file);
    if (t->dims != dims || t->shape[0] != shape[0] || (dims == 2 && t->shape[1] != shape[1]))
        return ech_fail(err, ECH_DATA, "%s: tensor %s has shape %s, %s was expected by config.json", path,
                        t->name, ech_shape_print(t->shape, t->dims, found, sizeof found),
                        ech_shape_print(shape, dims, expected, sizeof expected));
    if (t->dtype > ECH_ST_BF16)
        return ech_fail(err, ECH_DATA, "%s: tensor %s is stored as %s; f32, f16 and bf16 are supported", path,
                        t->name, ech_stype_name(t->dtype));
    return ECH_OK;
}

static int bind_one(const struct ech_spec *s, const struct ech_weights *w, enum ech_slot slot, int64_t layer,
                    const struct ech_tensor **out, struct ech_err *err)
{
    char name[512];
    if (!wanted(s, slot))
        return ECH_OK;
    print_name(s, slot, layer, name, sizeof name);
    const struct ech_tensor *t = ech_weights_find(w, name);
    if (!t)
        t = find_old_norm(w, name);
    if (!t)
        return ech_fail(err, ECH_DATA, "%s has no tensor %s, which a %s model of %lld layers needs",
                        ech_weights_path(w, 0), name, s->model_type, (long long)s->layers);
    *out = t;
    return check_tensor(s, w, t, slot, err);
}

int ech_spec_bind(struct ech_spec *s, const struct ech_weights *w, struct ech_bound *out, struct ech_err *err)
{
    struct ech_bound bound = {0};
    int code = find_prefix(s, w, err);
    if (code != ECH_OK)
        return code;
    bound.tensors =
        ech_calloc((size_t)(ECH_T_LAYER + s->layers * ECH_T_PER_LAYER), sizeof *bound.tensors, err);
    if (!bound.tensors)
        return ECH_UNAVAILABLE;
    for (int slot = 0; code == ECH_OK && slot < ECH_T_LAYER; slot++)
        code = bind_one(s, w, (enum ech_slot)slot, 0, &bound.tensors[slot], err);
    for (int64_t layer = 0; layer < s->layers; layer++)
        for (int slot = ECH_T_LAYER; code == ECH_OK && slot < ECH_T_SLOTS; slot++)
            code = bind_one(s, w, (enum ech_slot)slot, layer, &bound.tensors[slot + layer * ECH_T_PER_LAYER],
                            err);
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
}
