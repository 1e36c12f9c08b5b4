/* What a run computes, as named parts, so that a resume can say which of them differs:
 * kind and version, input (rows, generation, hash of the manifest less provenance), other datasets, model
 * (tree of 1 MiB hashes over its files), options that affect the result, output columns, numerics class.
 * Saved as RUN/identity.json: [{"name": ..., "value": ...}] in order. */
#ifndef ECH_JOB_IDENTITY_H
#define ECH_JOB_IDENTITY_H

#include "base/hash.h"
#include "comm/comm.h"

struct ech_identity_part {
    char *name, *value;
};
struct ech_identity {
    struct ech_identity_part *parts;
    size_t count, capacity;
};
void ech_identity_fini(struct ech_identity *identity);
int ech_identity_add(struct ech_identity *identity, const char *name, const char *value, struct ech_err *err);
struct ech_hash ech_identity_hash(const struct ech_identity *identity);
int ech_identity_save(const char *path, const struct ech_identity *identity, struct ech_err *err);
/* ECH_NOINPUT where there is none. */
int ech_identity_load(const char *path, struct ech_identity *out, struct ech_err *err);
/* ECH_CONFIG: "this run was started with <name> = <a>, now it is <b>; ..." (all that differ). */
int ech_identity_compare(const struct ech_identity *saved, const struct ech_identity *now,
                         struct ech_err *err);

/* Hash of files (relative to `folder`, NULL-terminated; read from `from`, a copy of them, where it is not
 * NULL): blocks of 1 MiB are hashed by all ranks together (block b by rank b mod size), root over all blocks,
 * sizes and names. Cached in $XDG_CACHE_HOME/echelon/hashes or ~/.cache/echelon/hashes by path, inode, size,
 * mtime and ctime (rank 0 looks it up and tells the others; an unwritable cache is no error). Calls
 * Collective. Errors agreed by all. */
int ech_files_hash(struct ech_comm *comm, const char *folder, const char *from, const char *const *files,
                   struct ech_hash *out, struct ech_err *err);

#endif
