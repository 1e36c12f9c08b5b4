/* The verb `logs`. Reads nodes/<host>/log-<attempt>-<slot>; a file is known by how far it was read, none
 * stays open. Grows with the ranks (one record a file) and, in one go, with what was written since the last
 * look. */
#include "launcher/logmerge.h"
#include "launcher/rundirs.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_BYTES = 8 << 20 }; /* of one file in one look: a longer one begins later */

static const struct ech_option logs_options[] = {
    {"rank", "N", false, "the lines of one rank"},
    {"follow", NULL, false, "go on until the run ends"},
    {"mpirun", NULL, false, "what mpirun and the ranks said on stdout and stderr in the newest attempt"},
    {NULL, NULL, false, NULL}};
static const struct ech_exit logs_exits[] = {
    {0, "success"}, {ECH_USAGE, NULL}, {ECH_NOINPUT, NULL}, {0, NULL}};

const struct ech_command ech_logs_command = {
    .name = "echelon logs",
    .usage = "[RUN] [--rank N] [--follow] [--mpirun]",
    .summary =
        "Prints the logs of all ranks and attempts, merged by time; a line that several ranks said within a\n"
        "second is printed once with their count. RUN: default the newest run.",
    .options = logs_options,
    .operands_most = 1,
    .example = "echelon logs --follow",
    .exits = logs_exits};

struct log_file {
    char *path;
    int64_t offset;
};

struct reader {
    const char *run_dir;
    int64_t rank; /* -1: all */
    struct log_file *files;
    size_t count, capacity;
    struct ech_log_lines lines;
};

static struct log_file *file_of(struct reader *r, const char *path, struct ech_err *err)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->files[i].path, path) == 0)
            return &r->files[i];
    if (ech_grow((void **)&r->files, &r->capacity, r->count + 1, sizeof *r->files, err) != ECH_OK)
        return NULL;
    char *copy = ech_strdup(path, err);
    if (!copy)
        return NULL;
    r->files[r->count] = (struct log_file){copy, 0};
    return &r->files[r->count++];
}

/* Whole lines from `offset` on. */
static int read_lines(struct reader *r, struct log_file *file, int slot, struct ech_err *err)
{
    int64_t size = ech_file_size(file->path, NULL);
    if (size <= file->offset)
        return ECH_OK;
    if (size - file->offset > LOG_BYTES)
        file->offset = size - LOG_BYTES;
    size_t bytes = (size_t)(size - file->offset), got = 0;
    char *text = ech_calloc(bytes + 1, 1, err);
    int fd = -1, code = text ? ech_open(file->path, O_RDONLY, &fd, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && lseek(fd, file->offset, SEEK_SET) >= 0)
        code = ech_read_some(fd, file->path, text, bytes, &got, err);
    size_t at = 0;
    while (code == ECH_OK && at < got) {
        const char *newline = memchr(text + at, '\n', got - at);
        if (!newline)
            break;
        size_t length = (size_t)(newline - (text + at));
        ech_log_lines_add(&r->lines, text + at, length, slot);
        at += length + 1;
    }
    file->offset += (int64_t)at;
    if (fd >= 0)
        close(fd);
    ech_free(text);
    return code;
}

static int read_node(struct reader *r, const char *folder, struct ech_err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int code = ECH_OK;
    while (dir && code == ECH_OK && (entry = readdir(dir))) {
        int attempt, slot, used = 0;
        if (sscanf(entry->d_name, "log-%9d-%9d%n", &attempt, &slot, &used) != 2 || entry->d_name[used])
            continue;
        if (r->rank >= 0 && slot != r->rank)
            continue;
        char *path = ech_path_join(folder, entry->d_name, err);
        struct log_file *file = path ? file_of(r, path, err) : NULL;
        code = file ? read_lines(r, file, slot, err) : ECH_UNAVAILABLE;
        ech_free(path);
    }
    if (dir)
        closedir(dir);
    return code;
}

static int read_all(struct reader *r, struct ech_err *err)
{
    char *nodes = ech_run_path(err, r->run_dir, "%s", ECH_RUN_NODES);
    DIR *dir = nodes ? opendir(nodes) : NULL;
    struct dirent *entry;
    int code = nodes ? ECH_OK : ECH_UNAVAILABLE;
    while (dir && code == ECH_OK && (entry = readdir(dir))) {
        char *host = entry->d_name[0] == '.' ? NULL : ech_path_join(nodes, entry->d_name, err);
        if (host)
            code = read_node(r, host, err);
        ech_free(host);
    }
    if (dir)
        closedir(dir);
    ech_free(nodes);
    return code == ECH_OK && r->lines.failed ? ech_fail(err, ECH_UNAVAILABLE, "no memory for the logs")
                                             : code;
}

static int print_new(struct reader *r, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    int code = read_all(r, err);
    if (code == ECH_OK) {
        ech_log_lines_print(&r->lines, &text);
        code = ech_str_check(&text, err);
    }
    if (code == ECH_OK && text.length) {
        fwrite(text.data, 1, text.length, stdout);
        if (fflush(stdout) != 0)
            code = ech_fail(err, ECH_IO, "the output could not be written");
    }
    ech_str_fini(&text);
    return code;
}

static int print_merged(const char *run_dir, int64_t rank, bool follow, struct ech_err *err)
{
    struct reader r = {.run_dir = run_dir, .rank = rank};
    int code;
    bool alive;
    do {
        alive = follow && ech_rundir_is_held(run_dir); /* asked first: what it wrote last is still read */
        code = print_new(&r, err);
        if (alive && code == ECH_OK)
            ech_sleep_us(300000);
    } while (alive && code == ECH_OK);
    for (size_t i = 0; i < r.count; i++)
        ech_free(r.files[i].path);
    ech_free(r.files);
    ech_log_lines_fini(&r.lines);
    return code;
}

static int print_mpirun(const char *run_dir, struct ech_err *err)
{
    int attempts = 0, fd = -1, code = ech_run_attempts(run_dir, &attempts, err);
    char *path = code == ECH_OK ? ech_run_path(err, run_dir, "mpirun-%d.log", attempts) : NULL, piece[65536];
    if (code == ECH_OK)
        code = path ? ech_open(path, O_RDONLY, &fd, err) : ECH_UNAVAILABLE;
    size_t got = 1;
    while (code == ECH_OK && got > 0) {
        code = ech_read_some(fd, path, piece, sizeof piece, &got, err);
        if (code == ECH_OK)
            fwrite(piece, 1, got, stdout);
    }
    if (fd >= 0)
        close(fd);
    ech_free(path);
    return code;
}

int ech_verb_logs(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    char *run_dir = NULL;
    int64_t rank = -1;
    bool done;
    int code = ech_verb_args(&ech_logs_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = ech_args_get_int(&args, "rank", 0, 1000000, &rank, err);
    if (code == ECH_OK && !done)
        code = ech_rundir_find(args.operands[0], &run_dir, err);
    if (code == ECH_OK && !done)
        code = ech_args_given(&args, "mpirun")
                   ? print_mpirun(run_dir, err)
                   : print_merged(run_dir, rank, ech_args_given(&args, "follow"), err);
    ech_free(run_dir);
    ech_args_fini(&args);
    return code;
}
