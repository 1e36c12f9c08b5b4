/* Before the seal: all ranks read the spools again, together, and tell each other what they hold. */
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "comm/watchdog.h"
#include "job/seal.h"
#include "job/seal_cover.h"

#include <string.h>

/* Entries a round of the gather brings together, all ranks summed: about 4 MiB. */
enum { ROUND_BYTES = 4 << 20 };

struct verify {
    struct ech_comm *comm;
    const struct ech_spool_files *files;
    const struct ech_spool_head *head;
    int64_t *bytes; /* of each file, as rank 0 sees them */
    int32_t *owner;
    size_t *counts;
    struct ech_spool_index own, all;
    struct ech_rowset done;
};

static int open_local(struct verify *v, struct ech_err *err)
{
    size_t files = (size_t)v->files->count;
    v->bytes = ech_calloc(files, sizeof *v->bytes, err);
    v->owner = ech_calloc(files, sizeof *v->owner, err);
    v->counts = ech_calloc((size_t)ech_comm_size(v->comm), sizeof *v->counts, err);
    if (!v->bytes || !v->owner || !v->counts)
        return ECH_UNAVAILABLE;
    for (size_t i = 0; ech_comm_rank(v->comm) == 0 && i < files; i++)
        if ((v->bytes[i] = ech_file_size(v->files->paths[i], err)) < 0)
            return err->code;
    return ECH_OK;
}

/* Bytes of the rank that has the most to read: files are dealt to the lightest, so it is the largest file or
 * about an equal share. */
static int64_t heaviest_load(const struct verify *v)
{
    int64_t sum = 0, largest = 0;
    for (int32_t i = 0; i < v->files->count; i++) {
        sum += v->bytes[i];
        largest = ech_max64(largest, v->bytes[i]);
    }
    return ech_max64(largest, 2 * sum / ech_comm_size(v->comm));
}

static int scan_local(struct verify *v, struct ech_err *err)
{
    int code = ech_deal_files(v->bytes, v->files->count, ech_comm_size(v->comm), v->owner, err);
    if (code == ECH_OK)
        ech_watchdog_extend_for(heaviest_load(v)); /* who has little to read waits for who has much */
    for (int32_t i = 0; code == ECH_OK && i < v->files->count; i++)
        if (v->owner[i] == ech_comm_rank(v->comm)) {
            code = ech_spool_scan(v->files->paths[i], v->head, i, &v->own, err);
            ech_watchdog_beat();
        }
    return code;
}

static int append_local(struct ech_spool_index *all, const void *entries, size_t bytes, struct ech_err *err)
{
    size_t count = bytes / sizeof *all->entries;
    int code =
        ech_grow((void **)&all->entries, &all->capacity, all->count + count, sizeof *all->entries, err);
    if (code != ECH_OK)
        return code;
    if (count)
        memcpy(all->entries + all->count, entries, count * sizeof *all->entries);
    all->count += count;
    return ECH_OK;
}

/* Collective: rounds of a bounded size, as many as the rank with the most entries needs. */
static int gather(struct verify *v, struct ech_err *err)
{
    size_t size = (size_t)ech_comm_size(v->comm), entry = sizeof *v->own.entries;
    size_t most = ROUND_BYTES / entry / size ? ROUND_BYTES / entry / size : 1, at = 0;
    int64_t rounds = (int64_t)((v->own.count + most - 1) / most);
    int code = ech_max_i64(v->comm, &rounds, 1, err);
    for (int64_t round = 0; code == ECH_OK && round < rounds; round++) {
        size_t total = 0, left = v->own.count - at, count = left < most ? left : most;
        void *joined = NULL;
        const void *mine = count ? v->own.entries + at : NULL;
        code = ech_allgatherv(v->comm, mine, count * entry, &joined, v->counts, err);
        if (code != ECH_OK)
            return code;
        for (size_t rank = 0; rank < size; rank++)
            total += v->counts[rank];
        append_local(&v->all, joined, total, err);
        ech_free(joined);
        code = ech_agree(v->comm, err);
        at += count;
    }
    return code;
}

static int finish_local(struct verify *v, struct ech_err *err)
{
    int code = ECH_OK;
    ech_spool_index_sort(&v->all);
    for (size_t i = 0; code == ECH_OK && i < v->all.count; i++) {
        const struct ech_spool_entry *e = &v->all.entries[i];
        code = ech_rowset_add(&v->done, e->first, e->first + e->rows, NULL, err);
    }
    return code;
}

int ech_spool_verify(struct ech_comm *comm, const struct ech_spool_files *files,
                     const struct ech_spool_head *head, struct ech_spool_index *index,
                     struct ech_rowset *done, struct ech_err *err)
{
    struct verify v = {.comm = comm, .files = files, .head = head};
    struct ech_err local = ECH_ERR_NONE;
    open_local(&v, &local);
    int code = ech_agree(comm, &local);
    if (code == ECH_OK)
        code = ech_bcast(comm, v.bytes, (size_t)files->count * sizeof *v.bytes, 0, &local);
    if (code == ECH_OK) {
        scan_local(&v, &local);
        code = ech_agree(comm, &local);
    }
    if (code == ECH_OK)
        code = gather(&v, &local);
    v.all.damaged = v.own.damaged;
    if (code == ECH_OK)
        code = ech_sum_i64(comm, &v.all.damaged, 1, &local);
    if (code == ECH_OK) {
        finish_local(&v, &local);
        code = ech_agree(comm, &local);
    }
    ech_free(v.bytes);
    ech_free(v.owner);
    ech_free(v.counts);
    ech_spool_index_fini(&v.own);
    if (code == ECH_OK) {
        *index = v.all;
        *done = v.done;
        return ECH_OK;
    }
    ech_spool_index_fini(&v.all);
    ech_rowset_fini(&v.done);
    if (err && err->code == ECH_OK)
        *err = local;
    return code;
}
