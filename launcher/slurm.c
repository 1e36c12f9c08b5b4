/* Talking to Slurm: see slurm.h. */
#include "launcher/slurm.h"

#include "launcher/argv.h"
#include "launcher/child.h"
#include "launcher/rundirs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rundir.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CACHE_S = 5, SILENT_S = 30, SMALL = 1 << 20, QUEUE = 8 << 20 };
#define CACHE ".slurm-queue" /* in the folder of the runs */

#define WORD(text) ((char *)(uintptr_t)(text))

int ech_slurm_call(char *const *argv, char **out, struct ech_err *err)
{
    int status = 0;
    struct ech_argv command;
    char *program = ech_find_program(argv[0]);
    if (!program)
        return ech_fail(err, ECH_UNAVAILABLE, "%s is not here: this is no host of a Slurm cluster", argv[0]);
    ech_argv_init(&command);
    ech_argv_add(&command, program);
    ech_argv_add_all(&command, argv + 1);
    ech_free(program);
    int code = ech_argv_check(&command, err);
    char *text = code == ECH_OK ? ech_child_output(command.items, &status) : NULL;
    ech_argv_fini(&command);
    if (text && status == 0) {
        *out = text;
        return ECH_OK;
    }
    for (size_t n = text ? strlen(text) : 0; n && text[n - 1] == '\n';)
        text[--n] = '\0';
    if (code == ECH_OK)
        code = ech_fail(err, ECH_UNAVAILABLE, "%s: %.600s", argv[0],
                        text && *text ? text : "it could not be run");
    ech_free(text);
    return code;
}

/* Where the last answer is kept. Owner: the caller. */
static char *queue_path(const char *run_dir)
{
    char *runs = ech_path_dir(run_dir, NULL), *path = runs ? ech_path_join(runs, CACHE, NULL) : NULL;
    ech_free(runs);
    return path;
}

/* ---- the run's record ---- */

int ech_slurm_write_job(const char *run_dir, const char *id, struct ech_err *err)
{
    struct ech_str s;
    ech_str_init(&s);
    ech_json_add_str(&s, "job", id);
    ech_str_adds(&s, "}\n");
    int code = ech_rundir_write(run_dir, ECH_RUN_SLURM, &s, err);
    char *queue = queue_path(run_dir);
    if (queue)
        unlink(queue); /* what is kept of it does not know this job */
    ech_free(queue);
    ech_str_fini(&s);
    return code;
}

bool ech_slurm_read_job(const char *run_dir, char *id, size_t bytes)
{
    json_t *root = NULL;
    const char *job = "";
    char *path = ech_run_path(NULL, run_dir, "%s", ECH_RUN_SLURM);
    bool good = path && ech_path_exists(path) && ech_json_load(path, SMALL, &root, NULL) == ECH_OK &&
                ech_json_get_str(root, path, "job", true, &job, NULL) == ECH_OK && *job &&
                strlen(job) < bytes && strspn(job, "0123456789_") == strlen(job);
    if (good)
        snprintf(id, bytes, "%s", job);
    json_decref(root);
    ech_free(path);
    return good;
}

static char *read_small(const char *run_dir, const char *name)
{
    char *path = ech_run_path(NULL, run_dir, "%s", name), *text = NULL;
    if (path && ech_path_exists(path))
        ech_read_file(path, SMALL, &text, NULL, NULL);
    ech_free(path);
    return text;
}

/* ---- the queue ---- */

/* The kept answer where it is young. An empty one says that squeue failed: it is left in peace for longer. */
static char *kept_text(const char *path)
{
    struct stat st;
    char *text = NULL;
    double age;
    if (stat(path, &st) == 0 && st.st_uid == geteuid() && (age = difftime(time(NULL), st.st_mtime)) >= 0 &&
        age < (st.st_size ? CACHE_S : SILENT_S))
        ech_read_file(path, QUEUE, &text, NULL, NULL);
    return text;
}

/* The kept answer; else squeue's, kept: a new line at least. NULL: no memory. */
static char *queue_text(const char *run_dir)
{
    char *path = queue_path(run_dir), *text = path ? kept_text(path) : NULL;
    char *argv[] = {"squeue", "--me", "--noheader", "--states=all", "--format=" ECH_SQUEUE_FORMAT, NULL};
    if (!text) {
        bool answered = ech_slurm_call(argv, &text, NULL) == ECH_OK;
        if (answered && !*text) { /* no jobs: not to be taken for a silence */
            ech_free(text);
            text = ech_strdup("\n", NULL);
        } else if (!answered)
            text = ech_strdup("", NULL);
        if (path && text)
            ech_write_file(path, text, strlen(text), NULL);
    }
    ech_free(path);
    return text;
}

bool ech_slurm_ask(const char *run_dir, struct ech_queue_entry *out)
{
    char id[64];
    char *text = ech_slurm_read_job(run_dir, id, sizeof id) ? queue_text(run_dir) : NULL;
    bool found = text && ech_queue_find(text, id, out);
    ech_free(text);
    return found;
}

static void explain(const struct ech_queue_entry *e, char *out, size_t bytes)
{
    const char *words = ech_queue_reason(e->reason);
    if (strcmp(e->state, "PENDING") == 0)
        snprintf(out, bytes, "%s%s%s%s%s%s", *words ? words : "waits", *words ? " (" : ": ", e->reason,
                 *words ? ")" : "", isdigit((unsigned char)e->start[0]) ? ", expected to start " : "",
                 isdigit((unsigned char)e->start[0]) ? e->start : "");
    else if (strcmp(e->state, "NODE_FAIL") == 0)
        snprintf(out, bytes, "a node failed");
    else if (e->nodes[0])
        snprintf(out, bytes, "on %.200s", e->nodes);
}

bool ech_slurm_word(const char *run_dir, struct ech_slurm_word *out)
{
    struct ech_slurm_word word = {.restarts = 0};
    struct ech_queue_entry entry;
    long long restarts = 0;
    if (!ech_slurm_read_job(run_dir, word.job, sizeof word.job))
        return false;
    char *progress = read_small(run_dir, ECH_RUN_SLURM_PROGRESS),
         *stopped = read_small(run_dir, ECH_RUN_SLURM_STOPPED);
    if (progress && sscanf(progress, "%lld", &restarts) == 1 && restarts > 0)
        word.restarts = restarts;
    if (ech_slurm_ask(run_dir, &entry)) {
        snprintf(word.state, sizeof word.state, "%s", entry.state);
        explain(&entry, word.why, sizeof word.why);
    }
    if (stopped)
        snprintf(word.why, sizeof word.why, "%.*s", (int)strcspn(stopped, "\n"), stopped);
    ech_free(progress);
    ech_free(stopped);
    *out = word;
    return true;
}

/* ---- cancel ---- */

static bool is_active(const char *id, bool *runs)
{
    struct ech_queue_entry entry;
    char *text = NULL,
         *argv[] = {"squeue", "--me", "--noheader", "--states=all", "--format=" ECH_SQUEUE_FORMAT, NULL};
    bool found = ech_slurm_call(argv, &text, NULL) == ECH_OK && ech_queue_find(text, id, &entry);
    ech_free(text);
    *runs = found && strcmp(entry.state, "RUNNING") == 0;
    return *runs ||
           (found && (strcmp(entry.state, "PENDING") == 0 || strcmp(entry.state, "SUSPENDED") == 0 ||
                      strcmp(entry.state, "CONFIGURING") == 0 || strcmp(entry.state, "COMPLETING") == 0));
}

int ech_slurm_cancel(const char *run_dir, const char *id, double wait_s, bool *was_there, struct ech_err *err)
{
    bool runs = false;
    *was_there = true;
    char *text = NULL, *marker = ech_run_path(err, run_dir, "%s", ECH_RUN_SLURM_CANCELLED);
    int code = marker ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && !is_active(id, &runs)) {
        *was_there = false;
        ech_free(marker);
        return ECH_OK;
    }
    if (code == ECH_OK)
        code = ech_write_file(marker, "", 0, err);
    ech_free(marker);
    if (code != ECH_OK)
        return code;
    char *ask[] = {"scancel", "--batch", "--signal=USR1", WORD(id), NULL};
    if (runs && ech_slurm_call(ask, &text, NULL) == ECH_OK)
        for (double until = ech_mono_s() + wait_s; ech_mono_s() < until && is_active(id, &runs);)
            ech_sleep_us(1000000);
    ech_free(text);
    text = NULL;
    char *end[] = {"scancel", "--quiet", WORD(id), NULL};
    if (is_active(id, &runs))
        code = ech_slurm_call(end, &text, err);
    ech_free(text);
    return code;
}
