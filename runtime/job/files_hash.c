/* Hash of a set of files, made by all ranks together: a tree of 1 MiB blocks, block b by rank b mod size.
 * Equal contents under equal names give an equal hash, whatever the folder, the order of the list and the
 * number of ranks. */
#include "base/io.h"
#include "base/mem.h"
#include "comm/watchdog.h"
#include "job/files_hash.h"
#include "job/identity.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What rank 0 tells the others about a file. */
struct file {
    int64_t bytes, first_block, blocks; /* blocks that are to be hashed: 0 where cached */
    int64_t cached;
    struct ech_hash root;
};

struct work {
    struct ech_comm *comm;
    const char *const *names;
    int64_t count, blocks;
    char **paths, **copies; /* copies: where blocks are read; paths where there are none */
    struct file *files;
    struct ech_file_state *states; /* rank 0 */
    struct ech_hash *mine, *all;   /* block hashes: own, and of all in order */
    int64_t mine_count;
};

static int open_local(struct work *w, const char *folder, const char *from, struct ech_err *err)
{
    size_t count = 0;
    while (w->names[count])
        count++;
    w->paths = ech_calloc(count, sizeof *w->paths, err);
    w->copies = ech_calloc(count, sizeof *w->copies, err);
    w->files = ech_calloc(count, sizeof *w->files, err);
    w->states = ech_calloc(count, sizeof *w->states, err);
    if (!w->paths || !w->copies || !w->files || !w->states)
        return ECH_UNAVAILABLE;
    w->count = (int64_t)count;
    for (size_t i = 0; i < count; i++)
        if (!(w->paths[i] = ech_path_join(folder, w->names[i], err)) ||
            !(w->copies[i] = ech_path_join(from ? from : folder, w->names[i], err)))
            return ECH_UNAVAILABLE;
    for (size_t i = 0; ech_comm_rank(w->comm) == 0 && i < count; i++) {
        int code = ech_file_state_read(w->paths[i], &w->states[i], err);
        if (code != ECH_OK)
            return code;
        w->files[i].bytes = w->states[i].bytes;
        w->files[i].cached = ech_hash_cache_get(w->paths[i], &w->states[i], &w->files[i].root);
    }
    return ECH_OK;
}

static void number_blocks(struct work *w)
{
    for (int64_t i = 0; i < w->count; i++) {
        struct file *f = &w->files[i];
        f->blocks = f->cached ? 0 : (f->bytes + ECH_HASH_BLOCK - 1) / ECH_HASH_BLOCK;
        f->first_block = w->blocks;
        w->blocks += f->blocks;
    }
}

/* This rank's blocks of one file, in order. */
static int hash_file(struct work *w, int64_t number, unsigned char *buffer, struct ech_err *err)
{
    const struct file *f = &w->files[number];
    int rank = ech_comm_rank(w->comm), size = ech_comm_size(w->comm), fd;
    int64_t block = f->first_block + (rank - f->first_block % size + size) % size;
    if (block >= f->first_block + f->blocks)
        return ECH_OK;
    int code = ech_open(w->copies[number], O_RDONLY, &fd, err);
    if (code != ECH_OK)
        return code;
    for (; code == ECH_OK && block < f->first_block + f->blocks; block += size) {
        int64_t at = (block - f->first_block) * ECH_HASH_BLOCK, left = f->bytes - at;
        size_t bytes = left < ECH_HASH_BLOCK ? (size_t)left : ECH_HASH_BLOCK;
        code = ech_pread_all(fd, w->copies[number], buffer, bytes, at, err);
        if (code == ECH_OK)
            w->mine[w->mine_count++] = ech_hash_bytes(buffer, bytes);
        ech_watchdog_beat();
    }
    close(fd);
    return code;
}

static int hash_local(struct work *w, struct ech_err *err)
{
    int64_t size = ech_comm_size(w->comm);
    w->mine = ech_calloc((size_t)(w->blocks / size + 1), sizeof *w->mine, err);
    w->all = ech_calloc((size_t)w->blocks, sizeof *w->all, err);
    unsigned char *buffer = ech_alloc_aligned(ECH_HASH_BLOCK, err);
    int code = w->mine && w->all && buffer ? ECH_OK : ECH_UNAVAILABLE;
    for (int64_t i = 0; code == ECH_OK && i < w->count; i++)
        code = hash_file(w, i, buffer, err);
    ech_free(buffer);
    return code;
}

/* Collective: every rank gets all block hashes, put back in order. */
static int gather(struct work *w, struct ech_err *err)
{
    int size = ech_comm_size(w->comm);
    void *joined = NULL;
    struct ech_err local = ECH_ERR_NONE;
    size_t *counts = ech_calloc((size_t)size, sizeof *counts, &local);
    int code = ech_agree(w->comm, &local);
    if (code == ECH_OK)
        code = ech_allgatherv(w->comm, w->mine, (size_t)w->mine_count * sizeof *w->mine, &joined, counts,
                              &local);
    const struct ech_hash *next = joined;
    for (int rank = 0; code == ECH_OK && rank < size; rank++)
        for (int64_t block = rank; block < w->blocks; block += size)
            w->all[block] = *next++;
    ech_free(joined);
    ech_free(counts);
    if (code != ECH_OK && err && err->code == ECH_OK)
        *err = local;
    return code;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Root over names, sizes and the files' roots, in order of name. `order` is scratch. */
static struct ech_hash fold(const struct work *w, const char **order)
{
    struct ech_hash h = {0, 0};
    memcpy(order, w->names, (size_t)w->count * sizeof *order);
    qsort(order, (size_t)w->count, sizeof *order, by_name);
    for (int64_t i = 0; i < w->count; i++) {
        int64_t j = 0;
        while (w->names[j] != order[i])
            j++;
        uint64_t words[3] = {htole64((uint64_t)w->files[j].bytes), htole64(w->files[j].root.high),
                             htole64(w->files[j].root.low)};
        ech_hash_add_str(&h, w->names[j]);
        ech_hash_add(&h, words, sizeof words);
    }
    return h;
}

static void close_work(struct work *w)
{
    for (int64_t i = 0; w->paths && i < w->count; i++)
        ech_free(w->paths[i]);
    for (int64_t i = 0; w->copies && i < w->count; i++)
        ech_free(w->copies[i]);
    ech_free(w->copies);
    ech_free(w->paths);
    ech_free(w->files);
    ech_free(w->states);
    ech_free(w->mine);
    ech_free(w->all);
}

static void finish_files(struct work *w)
{
    for (int64_t i = 0; i < w->count; i++) {
        struct file *f = &w->files[i];
        if (f->cached)
            continue;
        f->root = ech_hash_root(w->all + f->first_block, f->blocks);
        if (ech_comm_rank(w->comm) == 0)
            ech_hash_cache_put(w->paths[i], &w->states[i], f->root);
    }
}

int ech_files_hash(struct ech_comm *comm, const char *folder, const char *from, const char *const *files,
                   struct ech_hash *out, struct ech_err *err)
{
    struct work w = {.comm = comm, .names = files};
    struct ech_err local = ECH_ERR_NONE;
    const char **order = NULL;
    open_local(&w, folder, from, &local);
    if (local.code == ECH_OK)
        order = ech_calloc((size_t)w.count, sizeof *order, &local);
    int code = ech_agree(comm, &local);
    if (code == ECH_OK)
        code = ech_bcast(comm, w.files, (size_t)w.count * sizeof *w.files, 0, &local);
    if (code == ECH_OK) {
        number_blocks(&w);
        hash_local(&w, &local);
        code = ech_agree(comm, &local);
    }
    if (code == ECH_OK)
        code = gather(&w, &local);
    if (code == ECH_OK) {
        finish_files(&w);
        *out = fold(&w, order);
    } else if (err && err->code == ECH_OK)
        *err = local;
    ech_free(order);
    close_work(&w);
    return code;
}
