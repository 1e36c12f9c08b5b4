/* Last words: see words.h. Plain system calls: the watchdog comes here while main may hold anything. */
#include "base/words.h"

#include "base/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAMED_MOST = 8 };

void ech_words_over(const char *dir, int attempt)
{
    char path[4400];
    snprintf(path, sizeof path, "%.4000s/over-%d", dir, attempt);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
}

bool ech_words_are_over(const char *dir, int attempt)
{
    char path[4400];
    snprintf(path, sizeof path, "%.4000s/over-%d", dir, attempt);
    return access(path, F_OK) == 0;
}

int ech_word_write(const char *dir, int attempt, int rank, const struct ech_word *word, struct ech_err *err)
{
    char path[4400], line[96];
    snprintf(path, sizeof path, "%.4000s/" ECH_RUN_NODES, dir);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%.4000s/" ECH_RUN_NODES "/%s", dir, word->host);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%.4000s/" ECH_RUN_NODES "/%s/word-%d-%d", dir, word->host, attempt, rank);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return ech_fail_errno(err, ECH_IO, errno, "cannot write %s", path);
    int length = snprintf(line, sizeof line, "%s %" PRId64 " %d\n", word->phase, word->entered, word->inside);
    ssize_t put = write(fd, line, (size_t)length);
    close(fd);
    return put == length ? ECH_OK : ech_fail(err, ECH_IO, "cannot write %s", path);
}

static bool is_old(int fd, double age_s)
{
    struct stat st;
    return age_s > 0 && (fstat(fd, &st) != 0 || fabs(difftime(time(NULL), st.st_mtime)) > age_s + 1);
}

static bool read_word(const char *path, double age_s, struct ech_word *out)
{
    char line[96] = "";
    int inside = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 || is_old(fd, age_s) ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    if (got <= 0 || sscanf(line, "%31s %" SCNd64 " %d", out->phase, &out->entered, &inside) != 3)
        return false;
    out->inside = inside != 0;
    return true;
}

/* "word-1-7" or "events-1-7.jsonl" of this attempt: the rank, else -1. */
static int rank_of(const char *name, const char *kind, int attempt, int ranks)
{
    char prefix[32], *end;
    snprintf(prefix, sizeof prefix, "%s-%d-", kind, attempt);
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return -1;
    long rank = strtol(name + strlen(prefix), &end, 10);
    return end != name + strlen(prefix) && rank >= 0 && rank < ranks ? (int)rank : -1;
}

static void read_host(const char *dir, const char *host, int attempt, int ranks, double age_s,
                      struct ech_word *out)
{
    char path[4800];
    snprintf(path, sizeof path, "%.4000s/" ECH_RUN_NODES "/%.255s", dir, host);
    DIR *files = opendir(path);
    struct dirent *entry;
    while (files && (entry = readdir(files))) {
        int word = rank_of(entry->d_name, "word", attempt, ranks);
        int rank = word >= 0 ? word : rank_of(entry->d_name, "events", attempt, ranks);
        if (rank < 0)
            continue;
        snprintf(out[rank].host, sizeof out[rank].host, "%.63s", host);
        snprintf(path, sizeof path, "%.4000s/" ECH_RUN_NODES "/%.255s/%.255s", dir, host, entry->d_name);
        if (word >= 0)
            out[rank].said = read_word(path, age_s, &out[rank]);
    }
    if (files)
        closedir(files);
}

void ech_words_read(const char *dir, int attempt, int ranks, double age_s, struct ech_word *out)
{
    char path[4096];
    memset(out, 0, (size_t)ranks * sizeof *out);
    snprintf(path, sizeof path, "%.4000s/" ECH_RUN_NODES, dir);
    DIR *hosts = opendir(path);
    struct dirent *entry;
    while (hosts && (entry = readdir(hosts)))
        if (entry->d_name[0] != '.')
            read_host(dir, entry->d_name, attempt, ranks, age_s, out);
    if (hosts)
        closedir(hosts);
}

/* The furthest that a rank has told of: collectives entered, and whether it waits in the last one. */
enum ech_word_state ech_word_judge(const struct ech_word *words, int ranks, int rank)
{
    int64_t most = -1;
    bool waits = false;
    for (int r = 0; r < ranks; r++)
        if (words[r].said && words[r].entered >= most) {
            waits = words[r].inside || (waits && words[r].entered == most);
            most = words[r].entered;
        }
    const struct ech_word *w = &words[rank];
    if (!w->said)
        return ECH_WORD_SILENT;
    return w->entered < most || (waits && !w->inside) ? ECH_WORD_WORKS : ECH_WORD_WAITS;
}

void ech_words_tell(const struct ech_word *words, int ranks, struct ech_str *out)
{
    int said = 0, named = 0, more = 0;
    for (int r = 0; r < ranks; r++)
        said += words[r].said;
    for (int r = 0; said && r < ranks; r++) {
        enum ech_word_state state = ech_word_judge(words, ranks, r);
        if (state == ECH_WORD_WAITS)
            continue;
        if (named == NAMED_MOST) {
            more++;
            continue;
        }
        const struct ech_word *w = &words[r];
        ech_str_addf(out, "%srank %d%s%s is ", named++ ? "; " : "", r, w->host[0] ? " on " : "", w->host);
        if (state == ECH_WORD_SILENT)
            ech_str_adds(out, "silent (dead, stopped or cut off)");
        else
            ech_str_addf(out, "alive and still at its own work in phase '%s'", w->phase);
    }
    if (more)
        ech_str_addf(out, "; and %d more", more);
}
