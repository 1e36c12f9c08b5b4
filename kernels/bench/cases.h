/* Cases: one call of one operation, as data. The tests and the benchmarks describe what they run with this
 * struct and turn it into memory, calls and results through trial.h. No case knows a backend. */
#ifndef ECH_KERNELS_BENCH_CASES_H
#define ECH_KERNELS_BENCH_CASES_H

#include "kernels/ops.h"

enum ech_case_op {
    ECH_CASE_LINEAR,
    ECH_CASE_CONVERT,
    ECH_CASE_NORM,
    ECH_CASE_ATTENTION,
    ECH_CASE_EMBED,
    ECH_CASE_POOL,
    ECH_CASE_GATE,
    ECH_CASE_ROTARY,
    ECH_CASE_TOPK,
    ECH_CASE_ACTIVATE,
    ECH_CASE_SOFTMAX,
    ECH_CASE_LOG_SOFTMAX,
    ECH_CASE_OPS
};

enum ech_case_flag {
    ECH_CASE_BIAS = 1,     /* product: bias; attention: the (heads, span, span) matrix; norm: shift */
    ECH_CASE_RESIDUAL = 2, /* product: a matrix of its own */
    ECH_CASE_IN_PLACE = 4, /* product: the residual is y itself; norm, gate: y is x, gate */
    ECH_CASE_SPECIAL = 8,  /* NaN, infinities, zeros and denormals among the inputs */
    ECH_CASE_CAUSAL = 16,
    ECH_CASE_SLOPES = 32,
    ECH_CASE_NORMALIZE = 64,
    ECH_CASE_INTERLEAVED = 128,
    ECH_CASE_ALSO = 256,      /* norm: the result a second time, in y_type */
    ECH_CASE_NO_VALUES = 512, /* top-k: indices alone */
    ECH_CASE_TIES = 1024,     /* top-k: few distinct values */
    ECH_CASE_KEYS = 2048,     /* attention: keys of a length of their own */
    ECH_CASE_HALF_KEYS = 4096 /* attention: k and v in bf16 whatever q is */
};

enum { ECH_CASE_SEQUENCES = 4 };

struct ech_case {
    enum ech_case_op op;
    enum ech_format format;        /* product; attention: what it computes in */
    enum ech_atype x_type, y_type; /* attention: of q, k, v and of out */
    /* product: m, n, k. embed: count, -, cols. attention, pool: only heads or inner, and `lengths`.
     * rotary: rows, table rows, -. topk: rows, count, cols. Others: rows, -, cols. */
    int64_t rows, outputs, inner;
    int64_t pad; /* added to every stride */
    enum ech_act act;
    int kind; /* enum ech_norm, enum ech_pool */
    unsigned flags;
    /* Sequences of queries; key_lengths counts with ECH_CASE_KEYS. More than four: `lengths[0]` repeated
     * `sequences` times. */
    int64_t sequences, lengths[ECH_CASE_SEQUENCES], key_lengths[ECH_CASE_SEQUENCES];
    int64_t heads, kv_heads, head_dim, window, rotary;
    float softcap;
    int64_t copies;        /* product: calls rotate through so many copies of the weights; 0: one */
    enum ech_wtype w_type; /* product on a file's own blocks */
};

const char *ech_case_op_name(enum ech_case_op op); /* "linear", "log_softmax" */
bool ech_case_op_of(const char *name, enum ech_case_op *out);
const char *ech_case_type_name(enum ech_atype type); /* "f32", "bf16", "q8", "f16" */
const char *ech_case_act_name(enum ech_act act);

/* One line for people: operation, format, types, shape, what else is special. Returns `out`. */
const char *ech_case_describe(const struct ech_case *c, char *out, size_t bytes);

/* Queries and keys of sequence s, 0 <= s < c->sequences. */
int64_t ech_case_length(const struct ech_case *c, int64_t s);
int64_t ech_case_keys(const struct ech_case *c, int64_t s);
/* Rows of the first operand: tokens for attention and pooling. */
int64_t ech_case_rows(const struct ech_case *c);

/* Additions and multiplications of a call: 2 m n k; 4 head_dim for each pair of query and key that is not
 * masked; 0 where counting them says nothing. */
double ech_case_flop(const struct ech_case *c);
/* Elements a call produces, for rates of element-wise operations. */
double ech_case_elements(const struct ech_case *c);

/* Every case of the tests, in order; `visit` returns false to stop. */
void ech_cases_each(bool (*visit)(const struct ech_case *c, void *context), void *context);

#endif
