/* Reading events: see event.h. A file is known by its place, its attempt and how far it was read; none stays
 * open between polls. A poll costs one listing a node folder and one stat a file. */
#include "base/event.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 }; /* also the longest line that is believed */

struct file {
    char *path;
    int attempt;
    int64_t offset;
    bool skipping; /* inside a line that is too long */
};

struct host {
    char *path;
    struct file *files;
    size_t count, capacity;
};

struct ech_event_reader {
    char *nodes;
    int attempt;
    struct host *hosts;
    size_t count, capacity;
    char *piece;
};

int ech_event_reader_open(const char *run_dir, int attempt, struct ech_event_reader **out,
                          struct ech_err *err)
{
    struct ech_event_reader *reader = ech_calloc(1, sizeof *reader, err);
    if (!reader)
        return ECH_UNAVAILABLE;
    reader->attempt = attempt;
    reader->nodes = ech_run_path(err, run_dir, ECH_RUN_NODES);
    reader->piece = ech_calloc(PIECE, 1, err);
    int code = reader->nodes && reader->piece ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && !ech_path_exists(run_dir))
        code = ech_fail(err, ECH_NOINPUT, "the run directory %s does not exist", run_dir);
    if (code != ECH_OK) {
        ech_event_reader_close(reader);
        return code;
    }
    *out = reader;
    return ECH_OK;
}

void ech_event_reader_close(struct ech_event_reader *reader)
{
    if (!reader)
        return;
    for (size_t h = 0; h < reader->count; h++) {
        for (size_t f = 0; f < reader->hosts[h].count; f++)
            ech_free(reader->hosts[h].files[f].path);
        ech_free(reader->hosts[h].files);
        ech_free(reader->hosts[h].path);
    }
    ech_free(reader->hosts);
    ech_free(reader->nodes);
    ech_free(reader->piece);
    ech_free(reader);
}

/* Attempt of "events-<attempt>-<slot>.jsonl", 0 for every other name. */
static int attempt_of(const char *name)
{
    int attempt = 0, slot = 0, used = 0;
    if (sscanf(name, "events-%9d-%9d.jsonl%n", &attempt, &slot, &used) != 2 || used == 0 || name[used])
        return 0;
    return attempt > 0 ? attempt : 0;
}

static bool knows_file(const struct host *host, const char *name)
{
    for (size_t i = 0; i < host->count; i++)
        if (strcmp(ech_path_base(host->files[i].path), name) == 0)
            return true;
    return false;
}

static int add_file(struct host *host, const char *name, int attempt, struct ech_err *err)
{
    int code = ech_grow((void **)&host->files, &host->capacity, host->count + 1, sizeof *host->files, err);
    char *path = code == ECH_OK ? ech_path_join(host->path, name, err) : NULL;
    if (!path)
        return ECH_UNAVAILABLE;
    host->files[host->count++] = (struct file){.path = path, .attempt = attempt};
    return ECH_OK;
}

static int add_host(struct ech_event_reader *reader, const char *name, struct ech_err *err)
{
    int code =
        ech_grow((void **)&reader->hosts, &reader->capacity, reader->count + 1, sizeof *reader->hosts, err);
    char *path = code == ECH_OK ? ech_path_join(reader->nodes, name, err) : NULL;
    if (!path)
        return ECH_UNAVAILABLE;
    reader->hosts[reader->count++] = (struct host){.path = path};
    return ECH_OK;
}

static bool knows_host(const struct ech_event_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->count; i++)
        if (strcmp(ech_path_base(reader->hosts[i].path), name) == 0)
            return true;
    return false;
}

static int by_attempt(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->attempt != y->attempt)
        return x->attempt < y->attempt ? -1 : 1;
    return strcmp(x->path, y->path);
}

static int scan_host(const struct ech_event_reader *reader, struct host *host, struct ech_err *err)
{
    DIR *dir = opendir(host->path);
    if (!dir)
        return ECH_OK; /* gone, or not a folder */
    int code = ECH_OK;
    size_t before = host->count;
    struct dirent *entry;
    while (code == ECH_OK && (entry = readdir(dir))) {
        int attempt = attempt_of(entry->d_name);
        if (attempt && (!reader->attempt || attempt == reader->attempt) && !knows_file(host, entry->d_name))
            code = add_file(host, entry->d_name, attempt, err);
    }
    closedir(dir);
    if (host->count > before)
        qsort(host->files, host->count, sizeof *host->files, by_attempt);
    return code;
}

static int scan_nodes(struct ech_event_reader *reader, struct ech_err *err)
{
    DIR *dir = opendir(reader->nodes);
    if (!dir)
        return errno == ENOENT
                   ? ECH_OK
                   : ech_fail_errno(err, ECH_NOINPUT, errno, "cannot read the folder %s", reader->nodes);
    int code = ECH_OK;
    struct dirent *entry;
    while (code == ECH_OK && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !knows_host(reader, entry->d_name))
            code = add_host(reader, entry->d_name, err);
    closedir(dir);
    for (size_t i = 0; code == ECH_OK && i < reader->count; i++)
        code = scan_host(reader, &reader->hosts[i], err);
    return code;
}

static void give(const char *line, size_t bytes, void (*each)(const json_t *, void *), void *context)
{
    json_t *event;
    if (ech_json_parse("", line, bytes, &event, NULL) != ECH_OK)
        return;
    if (json_is_string(json_object_get(event, "type")))
        each(event, context);
    json_decref(event);
}

/* Gives the whole lines of a piece; returns the bytes that are done with. */
static size_t give_lines(struct file *file, const char *piece, size_t bytes,
                         void (*each)(const json_t *, void *), void *context)
{
    size_t done = 0;
    const char *end;
    while ((end = memchr(piece + done, '\n', bytes - done))) {
        size_t length = (size_t)(end - piece) - done;
        if (!file->skipping && length)
            give(piece + done, length, each, context);
        file->skipping = false;
        done += length + 1;
    }
    if (done == 0 && bytes == PIECE) {
        file->skipping = true;
        done = bytes;
    }
    return done;
}

static int read_file(struct ech_event_reader *reader, struct file *file, void (*each)(const json_t *, void *),
                     void *context, struct ech_err *err)
{
    struct stat st;
    if (stat(file->path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= file->offset)
        return ECH_OK;
    int fd, code = ech_open(file->path, O_RDONLY, &fd, err);
    if (code != ECH_OK)
        return code;
    size_t done = 1;
    while (code == ECH_OK && done > 0 && file->offset < st.st_size) {
        size_t want = st.st_size - file->offset < PIECE ? (size_t)(st.st_size - file->offset) : PIECE;
        code = ech_pread_all(fd, file->path, reader->piece, want, file->offset, err);
        done = code == ECH_OK ? give_lines(file, reader->piece, want, each, context) : 0;
        file->offset += (int64_t)done;
    }
    close(fd);
    return code;
}

int ech_event_reader_poll(struct ech_event_reader *reader, void (*each)(const json_t *event, void *context),
                          void *context, struct ech_err *err)
{
    int code = scan_nodes(reader, err);
    for (size_t h = 0; code == ECH_OK && h < reader->count; h++)
        for (size_t f = 0; code == ECH_OK && f < reader->hosts[h].count; f++)
            code = read_file(reader, &reader->hosts[h].files[f], each, context, err);
    return code;
}
