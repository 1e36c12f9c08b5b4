/* Tokens from bytes: what a job costs before it is tokenised. */
#ifndef ECH_PLAN_TOKENS_H
#define ECH_PLAN_TOKENS_H

#include "base/err.h"

#include <stdint.h>

/* `count` distinct rows of [0, rows) in ascending order, the same for the same seed (all rows where there are
 * no more). Returns how many. Stratified: one of each of `count` equal pieces, so that sorted data is met
 * evenly. */
int64_t ech_sample_rows(int64_t rows, int64_t count, uint64_t seed, int64_t *out);

/* Sums over a sample; they add up over ranks (all members int64). */
struct ech_token_sums {
    int64_t rows, bytes, tokens;
    int64_t bytes_bytes;  /* sum of bytes^2 / 256, rounded: squares of long rows stay in range */
    int64_t bytes_tokens; /* sum of bytes * tokens / 256 */
};
void ech_token_sums_add(struct ech_token_sums *sums, int64_t bytes, int64_t tokens);

/* tokens = per_row + per_byte * bytes, both >= 0. */
struct ech_token_model {
    double per_row, per_byte;
};
/* Least squares; where the line would have a negative part, or the sample has one length only, through the
 * origin. An empty sample: 0.25 tokens a byte and 2 a row. */
struct ech_token_model ech_token_fit(const struct ech_token_sums *sums);
double ech_tokens_of(const struct ech_token_model *model, int64_t rows, int64_t bytes);

#endif
