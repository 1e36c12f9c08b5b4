/* One micro-batch of whole sequences through the model, on one thread. Sequences lie one after the other;
 * there is no padding. A row's numbers depend on its own tokens alone. */
#ifndef ECH_MODEL_FORWARD_H
#define ECH_MODEL_FORWARD_H

#include "model/packing.h"

struct ech_net {
    const struct ech_ops *ops;
    struct ech_spec spec;
    struct ech_packing packing;
    enum ech_wtype table_types[3]; /* word, position, type */
    const void *packed;
    bool hidden_states; /* no pooling: one vector a token */
    enum ech_pool pooling;
    bool normalize;
};

/* Scratch of one lane, for up to `capacity` tokens in any number of sequences. */
struct ech_work {
    struct ech_queue *queue;
    void *block;
    int64_t capacity;
    float *x, *y, *wide; /* y is free before and after ech_forward */
    int32_t *words, *positions, *types;
    int64_t *starts; /* capacity + 1 */
};

size_t ech_work_bytes(const struct ech_net *net, int64_t capacity);
int ech_work_init(struct ech_work *work, const struct ech_net *net, int64_t capacity, struct ech_err *err);
void ech_work_fini(struct ech_work *work);

/* work->words, types and starts hold the input; out (sequences, hidden) or (tokens, hidden);
 * it may be work->y.
 * Errors  ECH_BUG: an operation refused its arguments. */
int ech_forward(const struct ech_net *net, struct ech_work *work, int64_t sequences, float *out,
                struct ech_err *err);

#endif
