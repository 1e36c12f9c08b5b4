/* The spool files of a run: rank 0 lists the folders, all ranks get the same list. */
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rundir.h"
#include "base/str.h"
#include "job/seal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct found {
    char *host, *path;
    int64_t attempt, slot;
};
struct finds {
    struct found *items;
    size_t count, capacity;
};

static int by_place(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int host = strcmp(x->host, y->host);
    if (host != 0)
        return host;
    if (x->attempt != y->attempt)
        return x->attempt < y->attempt ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* "spool-<attempt>-<slot>", digits only. */
static bool parse_name(const char *name, int64_t *attempt, int64_t *slot)
{
    static const char prefix[] = "spool-";
    char number[24];
    const char *rest = name + sizeof prefix - 1;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    size_t digits = strspn(rest, "0123456789");
    if (digits == 0 || digits >= sizeof number || rest[digits] != '-')
        return false;
    memcpy(number, rest, digits);
    number[digits] = '\0';
    rest += digits + 1;
    return rest[0] && rest[strspn(rest, "0123456789")] == '\0' && ech_parse_int(number, attempt) &&
           ech_parse_int(rest, slot);
}

static int add_find(struct finds *finds, const char *host, const char *folder, const char *name,
                    struct ech_err *err)
{
    struct found found = {0};
    if (!parse_name(name, &found.attempt, &found.slot))
        return ECH_OK;
    int code =
        ech_grow((void **)&finds->items, &finds->capacity, finds->count + 1, sizeof *finds->items, err);
    if (code != ECH_OK)
        return code;
    found.host = ech_strdup(host, err);
    found.path = found.host ? ech_path_join(folder, name, err) : NULL;
    finds->items[finds->count++] = found;
    return found.path ? ECH_OK : ECH_UNAVAILABLE;
}

/* Every entry of a folder (a missing one has none): `each` decides what it is. */
static int walk_folder(const char *path, struct finds *finds, const char *host,
                       int (*each)(struct finds *, const char *, const char *, const char *,
                                   struct ech_err *),
                       struct ech_err *err)
{
    int code = ECH_OK;
    struct dirent *entry;
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR
                   ? ECH_OK
                   : ech_fail_errno(err, ECH_IO, errno, "cannot list folder %s", path);
    while (code == ECH_OK && (errno = 0, entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            code = each(finds, host, path, entry->d_name, err);
    if (code == ECH_OK && errno != 0)
        code = ech_fail_errno(err, ECH_IO, errno, "listing folder %s", path);
    closedir(dir);
    return code;
}

static int add_host(struct finds *finds, const char *unused, const char *folder, const char *name,
                    struct ech_err *err)
{
    (void)unused;
    char *path = ech_path_join(folder, name, err);
    int code = path ? walk_folder(path, finds, name, add_find, err) : ECH_UNAVAILABLE;
    ech_free(path);
    return code;
}

/* All paths one after the other, each with its NUL. */
static int list_local(const char *run_dir, struct ech_str *joined, struct ech_err *err)
{
    struct finds finds = {0};
    char *nodes = ech_path_join(run_dir, ECH_RUN_NODES, err);
    int code = nodes ? walk_folder(nodes, &finds, NULL, add_host, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && finds.count > 1)
        qsort(finds.items, finds.count, sizeof *finds.items, by_place);
    for (size_t i = 0; i < finds.count; i++) {
        if (code == ECH_OK)
            ech_str_add(joined, finds.items[i].path, strlen(finds.items[i].path) + 1);
        ech_free(finds.items[i].host);
        ech_free(finds.items[i].path);
    }
    ech_free(finds.items);
    ech_free(nodes);
    return code == ECH_OK ? ech_str_check(joined, err) : code;
}

static int split_paths(const char *joined, size_t bytes, struct ech_spool_files *out, struct ech_err *err)
{
    size_t capacity = 0;
    int code = ECH_OK;
    for (size_t at = 0; code == ECH_OK && at < bytes; at += strlen(joined + at) + 1) {
        code = ech_grow((void **)&out->paths, &capacity, (size_t)out->count + 1, sizeof *out->paths, err);
        if (code == ECH_OK && !(out->paths[out->count] = ech_strdup(joined + at, err)))
            code = ECH_UNAVAILABLE;
        out->count += code == ECH_OK;
    }
    return code;
}

int ech_spool_files_list(struct ech_comm *comm, const char *run_dir, struct ech_spool_files *out,
                         struct ech_err *err)
{
    struct ech_err local = ECH_ERR_NONE;
    struct ech_str joined;
    struct ech_spool_files files = {0};
    char *received = NULL;
    bool first = ech_comm_rank(comm) == 0;
    ech_str_init(&joined);
    if (first)
        list_local(run_dir, &joined, &local);
    int64_t bytes = (int64_t)joined.length;
    int code = ech_agree(comm, &local);
    if (code == ECH_OK)
        code = ech_bcast(comm, &bytes, sizeof bytes, 0, &local);
    if (code == ECH_OK) {
        received = ech_calloc((size_t)bytes + 1, 1, &local);
        if (received && first && bytes)
            memcpy(received, joined.data, (size_t)bytes);
        code = ech_agree(comm, &local);
    }
    if (code == ECH_OK)
        code = ech_bcast(comm, received, (size_t)bytes, 0, &local);
    if (code == ECH_OK) {
        split_paths(received, (size_t)bytes, &files, &local);
        code = ech_agree(comm, &local);
    }
    ech_free(received);
    ech_str_fini(&joined);
    if (code == ECH_OK) {
        *out = files;
        return ECH_OK;
    }
    ech_spool_files_fini(&files);
    if (err && err->code == ECH_OK)
        *err = local;
    return code;
}

void ech_spool_files_fini(struct ech_spool_files *files)
{
    for (int32_t i = 0; i < files->count; i++)
        ech_free(files->paths[i]);
    ech_free(files->paths);
    *files = (struct ech_spool_files){0};
}
