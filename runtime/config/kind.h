/* Kinds of job as plain data: what `config check` and the launcher need without any model or MPI. The code
 * of a kind (cost, stream) is in job/kind_<name>.c; both meet by name and version. One file a kind in kinds/.
 */
#ifndef ECH_CONFIG_KIND_H
#define ECH_CONFIG_KIND_H

#include "config/field.h"

struct ech_kind_column {
    const char *name;  /* "embedding"; "hits.*": one for each name of the option `each`, in place of "*" */
    const char *type;  /* "text", "json", "tensor", "ints"; inputs: several, "text|tensor" */
    const char *dtype; /* "f32", "i64", NULL for text */
    const char *dim;   /* "1", "model.dim", "options.top_k"; NULL: ragged */
    const char *each;  /* option path whose list names the columns, or NULL */
};

struct ech_kind {
    const char *name;
    int version;         /* changes when the same options give other bytes: part of a job's identity */
    const char *summary; /* one line */
    const struct ech_kind_column *inputs, *outputs; /* ended by name NULL */
    const struct ech_field *options;                /* ended by path NULL; paths begin with "options." */
    size_t options_bytes;                           /* of the struct that the fields fill */
    bool needs_input;                               /* input.dataset is required */
    bool needs_model;
    bool as_stored;   /* of language models: precision not given is that of the files, precision.kv applies */
    bool splits;      /* its model can run on several ranks a worker */
    const char *pair; /* option that names the column of a row's second text, or NULL */
};

/* NULL-terminated. */
const struct ech_kind *const *ech_kinds(void);
const struct ech_kind *ech_kind_find(const char *name);

struct ech_job;
/* The column of a row's second text, NULL where rows are single texts. */
const char *ech_job_pair(const struct ech_job *job);

#endif
