/* What a model is: config.json read into one specification, and the tensors that fill it.
 *
 * There is one transformer. An encoder, a decoder, each half of an encoder-decoder are the same layers with
 * other settings; a model of two halves has two specifications (ech_spec_parse with either part). A layer is
 *
 *   h = IN1 x;  a = O attention(Q h, K h, V h);  x = SUM1 (x + OUT1 a)
 *   h = INX x;  a = XO attention(XQ h, XK e, XV e); x = SUMX (x + a)          e: states of the encoder
 *   h = IN2 x;  m = DOWN (act(GATE h) * UP h);   x = SUM2 (x + OUT2 m)
 *
 * where a norm, a gate, a bias that is not there is left out: which slots an architecture names decides where
 * its norms stand. `parallel`: both halves read the x that entered the layer. `ssru`: a recurrent cell stands
 * for the self attention; experts: several MLPs of which a router chooses.
 *
 * An architecture (arch_*.c) is a table of tensor names and a function that reads its config.json; shapes
 * follow from the specification alone. What a config asks for and is not here is an error that names it, and
 * so is a tensor in a layer that no slot takes. */
#ifndef ECH_MODEL_SPEC_H
#define ECH_MODEL_SPEC_H

#include "base/err.h"
#include "kernels/ops.h"
#include "model/rope.h"
#include "model/weights.h"

#include <jansson.h>

enum { ECH_LAYERS_MOST = 1000, ECH_KINDS_MOST = 8, ECH_ROPES_MOST = 2 };

/* ENCODER: every token sees all; DECODER: those before it. */
enum ech_part { ECH_PART_ENCODER, ECH_PART_DECODER };

enum ech_table {
    ECH_TABLE_NONE,    /* or positions enter in the layers */
    ECH_TABLE_LEARNED, /* a tensor */
    ECH_TABLE_SINES    /* sines of all frequencies, then cosines; a tensor where the file has one */
};

/* RMS norm of q and k before they turn: by head, or over all heads at once. */
enum ech_qk_norm { ECH_QK_NONE, ECH_QK_HEAD, ECH_QK_ALL };

/* What is in a file for q, k, v together: rows of q, then k, then v; or for each key head its queries, its
 * key, its value. */
enum ech_fused { ECH_FUSED_STACKED, ECH_FUSED_BY_HEAD };

/* What stands after the last layer, where it is asked for (heads.h: of encoders). */
enum ech_head { ECH_HEAD_NONE, ECH_HEAD_LM, ECH_HEAD_POOLER, ECH_HEAD_CLASSES, ECH_HEAD_TOKEN_CLASSES };

/* What layers may differ in. */
struct ech_layer_kind {
    int64_t window; /* tokens seen on one side, with itself; 0: all */
    int rope;       /* which of the ropes; -1: none */
    bool experts;   /* a mixture in place of the MLP */
    bool bare;      /* no norm before the attention, whatever the others have (ModernBERT) */
};

struct ech_spec {
    char model_type[32];
    const struct ech_arch *arch;
    const char *const *names; /* the arch's, or others of its own that the config chose */
    enum ech_part part;
    bool crossed; /* a decoder with cross attention */

    int64_t layers, hidden, intermediate;
    int64_t heads, kv_heads, head_dim;
    int64_t vocab, types; /* rows of the embedding tables; types 0: no table */
    int64_t embed;  /* width of the tables; other than hidden: projections follow and come before the head */
    int64_t groups; /* sets of layer weights, each used by layers / groups layers; 0: layers */

    /* --- the input --- */
    float embed_scale; /* of word embeddings; 0: none */
    enum ech_table table;
    int64_t positions; /* rows of the table; without one the longest sequence, 0: no limit is known */
    int64_t first;     /* the first token's position */
    bool skip_pad;     /* pad tokens are not counted: they have position `pad` (RoBERTa) */
    int64_t pad;
    bool positions_after; /* that table is `hidden` wide and is added after the projection (OPT) */
    bool sines_by_half;   /* frequency i is 10000^(-i / (half - 1)), not / half */
    bool zero_start;      /* the first input of a decoder is the zero vector: id -1 */

    /* --- layers --- */
    struct ech_layer_kind kinds[ECH_KINDS_MOST];
    int kinds_count;
    unsigned char kind[ECH_LAYERS_MOST]; /* of each layer */
    struct ech_rope ropes[ECH_ROPES_MOST];
    enum ech_norm norm;
    float norm_eps, gain_offset; /* gains are stored as 1 - offset (Gemma) */
    float attention_scale;       /* 0: head_dim ^ -0.5 */
    float softcap;               /* of scores; 0: none */
    enum ech_qk_norm qk_norm;
    bool alibi;
    int64_t buckets, distance; /* relative position biases shared by all layers (T5's rule); 0: none */
    bool disentangled;         /* DeBERTa: content to position and back; `buckets` log buckets, or none */
    int64_t relative;          /* rows each side of its table */
    bool content_to_position, position_to_content, relative_norm;
    bool parallel, gated, ssru;
    enum ech_act act;
    int64_t experts, experts_used, expert_inner;
    bool experts_normed; /* weights of the chosen sum to 1 */
    enum ech_fused fused;
    bool in_out; /* matrices of layers are stored [in, out] (Conv1D) */

    /* --- the output --- */
    enum ech_head head;
    bool tied;        /* the LM head is the word table */
    float head_scale; /* of states before the head; 0: none */
    float head_softcap;
    int64_t classes;
    bool pool_dense; /* a dense layer from slots POOL before the classes, or the pooler itself */
    bool pool_norm;  /* a norm behind it (ModernBERT) */
    enum ech_act pool_act;
    enum ech_pool pool;                      /* tokens to the vector that a head of whole rows takes */
    const struct ech_head_names *head_names; /* of the slots POOL and CLASS */

    char prefix[256]; /* before every tensor name of this file: "", "bert.", ... */
};

/* Tensors of the model, then of each layer; a bias follows its weight. */
enum ech_slot {
    ECH_T_WORD,
    ECH_T_POSITION,
    ECH_T_TYPE,
    ECH_T_NORM_W,
    ECH_T_NORM_B,
    ECH_T_PROJECT_W, /* embed -> hidden */
    ECH_T_PROJECT_B,
    ECH_T_RELATIVE,  /* biases, or DeBERTa's table */
    ECH_T_RELNORM_W, /* DeBERTa's norm of that table */
    ECH_T_RELNORM_B,
    ECH_T_FINAL_W, /* norm after the last layer */
    ECH_T_FINAL_B,
    ECH_T_UNPROJECT_W, /* hidden -> embed */
    ECH_T_UNPROJECT_B,
    ECH_T_HEAD_W,
    ECH_T_HEAD_B,
    ECH_T_POOL_W,
    ECH_T_POOL_B,
    ECH_T_POOLNORM_W,
    ECH_T_POOLNORM_B,
    ECH_T_CLASS_W,
    ECH_T_CLASS_B,
    ECH_T_LAYER, /* first of a layer */
    ECH_T_Q_W = ECH_T_LAYER,
    ECH_T_Q_B,
    ECH_T_K_W,
    ECH_T_K_B,
    ECH_T_V_W,
    ECH_T_V_B,
    ECH_T_QKV_W, /* instead of the three */
    ECH_T_QKV_B,
    ECH_T_O_W,
    ECH_T_O_B,
    ECH_T_QNORM_W,
    ECH_T_KNORM_W,
    ECH_T_IN1_W,
    ECH_T_IN1_B,
    ECH_T_OUT1_W,
    ECH_T_OUT1_B,
    ECH_T_NORM1_W, /* SUM1 */
    ECH_T_NORM1_B,
    ECH_T_CELL_W, /* SSRU: input, forget gate */
    ECH_T_CELL_B,
    ECH_T_FORGET_W,
    ECH_T_FORGET_B,
    ECH_T_XQ_W,
    ECH_T_XQ_B,
    ECH_T_XK_W,
    ECH_T_XK_B,
    ECH_T_XV_W,
    ECH_T_XV_B,
    ECH_T_XO_W,
    ECH_T_XO_B,
    ECH_T_INX_W,
    ECH_T_INX_B,
    ECH_T_NORMX_W, /* SUMX */
    ECH_T_NORMX_B,
    ECH_T_GATE_W,
    ECH_T_GATE_B,
    ECH_T_UP_W,
    ECH_T_UP_B,
    ECH_T_GATEUP_W, /* rows of the gate, then of up: instead of the two */
    ECH_T_GATEUP_B,
    ECH_T_DOWN_W,
    ECH_T_DOWN_B,
    ECH_T_IN2_W,
    ECH_T_IN2_B,
    ECH_T_OUT2_W,
    ECH_T_OUT2_B,
    ECH_T_NORM2_W, /* SUM2 */
    ECH_T_NORM2_B,
    ECH_T_ROUTER_W,
    ECH_T_EXPERT, /* three of each expert, one expert after the other; "%e" in the name is the expert */
    ECH_T_XGATE_W = ECH_T_EXPERT,
    ECH_T_XUP_W,
    ECH_T_XDOWN_W,
    ECH_T_SLOTS
};
enum { ECH_T_PER_LAYER = ECH_T_EXPERT - ECH_T_LAYER, ECH_T_PER_EXPERT = ECH_T_SLOTS - ECH_T_EXPERT };

/* Names of a head's slots, from POOL_W on: they differ from head to head, within one architecture. */
struct ech_head_names {
    const char *at[ECH_T_LAYER - ECH_T_POOL_W];
};

/* A name of the table, relative to the prefix: "%d" is the layer. "a|b": either. "/a": without the prefix.
 * "?a": may be absent (a bias, a table that can be computed). NULL: not in this architecture. */
struct ech_arch {
    const char *const *model_types; /* NULL-terminated */
    enum ech_part part;
    const char *names[ECH_T_SLOTS];
    int (*read)(const json_t *config, const char *path, struct ech_spec *spec, struct ech_err *err);
};

/* Which parts a model of this config has. */
struct ech_parts {
    bool encoder, decoder;
};
/* Errors  ECH_DATA: malformed, or something asked for that is not supported, by name. */
int ech_spec_parts(const char *path, const json_t *config, struct ech_parts *out, struct ech_err *err);
int ech_spec_parse_part(const char *path, const json_t *config, enum ech_part part, struct ech_spec *out,
                        struct ech_err *err);
/* The encoder where there is one, else the decoder. */
int ech_spec_parse(const char *path, const json_t *config, struct ech_spec *out, struct ech_err *err);

static inline const struct ech_layer_kind *ech_spec_kind(const struct ech_spec *spec, int64_t layer)
{
    return &spec->kinds[spec->kind[layer]];
}
/* The set of weights that a layer uses. */
static inline int64_t ech_spec_group(const struct ech_spec *spec, int64_t layer)
{
    return spec->groups ? layer * spec->groups / spec->layers : layer;
}
static inline int64_t ech_spec_groups(const struct ech_spec *spec)
{
    return spec->groups ? spec->groups : spec->layers;
}

/* The tensor of every slot: [0, LAYER) of the model, then PER_LAYER of each set of layer weights, then
 * PER_EXPERT of each expert of each set. */
struct ech_bound {
    const struct ech_tensor **tensors;
    int64_t count, sets, experts;
};
/* Finds the prefix, then each tensor, and checks its type and shape.
 * Errors  ECH_DATA: a tensor is missing (named, with its file), has another shape (both are shown), or lies
 * in a layer and has no place in this architecture. */
int ech_spec_bind(struct ech_spec *spec, const struct ech_weights *weights, struct ech_bound *out,
                  struct ech_err *err);
void ech_bound_fini(struct ech_bound *bound);
static inline const struct ech_tensor *ech_bound_at(const struct ech_bound *bound, enum ech_slot slot,
                                                    int64_t set)
{
    return bound->tensors[slot < ECH_T_LAYER ? slot : slot + set * ECH_T_PER_LAYER];
}
static inline const struct ech_tensor *ech_bound_expert(const struct ech_bound *bound, enum ech_slot slot,
                                                        int64_t set, int64_t expert)
{
    return bound->tensors[ECH_T_LAYER + bound->sets * ECH_T_PER_LAYER +
                          (set * bound->experts + expert) * ECH_T_PER_EXPERT + (slot - ECH_T_EXPERT)];
}

/* Tokens that the positions allow (a large number where nothing limits them); multiply-adds x 2 of one
 * sequence, without a head. */
int64_t ech_spec_max_tokens(const struct ech_spec *spec);
double ech_spec_flops(const struct ech_spec *spec, int64_t tokens);
/* Bucket of the bias between query i and key j (T5's rule: both directions in an encoder). */
int64_t ech_spec_bucket(const struct ech_spec *spec, int64_t i, int64_t j);
/* Row of DeBERTa's table for a query `gap` tokens behind its key. */
int64_t ech_spec_relative(const struct ech_spec *spec, int64_t gap);

#endif
