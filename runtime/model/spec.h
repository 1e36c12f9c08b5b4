/* What a model is: config.json read into one specification, and the tensors that fill it.
 * An architecture (arch_*.c) is a table of tensor names and a function that reads its config.json; shapes
 * follow from the specification alone. What a config asks for and is not here is an error that names it. */
#ifndef ECH_MODEL_SPEC_H
#define ECH_MODEL_SPEC_H

#include "base/err.h"
#include "kernels/ops.h"
#include "model/weights.h"

#include <jansson.h>

struct ech_arch;

struct ech_spec {
    char model_type[32];
    const struct ech_arch *arch;
    int64_t layers, hidden, heads, head_dim, intermediate;
    int64_t vocab, positions, types; /* rows of the embedding tables; types 0: no table */
    int64_t embed;                   /* width of the tables; other than hidden: a projection follows */
    int64_t buckets, distance;       /* relative position biases shared by all layers; 0: none */
    bool skip_pad;                   /* positions count from pad + 1 and leave pad tokens out (RoBERTa) */
    int64_t pad;
    enum ech_act act;
    float norm_eps;
    char prefix[256]; /* before every tensor name of this file: "", "bert.", ... */
};

/* Tensors of the model, then of each layer. */
enum ech_slot {
    ECH_T_WORD,
    ECH_T_POSITION,
    ECH_T_TYPE,
    ECH_T_NORM_W,
    ECH_T_NORM_B,
    ECH_T_PROJECT_W,
    ECH_T_PROJECT_B,
    ECH_T_RELATIVE,
    ECH_T_LAYER, /* first of a layer */
    ECH_T_Q_W = ECH_T_LAYER,
    ECH_T_Q_B,
    ECH_T_K_W,
    ECH_T_K_B,
    ECH_T_V_W,
    ECH_T_V_B,
    ECH_T_O_W,
    ECH_T_O_B,
    ECH_T_NORM1_W,
    ECH_T_NORM1_B,
    ECH_T_UP_W,
    ECH_T_UP_B,
    ECH_T_DOWN_W,
    ECH_T_DOWN_B,
    ECH_T_NORM2_W,
    ECH_T_NORM2_B,
    ECH_T_SLOTS
};
enum { ECH_T_PER_LAYER = ECH_T_SLOTS - ECH_T_LAYER };

struct ech_arch {
    const char *const *model_types; /* NULL-terminated */
    const char *names[ECH_T_SLOTS]; /* NULL: not in this architecture; "%d" is the layer */
    int (*read)(const json_t *config, const char *path, struct ech_spec *spec, struct ech_err *err);
};
extern const struct ech_arch ech_arch_bert, ech_arch_distilbert, ech_arch_mpnet;

/* Errors  ECH_DATA: malformed, or something asked for that is not supported, by name. */
int ech_spec_read(const char *path, struct ech_spec *out, struct ech_err *err);
int ech_spec_parse(const char *path, const json_t *config, struct ech_spec *out, struct ech_err *err);

/* Helpers of the architectures: a count within [1, most]; a table of counts (each within [1, 2^28]); the
 * activation's name. */
struct ech_spec_key {
    const char *name;
    size_t offset; /* of an int64_t in struct ech_spec */
};
int ech_spec_counts(const json_t *config, const char *path, const struct ech_spec_key *keys, int count,
                    struct ech_spec *spec, struct ech_err *err);
int ech_spec_count(const json_t *config, const char *path, const char *key, int64_t most, int64_t *out,
                   struct ech_err *err);
int ech_spec_act(const json_t *config, const char *path, const char *key, struct ech_spec *spec,
                 struct ech_err *err);
/* ECH_DATA where the key is there and not `wanted`. */
int ech_spec_refuse(const json_t *config, const char *path, const char *key, bool wanted,
                    struct ech_err *err);

/* The tensor of every slot: [0, LAYER) of the model, then PER_LAYER of each layer. */
struct ech_bound {
    const struct ech_tensor **tensors;
};
/* Finds the prefix, then each tensor, and checks its type and shape.
 * Errors  ECH_DATA: a tensor is missing (named, with its file) or has another shape (both are shown). */
int ech_spec_bind(struct ech_spec *spec, const struct ech_weights *weights, struct ech_bound *out,
                  struct ech_err *err);
void ech_bound_fini(struct ech_bound *bound);
static inline const struct ech_tensor *ech_bound_at(const struct ech_bound *bound, enum ech_slot slot,
                                                    int64_t layer)
{
    return bound->tensors[slot < ECH_T_LAYER ? slot : slot + layer * ECH_T_PER_LAYER];
}

/* Tokens that the position table can hold; multiply-adds x 2 of one sequence; weights. */
int64_t ech_spec_max_tokens(const struct ech_spec *spec);
double ech_spec_flops(const struct ech_spec *spec, int64_t tokens);
/* Bucket of the bias between query i and key j (T5's rule, both directions). */
int64_t ech_spec_bucket(const struct ech_spec *spec, int64_t i, int64_t j);

#endif
