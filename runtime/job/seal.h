/* Verify and seal: from spools to the output dataset. Collective over the living ranks; each phase under the
 * watchdog (the caller opens it).
 *   verify: every rank reads its share of the run's spool files whole (files are dealt by size), the good
 *           records' entries are gathered on all ranks: 48 bytes a record; the rows that no record covers are
 * returned. seal:   rank r of n takes rows [N*r/n, N*(r+1)/n); of overlapping records the one with the lowest
 * (attempt, file, offset) counts; kept input columns are copied from the input dataset; pass 1 sizes, pass 2
 * writes (data/writer.h), publish. Memory: one slice of rows, about 8 MiB a column. */
#ifndef ECH_JOB_SEAL_H
#define ECH_JOB_SEAL_H

#include "comm/comm.h"
#include "data/dataset.h"
#include "job/spool.h"

/* All spool files of a run directory in a fixed order (host, attempt, slot), of attempts up to `attempt`.
 * Owner: caller. Rank 0 lists, the others are told (so that all see the same). Calls   Collective. */
struct ech_spool_files {
    char **paths;
    int32_t count;
};
int ech_spool_files_list(struct ech_comm *comm, const char *run_dir, struct ech_spool_files *out,
                         struct ech_err *err);
void ech_spool_files_fini(struct ech_spool_files *files);

/* Calls   Collective. `index`: all good records, sorted by (first, attempt, file, offset), equal on all
 * ranks. `done`: the rows they cover. */
int ech_spool_verify(struct ech_comm *comm, const struct ech_spool_files *files,
                     const struct ech_spool_head *head, struct ech_spool_index *index,
                     struct ech_rowset *done, struct ech_err *err);

struct ech_seal_job {
    const struct ech_spool_files *files;
    const struct ech_spool_head *head; /* produced columns, identity */
    const struct ech_spool_index *index;
    int64_t rows;
    const struct ech_dataset *input; /* NULL: no kept columns */
    const int *keep; /* column indices of the input, before the produced columns in the output */
    int keep_count;
    int64_t shard_bytes;
    const char *target, *tag; /* output folder; partial folder is TARGET.partial-TAG */
    bool replace;
    const char *provenance; /* YAML block, indented by two blanks */
};
struct ech_sealed {
    int64_t rows, bytes; /* bytes: of the cells, and 8 a row for each ragged column (of the files, where
                            they were there already) */
    int shards;
};
/* A target that holds this very output already (uuid, columns and rows are the job's: a death after the
 * rename, before the report) is success. Calls   Collective. Errors agreed by all; then rank 0 has removed
 * the partial folder. */
int ech_seal(struct ech_comm *comm, const struct ech_seal_job *job, struct ech_sealed *out,
             struct ech_err *err);

#endif
