/* The layers of a transformer over one pass: sequences packed one after the other, each token seeing what its
 * kind of layer lets it see. Encoders see their own tokens; decoders write keys and values into a cache and
 * see what it holds of their sequence; the states of an encoder are seen through a second one. */
#ifndef ECH_MODEL_LAYER_H
#define ECH_MODEL_LAYER_H

#include "model/cache.h"
#include "model/forward.h"

/* Rows of one type, as an operation reads or writes them. */
struct ech_rows {
    void *at;
    int64_t ld;
    enum ech_atype type;
    float *scale;
};

struct ech_pass {
    const struct ech_net *net;
    struct ech_work *w;
    int64_t sequences, tokens;
    const int64_t *starts; /* host (sequences + 1) */
    struct ech_keys keys;  /* cache NULL: keys are the pass's own */
    struct ech_keys cross;
    float *const *cells; /* SSRU: each sequence's state, (layers, hidden) */
    const float *cos[ECH_ROPES_MOST], *sin[ECH_ROPES_MOST]; /* rotary tables, and their rows */
    int64_t turns[ECH_ROPES_MOST];
    bool fed; /* the feed holds x in the products' type */
};

/* The work's input through embedding, layers and the last norm: x (T, d), queued. In forward.c. */
int ech_forward_states(struct ech_pass *pass);
/* x (T, d) of the work through one layer. An enum ech_op_status, as all below. */
int ech_layer_run(struct ech_pass *pass, int64_t layer);
/* What follows the last norm (or the stage's layers) into the process's memory: states, vectors of rows, or
 * classes. In head.c. */
int ech_head_run(struct ech_pass *pass, float *out);
/* The MLP of a mixture: x (T, d) += sum over the chosen experts, ascending, of weight x expert(in); in is
 * f32. */
int ech_experts_run(struct ech_pass *pass, int64_t layer, struct ech_rows in);

/* Query, key and value of the pass's tokens, heads side by side. */
struct ech_heads {
    struct ech_rows q, k, v;
};
/* y (T, q) = disentangled attention (relative.c). */
int ech_relative_attend(struct ech_pass *pass, int64_t layer, const struct ech_heads *heads,
                        struct ech_rows y);

/* Shared by the layers and by what comes before and after them. */
static inline struct ech_rows ech_rows_of(void *at, int64_t cols, enum ech_atype type, float *scale)
{
    return (struct ech_rows){at, type == ECH_A_Q8 ? ech_q8_stride(cols) : cols, type, scale};
}
static inline struct ech_rows ech_floats(float *at, int64_t ld)
{
    return (struct ech_rows){at, ld, ECH_A_F32, NULL};
}
struct ech_product {
    const struct ech_matrix *matrix;
    const float *bias;
    enum ech_act act;
    const float *residual; /* (rows, n) or NULL */
};
/* The product of a piece with the bias behind it. */
struct ech_product ech_product_of(const struct ech_net *net, enum ech_packed_piece piece, int64_t set);
int ech_multiply(const struct ech_net *net, struct ech_work *w, int64_t rows, struct ech_product p,
                 struct ech_rows x, struct ech_rows y);
/* y (rows, cols) = norm(x), and `also` in the next product's type unless that is f32; y may be x. */
int ech_norm_rows(const struct ech_net *net, struct ech_work *w, int64_t rows, int64_t cols, const float *x,
                  enum ech_packed_piece gain, int64_t set, float *y, struct ech_rows also);
/* ECH_PIECES: no norm. */
bool ech_has_norm(const struct ech_net *net, enum ech_packed_piece gain, int64_t set);
/* The input of the next product: beside the hidden state, or that itself. */
struct ech_rows ech_feed(const struct ech_net *net, const struct ech_work *w);
/* x (rows, cols) += y. */
int ech_add_rows(const struct ech_net *net, struct ech_work *w, int64_t rows, int64_t cols, float *x,
                 const float *y);

#endif
