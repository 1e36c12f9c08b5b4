/* Where a job's rows come from: a column of the input dataset, a template over several, or the texts in the
 * job file. Reading is thread-safe. */
#ifndef ECH_JOB_SOURCE_H
#define ECH_JOB_SOURCE_H

#include "config/job.h"
#include "data/dataset.h"

struct ech_source;

/* `input` borrowed, NULL where `texts` (borrowed) are the rows.
 * Errors  ECH_CONFIG: a column that does not exist or has another type, with the nearest name. */
int ech_source_open(const struct ech_job *job, const struct ech_dataset *input, const struct ech_list *texts,
                    struct ech_source **out, struct ech_err *err);
void ech_source_close(struct ech_source *source);
int64_t ech_source_rows(const struct ech_source *source);
/* A row of a job whose options name a second column: both texts behind 8 bytes, the length of the first
 * (little endian). */
bool ech_source_paired(const struct ech_source *source);
/* Type of a row: text, or a tensor with its dim. */
const struct ech_column *ech_source_column(const struct ech_source *source);
int ech_source_read(const struct ech_source *source, int64_t first, int64_t count, struct ech_cells *cells,
                    struct ech_err *err);
/* Bytes of all rows, without reading them. */
int64_t ech_source_bytes(const struct ech_source *source);

#endif
