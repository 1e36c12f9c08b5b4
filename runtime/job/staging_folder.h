/* One node's folder of staged models: places, locks, checks, what goes. Local; see staging.h. */
#ifndef ECH_JOB_STAGING_FOLDER_H
#define ECH_JOB_STAGING_FOLDER_H

#include "base/err.h"
#include "base/hash.h"

struct ech_staged_file {
    const char *name; /* relative */
    int64_t bytes;
    struct ech_hash hash; /* of the content, once it is known */
};

struct ech_staging_place {
    char *base; /* FOLDER/echelon-models-UID */
    char *path; /* the model's folder */
    char *lock_path;
    int lock;  /* descriptor that holds the lock; -1: none */
    bool kept; /* stays behind */
    bool have; /* whole already: nothing is to be copied */
};

/* The base folder, made where it is missing. ECH_IO: not ours or not private. */
int ech_staging_base(const char *folder, char **out, struct ech_err *err);
/* Where this job's copy is, or is to be made. keep: under `key`, if it may be had. */
int ech_staging_take(const char *base, const char *key, bool keep, int64_t bytes, int64_t most,
                     const struct ech_staged_file *files, int count, struct ech_staging_place *out,
                     struct ech_err *err);
/* The copy is complete. */
int ech_staging_seal(struct ech_staging_place *place, const struct ech_staged_file *files, int count,
                     struct ech_err *err);
void ech_staging_leave(struct ech_staging_place *place);

#endif
