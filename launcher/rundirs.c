/* Run directories: see rundirs.h. */
#include "launcher/rundirs.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SMALL_JSON = 4 << 20 };
#define LOCK_WAIT_S 8.0

static char *absolute(const char *path, struct ech_err *err)
{
    char *real = realpath(path, NULL), *copy = real ? ech_strdup(real, err) : NULL;
    free(real);
    return copy;
}

/* ---- making and finding ---- */

int ech_rundir_create(const char *runs, const char *job, char **out, struct ech_err *err)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    int code = ech_mkdir_all(runs, err);
    if (code != ECH_OK)
        return ech_prefix(err, "the run directory");
    for (int i = 1; i < 10000; i++) {
        char suffix[16] = "";
        if (i > 1)
            snprintf(suffix, sizeof suffix, "-%d", i);
        char *path = ech_sprintf(err, "%s/%s-%s%s", runs, job, stamp, suffix);
        if (!path)
            return ECH_UNAVAILABLE;
        bool made = mkdir(path, 0777) == 0;
        int failed = errno;
        char *full = made ? absolute(path, err) : NULL;
        if (made && !full)
            rmdir(path);
        if (!made && failed != EEXIST)
            code = ech_fail_errno(err, failed == ENOSPC ? ECH_IO : ECH_EXISTS, failed,
                                  "cannot create the run directory %s", path);
        ech_free(path);
        if (!made && failed == EEXIST)
            continue;
        if (code == ECH_OK && full) {
            *out = full;
            return ECH_OK;
        }
        return code != ECH_OK ? code : ech_fail(err, ECH_IO, "the new run directory has disappeared");
    }
    return ech_fail(err, ECH_EXISTS, "%s holds 10,000 runs of %s of this second", runs, job);
}

static bool is_run(const char *path)
{
    int attempts;
    char *job = ech_run_path(NULL, path, "%s", ECH_RUN_JOB);
    bool is = job && ech_path_exists(job) && ech_run_attempts(path, &attempts, NULL) == ECH_OK;
    ech_free(job);
    return is;
}

static const char *runs_folder(void)
{
    const char *runs = getenv("ECHELON_RUNS");
    return runs && *runs ? runs : "runs";
}

/* Newest by the time its job.yaml was written; the name decides between equals. */
static char *newest(const char *runs)
{
    DIR *dir = opendir(runs);
    struct dirent *entry;
    char *best = NULL;
    struct timespec best_time = {0, 0};
    while (dir && (entry = readdir(dir))) {
        struct stat st;
        char *path = entry->d_name[0] == '.' ? NULL : ech_path_join(runs, entry->d_name, NULL);
        char *job = path ? ech_path_join(path, ECH_RUN_JOB, NULL) : NULL;
        bool run = job && stat(job, &st) == 0;
        bool later = run && (!best || st.st_ctim.tv_sec > best_time.tv_sec ||
                             (st.st_ctim.tv_sec == best_time.tv_sec &&
                              (st.st_ctim.tv_nsec > best_time.tv_nsec ||
                               (st.st_ctim.tv_nsec == best_time.tv_nsec && strcmp(path, best) > 0))));
        ech_free(job);
        if (later) {
            ech_free(best);
            best = path;
            best_time = st.st_ctim;
        } else
            ech_free(path);
    }
    if (dir)
        closedir(dir);
    return best;
}

int ech_rundir_find(const char *name, char **out, struct ech_err *err)
{
    char *path = NULL;
    if (!name) {
        path = newest(runs_folder());
        if (!path)
            return ech_fail(err, ECH_NOINPUT,
                            "no run directory in %s: name one (echelon run prints it), or start a job with "
                            "echelon run JOB.yaml",
                            runs_folder());
    } else if (is_run(name))
        path = ech_strdup(name, err);
    else if (!strchr(name, '/'))
        path = ech_path_join(runs_folder(), name, err);
    int code = ECH_OK;
    if (!path || !is_run(path))
        code = ech_fail(err, ECH_NOINPUT,
                        "%s is not a run directory (it has no %s): echelon run prints its name",
                        name ? name : path, ECH_RUN_JOB);
    char *full = code == ECH_OK ? absolute(path, err) : NULL;
    ech_free(path);
    if (code == ECH_OK && !full)
        return ech_fail(err, ECH_NOINPUT, "%s cannot be read", name);
    if (code == ECH_OK)
        *out = full;
    return code;
}

int ech_rundir_all(char ***out, size_t *count, struct ech_err *err)
{
    DIR *dir = opendir(runs_folder());
    struct dirent *entry;
    char **all = NULL;
    size_t n = 0, room = 0;
    int code = ECH_OK;
    while (dir && code == ECH_OK && (entry = readdir(dir))) {
        char *path = entry->d_name[0] == '.' ? NULL : ech_path_join(runs_folder(), entry->d_name, NULL);
        if (path && is_run(path)) {
            if (n == room) {
                room = room ? 2 * room : 64;
                char **more = ech_realloc(all, room, sizeof *all, err);
                code = more ? ECH_OK : ECH_UNAVAILABLE;
                all = more ? more : all;
            }
            char *full = code == ECH_OK ? absolute(path, NULL) : NULL;
            if (full)
                all[n++] = full;
        }
        ech_free(path);
    }
    if (dir)
        closedir(dir);
    *out = all;
    *count = n;
    return code;
}

/* ---- the lock ---- */

/* The launcher of the newest attempt, and whether it is known to live: a dead one's guardian holds the lock
 * for a few seconds more. */
static bool find_holder(const char *run_dir, char *out, size_t bytes)
{
    int attempts = 0;
    struct ech_launch launch;
    char host[64] = "";
    snprintf(out, bytes, "another launcher");
    if (ech_run_attempts(run_dir, &attempts, NULL) != ECH_OK || attempts == 0 ||
        ech_launch_read(run_dir, attempts, &launch, NULL) != ECH_OK)
        return false;
    snprintf(out, bytes, "process %lld on %s", (long long)launch.pid, launch.host);
    gethostname(host, sizeof host - 1);
    return strcmp(host, launch.host) == 0 &&
           ech_process_start((pid_t)launch.pid) == (unsigned long long)launch.pid_start;
}

/* Nothing is wrong yet: false while the lock is held and there is still time to wait. */
static bool give_up(const char *run_dir, double until, struct ech_err *err)
{
    char holder[128];
    bool lives = find_holder(run_dir, holder, sizeof holder);
    if (!lives && ech_mono_s() < until)
        return false;
    ech_fail(err, ECH_UNAVAILABLE,
             "%s is running %s already; echelon cancel stops it, echelon status shows it", holder, run_dir);
    return true;
}

int ech_rundir_lock(const char *run_dir, int *fd, struct ech_err *err)
{
    char *path = ech_run_path(err, run_dir, "%s", ECH_RUN_LOCK);
    int lock = -1, code = path ? ech_open(path, O_RDWR | O_CREAT, &lock, err) : ECH_UNAVAILABLE;
    double until = ech_mono_s() + LOCK_WAIT_S;
    bool held = false;
    while (code == ECH_OK && !(held = flock(lock, LOCK_EX | LOCK_NB) == 0)) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            code = ech_fail_errno(err, ECH_IO, errno, "locking %s", path);
        else if (give_up(run_dir, until, err))
            code = ECH_UNAVAILABLE;
        else
            ech_sleep_us(50000);
    }
    ech_free(path);
    if (held)
        *fd = lock;
    else if (lock >= 0)
        close(lock);
    return code;
}

bool ech_rundir_is_held(const char *run_dir)
{
    char *path = ech_run_path(NULL, run_dir, "%s", ECH_RUN_LOCK);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    ech_free(path);
    return held;
}

int ech_rundir_write(const char *run_dir, const char *name, const struct ech_str *text, struct ech_err *err)
{
    char *path = ech_run_path(err, run_dir, "%s", name);
    int code = path ? ech_str_check(text, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_write_file(path, text->data ? text->data : "", text->length, err);
    ech_free(path);
    return code;
}

/* ---- launch-<attempt>.json ---- */

int ech_launch_write(const char *run_dir, const struct ech_launch *launch, char *const *command,
                     struct ech_err *err)
{
    struct ech_str s;
    char name[40];
    ech_str_init(&s);
    ech_json_add_int(&s, "attempt", launch->attempt);
    ech_json_add_int(&s, "pid", launch->pid);
    ech_json_add_int(&s, "pid_start", launch->pid_start);
    ech_json_add_str(&s, "host", launch->host);
    ech_json_add_int(&s, "ranks", launch->ranks);
    ech_json_add_str(&s, "started", launch->started);
    ech_json_key(&s, "command");
    for (char *const *word = command; *word; word++) {
        ech_str_addc(&s, word == command ? '[' : ',');
        ech_json_put_str(&s, *word, strlen(*word));
    }
    ech_str_adds(&s, "]}\n");
    snprintf(name, sizeof name, "launch-%d.json", launch->attempt);
    int code = ech_rundir_write(run_dir, name, &s, err);
    ech_str_fini(&s);
    return code;
}

int ech_launch_read(const char *run_dir, int attempt, struct ech_launch *out, struct ech_err *err)
{
    struct ech_launch launch = {.attempt = attempt};
    const char *host = "", *started = "";
    json_t *root = NULL;
    char *path = ech_run_path(err, run_dir, "launch-%d.json", attempt);
    int code = path ? ech_json_load(path, SMALL_JSON, &root, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_json_get_int(root, path, "pid", true, &launch.pid, err);
    if (code == ECH_OK)
        code = ech_json_get_int(root, path, "pid_start", false, &launch.pid_start, err);
    if (code == ECH_OK)
        code = ech_json_get_int(root, path, "ranks", true, &launch.ranks, err);
    if (code == ECH_OK)
        code = ech_json_get_str(root, path, "host", true, &host, err);
    if (code == ECH_OK)
        code = ech_json_get_str(root, path, "started", false, &started, err);
    if (code == ECH_OK) {
        snprintf(launch.host, sizeof launch.host, "%s", host);
        snprintf(launch.started, sizeof launch.started, "%s", started);
        *out = launch;
    }
    json_decref(root);
    ech_free(path);
    return code;
}

/* ---- following ---- */

static void fold(const json_t *event, void *context)
{
    ech_view_event(context, event);
}

/* Launch and result records of the attempts from `first` on. */
static void read_attempts(struct ech_follower *f, int first)
{
    for (int n = first; n <= f->view.attempt; n++) {
        struct ech_launch launch;
        struct ech_attempt_view *a = ech_view_attempt(&f->view, n);
        if (!a)
            return;
        if (!a->ranks && ech_launch_read(f->run_dir, n, &launch, NULL) == ECH_OK) {
            a->ranks = launch.ranks;
            memcpy(a->host, launch.host, sizeof a->host);
            memcpy(a->started, launch.started, sizeof a->started);
        }
        if (!a->has_result)
            a->has_result = ech_run_result_read(f->run_dir, n, &a->result, NULL) == ECH_OK;
    }
}

int ech_follower_open(const char *run_dir, int attempt, struct ech_follower *out, struct ech_err *err)
{
    int newest_attempt = attempt;
    struct ech_follower f = {.run_dir = run_dir};
    int code = attempt ? ECH_OK : ech_run_attempts(run_dir, &newest_attempt, err);
    if (code == ECH_OK)
        code = ech_event_reader_open(run_dir, attempt, &f.reader, err);
    if (code != ECH_OK)
        return code;
    ech_view_init(&f.view, ech_path_base(run_dir), newest_attempt);
    *out = f;
    return ECH_OK;
}

int ech_follower_poll(struct ech_follower *f, struct ech_err *err)
{
    int code = ech_event_reader_poll(f->reader, fold, &f->view, err);
    read_attempts(f, f->view.attempt_count ? f->view.attempt : 1);
    ech_view_finish(&f->view);
    if (code == ECH_OK && f->view.failed)
        code = ech_fail(err, ECH_UNAVAILABLE, "no memory for the events of %s", f->run_dir);
    return code;
}

void ech_follower_close(struct ech_follower *f)
{
    ech_event_reader_close(f->reader);
    ech_view_fini(&f->view);
    f->reader = NULL;
}
