/* A dataset's manifest kept aside, and whether the dataset is still the one it speaks of: see dataset.h. An
 * append adds shards and changes none, so all that the copy says must still be said by the manifest. */
#include "data/dataset.h"

#include "base/io.h"
#include "base/mem.h"
#include "data/manifest.h"

#include <string.h>

static int keep(const char *path, const char *copy, struct ech_err *err)
{
    struct ech_manifest m;
    char *text = NULL, *from = ech_path_join(path, ECH_MANIFEST_NAME, err);
    size_t bytes = 0;
    int code = from ? ech_manifest_read(path, &m, err) : ECH_UNAVAILABLE; /* for its errors */
    if (code == ECH_OK) {
        ech_manifest_fini(&m);
        code = ech_read_file(from, ECH_MANIFEST_BYTES_MOST, &text, &bytes, err);
    }
    if (code == ECH_OK)
        code = ech_write_file(copy, text, bytes, err);
    ech_free(text);
    ech_free(from);
    return code;
}

static int differs(const char *path, const char *what, struct ech_err *err)
{
    return ech_fail(err, ECH_CONFIG,
                    "%s is not the dataset that this run was started with, nor grown out of it: %s differs; "
                    "put that one back, or start a new run",
                    path, what);
}

static bool same_column(const struct ech_column *a, const struct ech_column *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->dtype == b->dtype && a->dim == b->dim;
}

static int compare(const char *path, const struct ech_manifest *then, const struct ech_manifest *now,
                   struct ech_err *err)
{
    if (!ech_hash_equal(then->uuid, now->uuid))
        return differs(path, "its uuid", err);
    bool same = then->column_count == now->column_count;
    for (size_t c = 0; same && c < then->column_count; c++)
        same = same_column(&then->columns[c], &now->columns[c]);
    if (!same)
        return differs(path, "its list of columns", err);
    same = then->shard_count <= now->shard_count;
    for (size_t s = 0; same && s < then->shard_count; s++) {
        const struct ech_manifest_shard *a = &then->shards[s], *b = &now->shards[s];
        same = strcmp(a->file, b->file) == 0 && a->rows == b->rows && a->bytes == b->bytes;
        for (size_t c = 0; same && c < then->column_count; c++)
            same = ech_hash_equal(ech_manifest_root(then, s, c), ech_manifest_root(now, s, c));
        if (!same)
            return differs(path, a->file, err);
    }
    return same ? ECH_OK : differs(path, "its number of shards", err);
}

int ech_dataset_freeze(const char *path, const char *copy, struct ech_err *err)
{
    struct ech_manifest then = {0}, now = {0};
    if (!ech_path_exists(copy))
        return keep(path, copy, err);
    int code = ech_manifest_read_file(copy, &then, err);
    if (code == ECH_OK)
        code = ech_manifest_read(path, &now, err);
    if (code == ECH_OK)
        code = compare(path, &then, &now, err);
    ech_manifest_fini(&then);
    ech_manifest_fini(&now);
    return code;
}
