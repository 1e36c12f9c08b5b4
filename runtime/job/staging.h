/* Model files on the nodes, read once from the shared file system: rank 0 reads them, the leaders of the
 * nodes get them as messages and write them into a folder of their node, and every rank opens the model
 * there.
 *
 *   broadcast   the copy is this job's alone and goes as soon as the model is loaded
 *   node        the copy stays, under a key made of the files' names, sizes, inodes and times, with the hash
 * of each file; a later job on the node that finds it whole reads nothing from the shared file system. At
 * most `most` bytes stay; the longest unused go first, those in use (locked) never
 *
 * On a node:  FOLDER/echelon-models-UID/KEY/...       a model, KEY/.echelon-checks with size, hash and name
 * of each file FOLDER/echelon-models-UID/KEY.lock      shared while a job loads from it, exclusive while it
 * is made FOLDER/echelon-models-UID/job-PID-N.lock and job-PID-N/   a copy for one job (broadcast; node,
 * where another job is at the same model or there is no room to keep it) What a killed job leaves has a lock
 * that nobody holds: the next job on the node removes it. The folder belongs to the user alone (0700). */
#ifndef ECH_JOB_STAGING_H
#define ECH_JOB_STAGING_H

#include "comm/comm.h"

struct ech_staging;
struct ech_staging_options {
    struct ech_comm *comm;
    const char *model;  /* folder */
    const char *folder; /* on each node; NULL: $TMPDIR, or /tmp */
    bool keep;          /* stage node */
    int64_t most;       /* bytes kept on a node */
};
/* Calls   Collective over all ranks; the error is agreed.
 * Errors  those of the model's files; ECH_IO: no room on a node, or its disk failed; ECH_UNAVAILABLE: a rank
 * does not see its leader's folder. */
int ech_staging_open(const struct ech_staging_options *options, struct ech_staging **out,
                     struct ech_err *err);
/* Folder to open the model from; borrowed. */
const char *ech_staging_folder(const struct ech_staging *staging);
int64_t ech_staging_read_bytes(const struct ech_staging *staging); /* on rank 0: what was read; 0: nothing */
/* Local, once all ranks have loaded: the job's own copy goes, a kept one is free for others. NULL is fine. */
void ech_staging_close(struct ech_staging *staging);

#endif
