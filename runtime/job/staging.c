/* See staging.h. The order: rank 0 lists the files, leaders look for a copy, and where one lacks it rank 0
 * and those leaders form a communicator over which the files go in pieces. */
#include "job/staging.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "comm/watchdog.h"
#include "job/files_hash.h"
#include "job/staging_folder.h"
#include "model/engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20, PATH_ROOM = 4096 }; /* PIECE: as in the checks of staging_folder.c */

/* As rank 0 tells it; the names follow, each with its end. */
struct listed {
    struct ech_file_state state;
    int64_t name_bytes;
};

struct ech_staging {
    const struct ech_staging_options *o; /* during open */
    struct ech_str text;                 /* the list as it was sent */
    struct ech_staged_file *files;
    int count;
    int64_t bytes, read;
    char key[ECH_HASH_HEX], path[PATH_ROOM];
    bool leads;
    struct ech_staging_place place;
};

/* Rank 0: what the model's files are. */
static int list_files(struct ech_staging *s, struct ech_err *err)
{
    struct ech_engine *engine;
    struct ech_engine_options options = {.model = s->o->model, .threads = 1};
    int code = ech_engine_load(&options, &engine, err);
    if (code)
        return code;
    for (const char *const *name = ech_engine_files(engine); !code && *name; name++) {
        struct listed one = {.name_bytes = (int64_t)strlen(*name) + 1};
        char *path = ech_path_join(s->o->model, *name, err);
        code = path ? ech_file_state_read(path, &one.state, err) : ECH_UNAVAILABLE;
        ech_str_add(&s->text, &one, sizeof one);
        ech_str_add(&s->text, *name, (size_t)one.name_bytes);
        ech_free(path);
    }
    ech_engine_close(engine);
    return code ? code : ech_str_check(&s->text, err);
}

static int read_list(struct ech_staging *s, struct ech_err *err)
{
    struct listed one;
    size_t at = 0;
    for (; at + sizeof one <= s->text.length; s->count++) {
        memcpy(&one, s->text.data + at, sizeof one);
        at += sizeof one + (size_t)one.name_bytes;
    }
    s->files = ech_calloc((size_t)s->count, sizeof *s->files, err);
    if (!s->files)
        return ECH_UNAVAILABLE;
    at = 0;
    for (int i = 0; i < s->count; i++) {
        memcpy(&one, s->text.data + at, sizeof one);
        s->files[i].name = s->text.data + at + sizeof one;
        s->files[i].bytes = one.state.bytes;
        s->bytes += one.state.bytes;
        at += sizeof one + (size_t)one.name_bytes;
    }
    ech_hash_print(ech_hash_bytes(s->text.data, s->text.length), s->key);
    return ECH_OK;
}

static int share_list(struct ech_staging *s, struct ech_err *err)
{
    struct ech_comm *comm = s->o->comm;
    if (ech_comm_rank(comm) == 0)
        list_files(s, err);
    int code = ech_agree(comm, err);
    int64_t bytes = (int64_t)s->text.length;
    if (!code)
        code = ech_bcast(comm, &bytes, sizeof bytes, 0, err);
    if (code)
        return code;
    char *copy = ech_calloc((size_t)bytes + 1, 1, err);
    if (copy && ech_comm_rank(comm) == 0)
        memcpy(copy, s->text.data, (size_t)bytes);
    if (!(code = ech_agree(comm, err)))
        code = ech_bcast(comm, copy, (size_t)bytes, 0, err);
    if (!code && ech_comm_rank(comm) != 0)
        ech_str_add(&s->text, copy, (size_t)bytes);
    ech_free(copy);
    if (!code && (code = ech_str_check(&s->text, err)) == ECH_OK)
        read_list(s, err);
    return ech_agree(comm, err);
}

/* --- the leaders --- */

static int find_place(struct ech_staging *s, struct ech_err *err)
{
    char *base;
    int code = ech_staging_base(s->o->folder, &base, err);
    if (code)
        return code;
    code =
        ech_staging_take(base, s->key, s->o->keep, s->bytes, s->o->most, s->files, s->count, &s->place, err);
    ech_free(base);
    if (!code && strlen(s->place.path) >= sizeof s->path)
        code = ech_fail(err, ECH_CONFIG, "model.folder: the path %.200s... is too long", s->place.path);
    if (!code)
        snprintf(s->path, sizeof s->path, "%s", s->place.path);
    return code;
}

/* A failure of this rank's files stays here until all pieces have come: the others must not wait for it. */
struct transfer {
    struct ech_comm *comm;
    unsigned char *piece;
    bool reads, writes;
    int from, to; /* descriptors */
    struct ech_err *err;
};

static int open_ends(struct ech_staging *s, struct transfer *t, const char *name)
{
    char *source = ech_path_join(s->o->model, name, t->err),
         *target = ech_path_join(s->place.path, name, t->err);
    char *folder = t->writes && target ? ech_path_dir(target, t->err) : NULL;
    int code = source && target ? ECH_OK : ECH_UNAVAILABLE;
    t->from = t->to = -1;
    if (!code && t->reads)
        code = ech_open(source, O_RDONLY, &t->from, t->err);
    if (!code && t->writes)
        code = folder ? ech_mkdir_all(folder, t->err) : ECH_UNAVAILABLE;
    if (!code && t->writes)
        code = ech_open(target, O_WRONLY | O_CREAT | O_TRUNC, &t->to, t->err);
    ech_free(source);
    ech_free(target);
    ech_free(folder);
    return code;
}

/* One file. Every rank here takes part in every piece, whatever has failed. */
static int pass_file(struct ech_staging *s, struct transfer *t, struct ech_staged_file *file, int code)
{
    int comm_code = ECH_OK;
    if (!code)
        code = open_ends(s, t, file->name);
    file->hash = (struct ech_hash){0, 0};
    for (int64_t at = 0; !comm_code && at < file->bytes; at += PIECE) {
        size_t bytes = (size_t)ech_min64(PIECE, file->bytes - at);
        if (!code && t->reads)
            code = ech_pread_all(t->from, file->name, t->piece, bytes, at, t->err);
        comm_code = ech_bcast(t->comm, t->piece, bytes, 0, t->err);
        ech_hash_add(&file->hash, t->piece, bytes);
        if (!code && t->writes)
            code = ech_write_all(t->to, file->name, t->piece, bytes, t->err);
        ech_watchdog_beat();
        s->read += t->reads ? (int64_t)bytes : 0;
    }
    if (t->from >= 0)
        close(t->from);
    if (t->to >= 0 && ech_close(t->to, file->name, t->err) != ECH_OK && !code)
        code = ECH_IO;
    t->from = t->to = -1;
    return code ? code : comm_code;
}

static int transfer(struct ech_staging *s, struct ech_comm *comm, struct ech_err *err)
{
    struct transfer t = {.comm = comm,
                         .reads = ech_comm_rank(s->o->comm) == 0,
                         .writes = s->leads && !s->place.have,
                         .from = -1,
                         .to = -1,
                         .err = err};
    t.piece = ech_alloc_aligned(PIECE, err);
    int code = ech_agree(comm, err);
    if (code) {
        ech_free(t.piece);
        return code;
    }
    for (int i = 0; i < s->count; i++) {
        int failed = pass_file(s, &t, &s->files[i], code);
        code = code ? code : failed;
    }
    ech_free(t.piece);
    return ech_agree(comm, err);
}

/* A file that changed while it was read is no model. */
static int unchanged(const struct ech_staging *s, struct ech_err *err)
{
    struct listed one;
    size_t at = 0;
    for (int i = 0; i < s->count; i++) {
        struct ech_file_state now;
        memcpy(&one, s->text.data + at, sizeof one);
        at += sizeof one + (size_t)one.name_bytes;
        char *path = ech_path_join(s->o->model, s->files[i].name, err);
        int code = path ? ech_file_state_read(path, &now, err) : ECH_UNAVAILABLE;
        if (!code && memcmp(&now, &one.state, sizeof now) != 0)
            code = ech_fail(err, ECH_IO, "%s changed while it was copied to the nodes: start again", path);
        ech_free(path);
        if (code)
            return code;
    }
    return ECH_OK;
}

/* Collective over all ranks, whether they take part or not. */
static int copy(struct ech_staging *s, struct ech_err *err)
{
    struct ech_comm *comm = s->o->comm, *some = NULL;
    int64_t lacking = s->leads && !s->place.have, any = lacking;
    int code = ech_max_i64(comm, &any, 1, err);
    if (code || !any)
        return code;
    code = ech_comm_split(comm, lacking || ech_comm_rank(comm) == 0 ? 0 : -1, &some, err);
    if (!code && some)
        code = transfer(s, some, err);
    if (!code && ech_comm_rank(comm) == 0)
        code = unchanged(s, err);
    if (some)
        ech_comm_close(some);
    if ((code = ech_agree(comm, err)))
        return code;
    if (lacking)
        ech_staging_seal(&s->place, s->files, s->count, err);
    return ech_agree(comm, err);
}

/* The ranks of a node learn where their leader has put it. */
static int tell_node(struct ech_staging *s, struct ech_err *err)
{
    struct ech_comm *comm = s->o->comm, *node = NULL;
    int code = ech_comm_split(comm, ech_comm_node(comm), &node, err);
    if (!code)
        code = ech_bcast(node, s->path, sizeof s->path, 0, err);
    if (!code && !ech_path_exists(s->path))
        ech_fail(
            err, ECH_UNAVAILABLE,
            "rank %d on %s does not see %s, where its node's copy of the model lies: name a folder that all "
            "ranks of a node share (model.folder)",
            ech_comm_rank(comm), ech_comm_host(comm), s->path);
    if (node)
        ech_comm_close(node);
    return ech_agree(comm, err);
}

int ech_staging_open(const struct ech_staging_options *o, struct ech_staging **out, struct ech_err *err)
{
    struct ech_staging *s = ech_calloc(1, sizeof *s, err);
    int code = ech_agree(o->comm, err);
    if (code) {
        ech_free(s);
        return code;
    }
    s->o = o;
    s->leads = ech_comm_node_rank(o->comm) == 0;
    s->place.lock = -1;
    ech_str_init(&s->text);
    code = share_list(s, err);
    if (!code && s->leads)
        find_place(s, err);
    if (!code && !(code = ech_agree(o->comm, err)))
        code = copy(s, err);
    if (!code)
        code = tell_node(s, err);
    s->o = NULL;
    if (code)
        ech_staging_close(s);
    else
        *out = s;
    return code;
}

const char *ech_staging_folder(const struct ech_staging *s)
{
    return s->path;
}

int64_t ech_staging_read_bytes(const struct ech_staging *s)
{
    return s->read;
}

void ech_staging_close(struct ech_staging *s)
{
    if (!s)
        return;
    ech_staging_leave(&s->place);
    ech_str_fini(&s->text);
    ech_free(s->files);
    ech_free(s);
}
