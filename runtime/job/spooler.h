/* The spooler: one I/O thread that writes blocks to this rank's spool file and syncs it (every `sync_seconds`
 * or `sync_bytes`). Main hands blocks over and learns later which of them are safe. Main never waits here.
 *
 * A full disk (ENOSPC, EDQUOT, EROFS) is retried every 0.5 s until `full_seconds` have passed, then ECH_IO;
 * any other failing write or sync is ECH_IO at once. A partly written record is written again from its start.
 * Before each write the thread calls `may_write`; false (this rank was declared dead): nothing is written any
 * more and `fenced` is reported. */
#ifndef ECH_JOB_SPOOLER_H
#define ECH_JOB_SPOOLER_H

#include "job/spool.h"

struct ech_spooler;
struct ech_spooler_options {
    const char *path; /* created by the first block (no file where a rank did nothing) */
    struct ech_spool_head head;
    double sync_seconds, full_seconds;
    int64_t sync_bytes;
    bool (*may_write)(void *context); /* called by the I/O thread; NULL: always */
    void *context;
};
int ech_spooler_open(const struct ech_spooler_options *options, struct ech_spooler **out,
                     struct ech_err *err);
/* Takes the block (also on failure). Never blocks on the disk. */
int ech_spooler_put(struct ech_spooler *spooler, struct ech_block *block, int64_t epoch, struct ech_err *err);
/* A range that has become safe (synced) since the last call: true. Its rows, errors and tokens. */
struct ech_spooled {
    int64_t first, rows, errors, tokens;
};
bool ech_spooler_poll(struct ech_spooler *spooler, struct ech_spooled *out);
/* Blocks handed over and not yet safe: what is in flight in memory (bytes). */
int64_t ech_spooler_pending_bytes(struct ech_spooler *spooler);
int64_t ech_spooler_written_bytes(struct ech_spooler *spooler); /* synced */
/* The thread's error, if it has stopped with one (code, and err filled). */
int ech_spooler_failed(struct ech_spooler *spooler, struct ech_err *err);
bool ech_spooler_fenced(struct ech_spooler *spooler);
/* Ask for a sync now (the end of a phase); the result shows in poll / failed. */
void ech_spooler_flush(struct ech_spooler *spooler);
/* Write and sync what is pending (unless failed or fenced), end the thread, close. NULL: success. */
int ech_spooler_close(struct ech_spooler *spooler, struct ech_err *err);

#endif
