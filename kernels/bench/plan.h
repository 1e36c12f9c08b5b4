/* Inside of a trial: the operands of a case as blocks of one image, their contents, the call's arguments. */
#ifndef ECH_KERNELS_BENCH_PLAN_H
#define ECH_KERNELS_BENCH_PLAN_H

#include "kernels/bench/trial.h"

enum { ECH_BLOCK_I32 = ECH_ATYPES, ECH_BLOCKS = 12, ECH_GUARD = 128 };

/* Rows of the three tables of an embedding: f32, f16, bf16. */
enum { ECH_EMBED_WORDS = 50, ECH_EMBED_PLACES = 17, ECH_EMBED_TYPES = 2 };

enum ech_fill {
    ECH_FILL_NONE,   /* outputs: stay guard pattern */
    ECH_FILL_RANDOM, /* uniform in (-scale, scale) */
    ECH_FILL_FEW,    /* one of few values: ties */
    ECH_FILL_IDS,    /* integers below limit */
    ECH_FILL_COS,
    ECH_FILL_SIN,
    ECH_FILL_WITH_X /* the scales of a Q8 block before it */
};

struct ech_block {
    const char *name;
    bool out;
    int type; /* enum ech_atype, or ECH_BLOCK_I32 */
    int64_t rows, cols, ld;
    enum ech_fill fill;
    float scale;
    int64_t limit;
    const int64_t *source; /* which row of the whole case each row is; NULL: its own number */
    bool special;          /* with ECH_CASE_SPECIAL: NaN and the like go here */
    int scales;            /* Q8: the block of its scales; else -1 */
    size_t offset;
};

struct ech_trial {
    const struct ech_ops *ops;
    struct ech_case c; /* after picking */
    struct ech_queue *queue;
    struct ech_block blocks[ECH_BLOCKS];
    int count;
    int64_t *queries, *keys;      /* sources of the rows; NULL: all */
    int64_t *starts, *key_starts; /* attention, pooling */
    int64_t span;                 /* attention: the longest sequence of the whole case */
    size_t bytes;                 /* of the image */
    unsigned char *image;         /* as put; guards included */
    struct ech_mem mem, weights;
    const void *packed;
    size_t packed_bytes, packed_stride;
    int64_t turn, copies;
    union {
        struct ech_linear_args linear;
        struct ech_convert_args convert;
        struct ech_norm_args norm;
        struct ech_attention_args attention;
        struct ech_embed_args embed;
        struct ech_pool_args pool;
        struct ech_gate_args gate;
        struct ech_rotary_args rotary;
        struct ech_topk_args topk;
    } args;
    float *in_place; /* activate, softmax: the operand */
};

/* The blocks of the case and where they lie; then, once memory is there, the arguments. */
int ech_plan_blocks(struct ech_trial *t);
void ech_plan_args(struct ech_trial *t);
int ech_plan_call(struct ech_trial *t);
/* The backend has an entry for the operation; for a product, a class for the format. */
bool ech_plan_offered(const struct ech_ops *ops, const struct ech_case *c);

/* Elements of a row that a block owns: a Q8 row is padded to its stride's unit. */
int64_t ech_block_width(const struct ech_block *b);
size_t ech_block_element(const struct ech_block *b);

/* The guard pattern everywhere, then every block's contents. */
int ech_fill_image(const struct ech_trial *t, unsigned char *image);
/* Weights (n, k) of a product; `count` blocks of a type: any bytes, the floats in them tame. */
void ech_fill_weights(float *w, int64_t n, int64_t k);
void ech_fill_blocks(enum ech_wtype type, unsigned char *w, int64_t count);

#endif
