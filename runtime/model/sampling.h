/* From logits to a token: pure functions. What is drawn follows from the logits, the options, the seed, the
 * row and the position alone, so a row's text depends on nothing else.
 *
 * In this order, as the reference implementation does: repetition penalty, temperature, top-k, top-p, min-p.
 */
#ifndef ECH_MODEL_SAMPLING_H
#define ECH_MODEL_SAMPLING_H

#include "base/err.h"

#include <stdint.h>

struct ech_sampling {
    double temperature;        /* 0: the best token, whatever the rest says */
    int64_t top_k;             /* 0: all */
    double top_p;              /* the fewest tokens that have this much together; 1: all */
    double min_p;              /* at least this share of the best one's probability; 0: all */
    double repetition_penalty; /* of tokens that stand in the sequence; 1: none */
    uint64_t seed;
};
#define ECH_SAMPLING_GREEDY ((struct ech_sampling){.top_p = 1, .repetition_penalty = 1})
/* ECH_CONFIG: a value outside its range, by name. */
int ech_sampling_check(const struct ech_sampling *options, struct ech_err *err);

/* Scratch for `vocab` logits. */
struct ech_sampler;
int ech_sampler_create(int64_t vocab, struct ech_sampler **out, struct ech_err *err);
void ech_sampler_destroy(struct ech_sampler *sampler);

/* The token at `position` of `row`. seen: the sequence so far, for the penalty. NaN logits are never drawn;
 * where all are NaN or -inf the answer is -1. */
int32_t ech_sampler_draw(struct ech_sampler *sampler, const float *logits, const struct ech_sampling *options,
                         const int32_t *seen, int64_t seen_count, uint64_t row, uint64_t position);
/* The largest, the lower index first; -1 where all are NaN or -inf. */
int32_t ech_argmax(const float *logits, int64_t count);
/* Natural logarithm of the softmax at `id`, summed in double. */
double ech_log_probability(const float *logits, int64_t count, int64_t id);
/* In [0, 1): Philox 4x32-10, key seed, counter (row, position). */
double ech_uniform(uint64_t seed, uint64_t row, uint64_t position);

#endif
