/* What rows cost: tokens of a seeded sample of 1,000 rows. */
#ifndef ECH_JOB_SAMPLE_H
#define ECH_JOB_SAMPLE_H

#include "job/kind.h"
#include "plan/tokens.h"

/* Worker `part` of `parts` reads each parts-th row of the sample and adds it to `sums`. Calls   Local. */
int ech_sample_tokens(const struct ech_kind_ops *kind, const struct ech_stream *stream,
                      const struct ech_source *source, int part, int parts, struct ech_token_sums *sums,
                      struct ech_err *err);
/* Tokens of all rows of the source: the sample's line (plan/tokens.h) over its bytes. At least one a row. */
double ech_sample_estimate(const struct ech_token_sums *sums, const struct ech_source *source);

#endif
