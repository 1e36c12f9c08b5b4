/* Reading spools back, beyond what spool.h offers. */
#ifndef ECH_JOB_SPOOL_IO_H
#define ECH_JOB_SPOOL_IO_H

#include "job/spool.h"

/* Which rows of which column of an open spool file. */
struct ech_spool_want {
    int fd;
    const char *path;
    int column;
    int64_t first, rows;
};
/* Bytes of each wanted row (all in `entry`) into sizes[want->rows]: ech_spool_read without the bytes. */
int ech_spool_sizes(const struct ech_spool_head *head, const struct ech_spool_entry *entry,
                    const struct ech_spool_want *want, uint64_t *sizes, struct ech_err *err);

#endif
