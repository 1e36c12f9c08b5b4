/* Argument lists and programs: see argv.h. */
#include "launcher/argv.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ech_argv_init(struct ech_argv *argv)
{
    *argv = (struct ech_argv){0};
}

void ech_argv_fini(struct ech_argv *argv)
{
    for (size_t i = 0; i < argv->count; i++)
        ech_free(argv->items[i]);
    ech_free(argv->items);
    ech_argv_init(argv);
}

static void push(struct ech_argv *argv, char *owned)
{
    if (!owned || argv->failed ||
        ech_grow((void **)&argv->items, &argv->capacity, argv->count + 2, sizeof *argv->items, NULL) !=
            ECH_OK) {
        ech_free(owned);
        argv->failed = true;
        return;
    }
    argv->items[argv->count++] = owned;
    argv->items[argv->count] = NULL;
}

void ech_argv_add(struct ech_argv *argv, const char *text)
{
    push(argv, ech_strdup(text, NULL));
}

void ech_argv_addf(struct ech_argv *argv, const char *fmt, ...)
{
    va_list args;
    char text[8192];
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    push(argv, length >= 0 && (size_t)length < sizeof text ? ech_strdup(text, NULL) : NULL);
}

void ech_argv_add_all(struct ech_argv *argv, char *const *items)
{
    for (; items && *items; items++)
        ech_argv_add(argv, *items);
}

int ech_argv_check(const struct ech_argv *argv, struct ech_err *err)
{
    return argv->failed || !argv->count ? ech_fail(err, ECH_UNAVAILABLE, "no memory for an argument list")
                                        : ECH_OK;
}

static bool runnable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *ech_find_program(const char *name)
{
    if (strchr(name, '/'))
        return runnable(name) ? ech_strdup(name, NULL) : NULL;
    const char *path = getenv("PATH");
    for (const char *p = path; p && *p;) {
        size_t length = strcspn(p, ":");
        char *candidate = length ? ech_sprintf(NULL, "%.*s/%s", (int)length, p, name) : NULL;
        if (candidate && runnable(candidate))
            return candidate;
        ech_free(candidate);
        p += length + (p[length] == ':');
    }
    return NULL;
}

int ech_find_rank_program(char **path, struct ech_err *err)
{
    const char *named = getenv("ECHELON_RANK");
    char here[4096];
    ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
    char *slash = NULL;
    if (length > 0) {
        here[length] = '\0';
        slash = strrchr(here, '/');
    }
    char *found = NULL;
    if (named && *named)
        found = ech_strdup(named, err);
    else if (slash)
        found = ech_sprintf(err, "%.*s/echelon-rank", (int)(slash - here), here);
    if (found && runnable(found)) {
        *path = found;
        return ECH_OK;
    }
    int code =
        ech_fail(err, ECH_UNAVAILABLE,
                 "the program echelon-rank is not at %s: build it (ci/build), or name it in ECHELON_RANK",
                 found ? found : "the folder of echelon");
    ech_free(found);
    return code;
}

int ech_find_mpirun(char **path, struct ech_err *err)
{
    const char *own = getenv("ECHELON_MPIRUN");
    char *found = ech_find_program(own && *own ? own : "mpirun");
    if (!found && own && *own)
        return ech_fail(err, ECH_UNAVAILABLE, "ECHELON_MPIRUN=%s is no program that can be run", own);
    if (!found)
        return ech_fail(err, ECH_UNAVAILABLE,
                        "mpirun is not in PATH: install Open MPI (apt-get install openmpi-bin; on a cluster: "
                        "module load openmpi)");
    *path = found;
    return ECH_OK;
}
