/* One micro-batch of whole sequences through the model, on one thread. Sequences lie one after the other;
 * there is no padding. A row's numbers depend on its own tokens alone. */
#ifndef ECH_MODEL_FORWARD_H
#define ECH_MODEL_FORWARD_H

#include "model/packing.h"

/* What a format hands from operation to operation. */
struct ech_flow {
    enum ech_format attention; /* what attention computes in */
    enum ech_atype feed;       /* input of products: f32 is the hidden state itself */
    enum ech_atype qkv;        /* query, key and value */
    enum ech_atype attended;   /* what attention yields */
    enum ech_atype up;         /* the intermediate activations */
};
const struct ech_flow *ech_flow_of(enum ech_format format);

struct ech_net {
    const struct ech_ops *ops;
    int device, threads; /* of one operation; 0: the caller's alone */
    struct ech_spec spec;
    struct ech_packing packing;
    struct ech_flow flow;
    const void *packed;     /* in the backend's memory */
    struct ech_stage stage; /* what of the model is computed here */
    bool hidden_states;     /* no pooling: one vector a token */
    enum ech_pool pooling;
    bool normalize;
};
/* Numbers of each row, or token, that the whole net yields. */
static inline int64_t ech_net_dim(const struct ech_net *net)
{
    enum ech_head head = net->spec.head;
    bool classes = head == ECH_HEAD_CLASSES || head == ECH_HEAD_TOKEN_CLASSES;
    return classes ? net->spec.classes : net->spec.hidden;
}
/* The flow of a net whose packing is made: the format's, with f32 where the specification needs it. */
void ech_net_choose_flow(struct ech_net *net);

/* Scratch of one lane, for up to `capacity` tokens in any number of sequences. The input arrays are the
 * process's own memory; the rest is the backend's. */
struct ech_work {
    struct ech_queue *queue;
    void *host;
    struct ech_mem mem;
    int64_t capacity;
    int32_t *words, *positions, *types; /* input (capacity) */
    int64_t *starts;                    /* input (capacity + 1) */
    const float *states;            /* input of a stage that is not the head: (tokens, hidden), borrowed */
    float *x, *y;                   /* (capacity, hidden); y is free before and after ech_forward */
    void *feed, *wide;              /* the next product's input; (capacity, the widest row) */
    float *feed_scale, *wide_scale; /* (capacity), of Q8 rows */
    int32_t *ids[3];                /* words, positions, types where operations read them */
    int32_t *turns[ECH_ROPES_MOST]; /* (capacity): each token's row of the rotary tables */
    int32_t *host_turns[ECH_ROPES_MOST];
    float *ropes[ECH_ROPES_MOST]; /* (2, capacity, dim / 2): tables of this pass (dynamic scaling) */
    float *host_ropes[ECH_ROPES_MOST];
    int32_t *same;             /* 0, 1, 2 ... */
    float *gains, *host_gains; /* (capacity): what word embeddings are multiplied by */
    struct {                   /* of disentangled attention, one head of the longest row */
        float *content, *position, *bias;
    } relative;
    struct ech_mixing { /* of a mixture of experts: up to capacity x used rows */
        float *scores;  /* (capacity, experts) */
        float *host_scores, *host_weights, *weights;
        int32_t *host_index, *index, *host_places, *places;
        int64_t *host_first; /* (experts + 1) */
        float *in, *wide, *out;
    } mix;
};

size_t ech_work_bytes(const struct ech_net *net, int64_t capacity);
int ech_work_init(struct ech_work *work, const struct ech_net *net, int64_t capacity, struct ech_err *err);
void ech_work_fini(struct ech_work *work);

/* work->words, types (or states) and starts hold the input; out (sequences, ech_net_dim), or (tokens, .)
 * where nothing is pooled or the stage is not the tail, is the process's memory. Errors  ECH_UNAVAILABLE: out
 * of memory or a device failed. ECH_BUG: an operation refused its arguments. */
int ech_forward(const struct ech_net *net, struct ech_work *work, int64_t sequences, float *out,
                struct ech_err *err);
/* The error of an operation's status over `tokens` tokens. */
int ech_forward_error(const struct ech_net *net, const struct ech_work *work, int64_t tokens, int status,
                      struct ech_err *err);

#endif
