/* Between the files of an import (import.c: the course of it; import_plan.c: columns of text
 * files; import_text.c: their rows; import_header.c, import_append.c, import_npy.c). */
#ifndef ECH_DATA_IMPORT_RUN_H
#define ECH_DATA_IMPORT_RUN_H

#include "data/batch.h"
#include "data/import.h"
#include "data/npy.h"
#include "data/source.h"

/* Names of the fields of a CSV file. */
struct ech_header {
    char *text; /* the names, each ended by NUL */
    int64_t bytes, count;
    const char **names; /* into text */
};
void ech_header_fini(struct ech_header *header);

struct ech_import_run {
    struct ech_comm *comm;
    const struct ech_import_options *options;
    const char *target;
    enum ech_format format;
    char delimiter;
    int64_t row_max, shard_bytes;
    struct ech_source_file *files;
    struct ech_piece *pieces;
    int piece_count;
    struct ech_header header;
    struct ech_npy *npy; /* a header a file */
    /* What was asked for (or, appending, what the dataset has): closed; otherwise all keys are taken. */
    struct ech_want *wants;
    int want_count;
    bool closed, strict; /* strict: a key that is not wanted is an error */
    /* The columns as they are now believed to be; source names beside them. */
    struct ech_want *plan;
    int plan_count;
    int *fields; /* CSV: field of each column */
    struct ech_layout *layout;
    struct ech_tally tally; /* of this rank's rows */
    int passes;
};

/* run->header, from the first row that there is; count 0: there is none at all.
 * Calls   Collective (rank 0 reads). */
int ech_import_read_header(struct ech_import_run *run, struct ech_err *err);
/* Sets plan and layout (agreed). Calls   Collective. */
int ech_import_text_plan(struct ech_import_run *run, struct ech_err *err);
int ech_import_npy_plan(struct ech_import_run *run, struct ech_err *err);
/* The text rows of this rank (sample: the first ones only): into the batch (NULL: nowhere), what they hold
 * into the survey (NULL: settled). While columns may still change, the first value that does not fit them is
 * no error but *later. Calls   Local. */
int ech_import_text_read(struct ech_import_run *run, struct ech_batch *batch, struct ech_survey *survey,
                         bool sample, struct ech_err *later, struct ech_err *err);
/* Whether the columns follow from the rows. */
bool ech_import_unsettled(const struct ech_import_run *run);
/* This rank's rows into the batch. Calls   Local. */
int ech_import_text_rows(struct ech_import_run *run, struct ech_batch *batch, struct ech_err *err);
int ech_import_npy_rows(struct ech_import_run *run, struct ech_batch *batch, struct ech_err *err);
/* Appending: the dataset's columns become what is wanted. Calls   Collective. */
int ech_import_append_wants(struct ech_import_run *run, struct ech_err *err);
/* A new empty layout for the plan. */
int ech_import_new_layout(struct ech_import_run *run, struct ech_err *err);

#endif
