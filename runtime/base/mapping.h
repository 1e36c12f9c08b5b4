/* Files mapped for reading whose loss is an error, not a death. A page that cannot be had (the file was cut
 * short or removed on its server, its handle went stale, its disk failed: SIGBUS) reads as zeros from then
 * on, and the next ech_mapping_check says so; the reader checks before it believes what it has read. A SIGBUS
 * anywhere else does what it did before. The handler is installed with the first mapping and stays.
 * Thread-safe. */
#ifndef ECH_BASE_MAPPING_H
#define ECH_BASE_MAPPING_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_mapping {
    const unsigned char *data;
    size_t bytes;
    char *path;
    uint64_t device, inode;
    int slot;
};

/* Errors  ECH_NOINPUT: missing, not a regular file; ECH_DATA: empty; ECH_UNAVAILABLE: cannot be mapped. */
int ech_mapping_open(const char *path, struct ech_mapping *out, struct ech_err *err);
/* ECH_IO where a page was lost or the file is shorter than it was: names the file, the place and the cause.
 */
int ech_mapping_check(const struct ech_mapping *mapping, struct ech_err *err);
void ech_mapping_close(struct ech_mapping *mapping); /* zeroed, or closed before: nothing happens */

#endif
