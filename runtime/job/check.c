#include "job/check.h"

#include "comm/watchdog.h"
#include "data/verify.h"

#include <inttypes.h>

struct first {
    struct ech_err *err;
    const char *key, *path;
};

static void keep_first(const struct ech_damage *d, void *context)
{
    const struct first *f = context;
    if (!d->note) /* ech_fail keeps the first */
        ech_fail(f->err, ECH_DATA,
                 "%s: %s is damaged: %s, column %s, rows %" PRId64 " to %" PRId64
                 ": %s (echelon data verify lists all; input.verify: false goes on regardless)",
                 f->key, f->path, d->file, d->column, d->first_row, d->end_row - 1, d->text);
}

int ech_check_dataset(struct ech_comm *comm, const struct ech_dataset *ds, const char *key,
                      struct ech_err *err)
{
    struct first first = {err, key, ech_dataset_path(ds)};
    struct ech_verify found;
    int64_t bytes = 0;
    for (int c = 0; c < ech_dataset_columns(ds); c++)
        bytes += ech_dataset_column_bytes(ds, c) + 8 * ech_dataset_rows(ds);
    ech_watchdog_extend_for(bytes / ech_comm_size(comm));
    ech_verify(ds, ech_comm_rank(comm), ech_comm_size(comm), keep_first, &first, &found, err);
    return ech_agree(comm, err);
}
