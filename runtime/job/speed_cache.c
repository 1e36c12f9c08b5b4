#include "job/speed_cache.h"

#include "base/cache.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, READ_MOST = 1 << 20, GROWS_TO = 256 << 10 };
#define SPEED_MOST 1e18

/* NULL: nowhere to keep it. Owner: the caller. */
static char *file_of(const char *host)
{
    char *folder = ech_cache_path("speeds"), name[256];
    snprintf(name, sizeof name, "%s%s", host[0] == '.' || !host[0] ? "_" : "", host);
    for (char *c = name; *c; c++)
        *c = *c == '/' ? '_' : *c;
    char *path = folder ? ech_sprintf(NULL, "%s/%s.jsonl", folder, name) : NULL;
    ech_free(folder);
    return path;
}

/* A plain file, opened without waiting for anybody. ECH_NOINPUT: it is not there. */
static int open_plain(const char *path, int flags, int *fd, int64_t *bytes, struct ech_err *err)
{
    struct stat st;
    int code = ech_open(path, flags | O_NONBLOCK, fd, err);
    if (code)
        return code;
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode))
        code = ech_fail(err, ECH_DATA, "%s is not a plain file", path);
    *bytes = code ? 0 : st.st_size;
    if (code)
        close(*fd);
    return code;
}

/* Owner: the caller. */
static int read_all(const char *path, char **text, size_t *bytes, struct ech_err *err)
{
    int fd;
    int64_t size;
    int code = open_plain(path, O_RDONLY, &fd, &size, err);
    if (code)
        return code;
    if (size > READ_MOST)
        code = ech_fail(err, ECH_DATA, "%s is larger than %d bytes", path, READ_MOST);
    *text = code ? NULL : ech_calloc((size_t)size + 1, 1, err);
    if (!code)
        code = *text ? ech_read_some(fd, path, *text, (size_t)size, bytes, err) : ECH_UNAVAILABLE;
    if (code)
        ech_free(*text);
    close(fd);
    return code;
}

static int get_speed(const json_t *root, const char *name, bool required, double *out, struct ech_err *err)
{
    int code = ech_json_get_float(root, "speeds", name, required, out, err);
    if (!code && (!isfinite(*out) || *out < 0 || *out > SPEED_MOST || (required && !(*out > 0))))
        code = ech_fail(err, ECH_DATA, "%s is %g, no speed", name, *out);
    return code;
}

/* One line. *found: what is known of the key from here on. */
static int fold(const json_t *root, const char *key, bool *found, struct ech_probe *out, struct ech_err *err)
{
    const char *of = NULL, *forgotten = NULL;
    struct ech_probe probe = {0};
    int64_t version = 0;
    int code = ech_json_get_int(root, "speeds", "v", true, &version, err);
    if (!code && version != VERSION)
        code = ech_fail(err, ECH_DATA, "v is %lld, %d was expected", (long long)version, VERSION);
    if (!code)
        code = ech_json_get_str(root, "speeds", "key", true, &of, err);
    if (!code)
        code = ech_json_get_str(root, "speeds", "forgotten", false, &forgotten, err);
    if (code || strcmp(of, key) != 0)
        return code;
    if (!forgotten) {
        code = get_speed(root, "tokens_per_s", true, &probe.tokens_s, err);
        if (!code)
            code = get_speed(root, "few_tokens_per_s", false, &probe.few_tokens_s, err);
        if (!code)
            code = get_speed(root, "weights_bytes_per_s", false, &probe.weights_bytes_s, err);
    }
    if (code)
        return code;
    *found = !forgotten;
    *out = probe;
    return ECH_OK;
}

static bool find(const char *path, const char *text, size_t bytes, const char *key, struct ech_probe *out,
                 char *why)
{
    bool found = false;
    int number = 1;
    for (const char *at = text, *end = text + bytes; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        struct ech_err err = ECH_ERR_NONE;
        json_t *root = NULL;
        int code = length ? ech_json_parse(path, at, length, &root, &err) : ECH_OK;
        if (!code && root && !json_is_object(root))
            code = ech_fail(&err, ECH_DATA, "an object was expected");
        if (!code && root)
            code = fold(root, key, &found, out, &err);
        if (code && !why[0])
            snprintf(why, ECH_SPEED_WHY, "line %d of %.200s: %.200s", number, path, err.text);
        json_decref(root);
        at += length + 1;
    }
    return found;
}

bool ech_speed_cache_get(const char *host, const char *key, struct ech_probe *out, char why[ECH_SPEED_WHY])
{
    char *path = file_of(host), *text = NULL;
    size_t bytes = 0;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_probe probe;
    bool found = false;
    why[0] = 0;
    int code = path ? read_all(path, &text, &bytes, &err) : ECH_NOINPUT;
    if (code && code != ECH_NOINPUT)
        snprintf(why, ECH_SPEED_WHY, "%.*s", ECH_SPEED_WHY - 1, err.text);
    if (!code)
        found = find(path, text, bytes, key, &probe, why);
    if (found)
        *out = probe;
    ech_free(code ? NULL : text);
    ech_free(path);
    return found;
}

static void print_line(const char *key, const struct ech_probe *probe, const char *forgotten,
                       struct ech_str *out)
{
    char now[32];
    ech_json_add_int(out, "v", VERSION);
    ech_json_add_str(out, "key", key);
    if (forgotten) {
        ech_json_add_str(out, "forgotten", forgotten);
    } else {
        ech_json_add_float(out, "tokens_per_s", probe->tokens_s);
        ech_json_add_float(out, "few_tokens_per_s", probe->few_tokens_s);
        ech_json_add_float(out, "weights_bytes_per_s", probe->weights_bytes_s);
        ech_json_add_str(out, "measured", ech_wall_iso(now, sizeof now));
    }
    ech_str_adds(out, "}\n");
}

/* Behind a line that was cut off by a crash a new one begins. */
static bool is_torn(int fd, int64_t size)
{
    char last = '\n';
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

static int append(const char *path, const char *line, struct ech_err *err)
{
    int fd;
    int64_t size;
    int code = open_plain(path, O_RDWR | O_CREAT | O_APPEND, &fd, &size, err);
    if (code)
        return code;
    if (size > GROWS_TO && ftruncate(fd, 0) == 0)
        size = 0;
    char *text = ech_sprintf(err, "%s%s", is_torn(fd, size) ? "\n" : "", line);
    code = text ? ech_write_all(fd, path, text, strlen(text), err) : ECH_UNAVAILABLE;
    ech_free(text);
    close(fd);
    return code;
}

bool ech_speed_cache_put(const char *host, const char *key, const struct ech_probe *probe,
                         const char *forgotten, char why[ECH_SPEED_WHY])
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str line;
    char *path = file_of(host), *folder = path ? ech_path_dir(path, &err) : NULL;
    ech_str_init(&line);
    why[0] = 0;
    int code = folder ? ech_mkdir_all(folder, &err)
                      : ech_fail(&err, ECH_UNAVAILABLE, "neither XDG_CACHE_HOME nor HOME is a folder");
    print_line(key, probe, forgotten, &line);
    if (!code)
        code = ech_str_check(&line, &err);
    if (!code)
        code = append(path, line.data, &err);
    if (code)
        snprintf(why, ECH_SPEED_WHY, "%.*s", ECH_SPEED_WHY - 1, err.text);
    ech_str_fini(&line);
    ech_free(folder);
    ech_free(path);
    return !code;
}
