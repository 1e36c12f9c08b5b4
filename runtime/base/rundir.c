/* The run directory: see rundir.h. */
#include "base/rundir.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char *ech_run_path(struct ech_err *err, const char *run_dir, const char *fmt, ...)
{
    char name[4096];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof name) {
        ech_fail(err, ECH_BUG, "a path in the run directory %s is longer than %zu bytes", run_dir,
                 sizeof name);
        return NULL;
    }
    return ech_path_join(run_dir, name, err);
}

/* Names that tell of an attempt: PREFIX<attempt>SUFFIX in the run directory, PREFIX<attempt>-<slot> below
 * nodes/<host>. */
static const char *const run_prefixes[] = {"launch-", "started-", "mpirun-", "result-", NULL};
static const char *const node_prefixes[] = {"events-", "log-", "spool-", NULL};

static int attempt_of(const char *name, const char *const *prefixes)
{
    for (; *prefixes; prefixes++) {
        size_t length = strlen(*prefixes);
        if (strncmp(name, *prefixes, length) != 0)
            continue;
        int64_t attempt = 0;
        const char *p = name + length;
        while (*p >= '0' && *p <= '9' && attempt < 1000000)
            attempt = attempt * 10 + (*p++ - '0');
        return p > name + length && (*p == '.' || *p == '-') && attempt < 1000000 ? (int)attempt : 0;
    }
    return 0;
}

/* Raises *most by the names in a folder. A folder that is not there holds none. */
static int scan(const char *path, const char *const *prefixes, int *most, struct ech_err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR
                   ? ECH_OK
                   : ech_fail_errno(err, ECH_NOINPUT, errno, "cannot read the folder %s", path);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        int attempt = attempt_of(entry->d_name, prefixes);
        *most = attempt > *most ? attempt : *most;
    }
    closedir(dir);
    return ECH_OK;
}

static int scan_nodes(const char *nodes, int *most, struct ech_err *err)
{
    DIR *dir = opendir(nodes);
    if (!dir)
        return ECH_OK;
    int code = ECH_OK;
    struct dirent *entry;
    while (code == ECH_OK && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        char *host = ech_path_join(nodes, entry->d_name, err);
        code = host ? scan(host, node_prefixes, most, err) : ECH_UNAVAILABLE;
        ech_free(host);
    }
    closedir(dir);
    return code;
}

int ech_run_attempts(const char *run_dir, int *attempts, struct ech_err *err)
{
    char *job = ech_run_path(err, run_dir, ECH_RUN_JOB), *nodes = ech_run_path(err, run_dir, ECH_RUN_NODES);
    int most = 0, code = job && nodes ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && !ech_path_exists(run_dir))
        code = ech_fail(err, ECH_NOINPUT, "the run directory %s does not exist", run_dir);
    if (code == ECH_OK && !ech_path_exists(job) && !ech_path_exists(nodes))
        code = ech_fail(err, ECH_NOINPUT, "%s is not a run directory: it has no %s", run_dir, ECH_RUN_JOB);
    if (code == ECH_OK)
        code = scan(run_dir, run_prefixes, &most, err);
    if (code == ECH_OK)
        code = scan_nodes(nodes, &most, err);
    if (code == ECH_OK)
        *attempts = most;
    ech_free(job);
    ech_free(nodes);
    return code;
}

#define RESERVE "result-%d.reserve"

int ech_run_result_reserve(const char *run_dir, int attempt, struct ech_err *err)
{
    char zeros[16384] = "", *path = ech_run_path(err, run_dir, RESERVE, attempt);
    int code = path ? ech_write_file(path, zeros, sizeof zeros, err) : ECH_UNAVAILABLE;
    ech_free(path);
    return code;
}

int ech_run_result_write(const char *run_dir, const struct ech_run_result *result, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    ech_json_add_int(&text, "attempt", result->attempt);
    ech_json_add_int(&text, "code", result->code);
    ech_json_add_str(&text, "state", result->state);
    ech_json_add_str(&text, "text", result->text);
    ech_json_add_str(&text, "dataset", result->dataset);
    ech_json_add_int(&text, "rows", result->rows);
    ech_json_add_int(&text, "errors", result->errors);
    ech_json_add_float(&text, "seconds", result->seconds);
    ech_str_adds(&text, "}\n");
    char *path = ech_run_path(err, run_dir, "result-%d.json", result->attempt);
    char *reserve = ech_run_path(err, run_dir, RESERVE, result->attempt);
    int code = path && reserve ? ech_str_check(&text, err) : ECH_UNAVAILABLE;
    if (reserve)
        unlink(reserve);
    ech_free(reserve);
    if (code == ECH_OK)
        code = ech_write_file(path, text.data, text.length, err);
    ech_free(path);
    ech_str_fini(&text);
    return code;
}

static int copy_text(const json_t *root, const char *path, const char *key, char *out, size_t bytes,
                     struct ech_err *err)
{
    const char *text = "";
    int code = ech_json_get_str(root, path, key, true, &text, err);
    if (code == ECH_OK && strlen(text) >= bytes)
        return ech_fail(err, ECH_DATA, "%s: \"%s\" has %zu bytes, at most %zu were expected", path, key,
                        strlen(text), bytes - 1);
    if (code == ECH_OK)
        snprintf(out, bytes, "%s", text);
    return code;
}

static int fill(const json_t *root, const char *path, int wanted, struct ech_run_result *out,
                struct ech_err *err)
{
    int64_t attempt = 0, status = 0;
    int code = ECH_OK;
    if (!json_is_object(root))
        return ech_fail(err, ECH_DATA, "%s: a JSON object was expected", path);
    if ((code = ech_json_get_int(root, path, "attempt", true, &attempt, err)) != ECH_OK ||
        (code = ech_json_get_int(root, path, "code", true, &status, err)) != ECH_OK ||
        (code = copy_text(root, path, "state", out->state, sizeof out->state, err)) != ECH_OK ||
        (code = copy_text(root, path, "text", out->text, sizeof out->text, err)) != ECH_OK ||
        (code = copy_text(root, path, "dataset", out->dataset, sizeof out->dataset, err)) != ECH_OK ||
        (code = ech_json_get_int(root, path, "rows", true, &out->rows, err)) != ECH_OK ||
        (code = ech_json_get_int(root, path, "errors", true, &out->errors, err)) != ECH_OK ||
        (code = ech_json_get_float(root, path, "seconds", true, &out->seconds, err)) != ECH_OK)
        return code;
    if (attempt != wanted || status < 0 || status > 255)
        return ech_fail(err, ECH_DATA,
                        "%s: attempt %lld with code %lld, attempt %d and a code of 0 to 255 "
                        "were expected",
                        path, (long long)attempt, (long long)status, wanted);
    out->attempt = wanted;
    out->code = (int)status;
    return ECH_OK;
}

int ech_run_result_read(const char *run_dir, int attempt, struct ech_run_result *out, struct ech_err *err)
{
    enum { MOST = 64 * 1024 };
    struct ech_run_result result = {0};
    json_t *root = NULL;
    char *path = ech_run_path(err, run_dir, "result-%d.json", attempt);
    int code = path ? ech_json_load(path, MOST, &root, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = fill(root, path, attempt, &result, err);
    if (code == ECH_OK)
        *out = result;
    json_decref(root);
    ech_free(path);
    return code;
}
