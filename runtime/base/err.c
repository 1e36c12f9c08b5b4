/* Errors: see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fill(struct ech_err *err, int code, const char *file, int line, int column, const char *fmt,
                va_list args)
{
    if (!err || err->code != ECH_OK)
        return code;
    err->code = code;
    err->line = line;
    err->column = column;
    snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    vsnprintf(err->text, sizeof err->text, fmt, args);
    return code;
}

int ech_fail(struct ech_err *err, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fill(err, code, NULL, 0, 0, fmt, args);
    va_end(args);
    return code;
}

int ech_fail_at(struct ech_err *err, int code, const char *file, int line, int column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fill(err, code, file, line, column, fmt, args);
    va_end(args);
    return code;
}

static const char *advice(int saved_errno)
{
    switch (saved_errno) {
    case ENOSPC:
        return " (the file system is full: free space, then resume)";
    case EDQUOT:
        return " (the disk quota is used up: free space, then resume)";
    case EROFS:
        return " (the file system is read-only)";
    case EACCES:
        return " (check the permissions of the folder and the file)";
    case ESTALE:
        return " (it was replaced or removed on its server while it was in use: resume opens it anew)";
    default:
        return "";
    }
}

int ech_fail_errno(struct ech_err *err, int code, int saved_errno, const char *fmt, ...)
{
    char what[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    ech_fail(err, code, "%s: %s%s", what, strerror(saved_errno), advice(saved_errno));
    errno = saved_errno;
    return code;
}

int ech_prefix(struct ech_err *err, const char *fmt, ...)
{
    if (!err)
        return ECH_BUG;
    char head[512], joined[sizeof err->text + sizeof head + 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(head, sizeof head, fmt, args);
    va_end(args);
    snprintf(joined, sizeof joined, "%s: %s", head, err->text);
    memcpy(err->text, joined, sizeof err->text);
    err->text[sizeof err->text - 1] = '\0';
    return err->code;
}

void ech_err_clear(struct ech_err *err)
{
    *err = (struct ech_err)ECH_ERR_NONE;
}

/* Words of hostile files end on a terminal: nothing that moves its cursor. */
static void tame(char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t') || *text == 0x7F)
            *text = '?';
}

const char *ech_err_print(const struct ech_err *err, char *out, size_t bytes)
{
    char place[600] = "", rank[32] = "";
    if (err->file[0] && err->line > 0)
        snprintf(place, sizeof place, "%s:%d:%d: ", err->file, err->line, err->column);
    else if (err->file[0])
        snprintf(place, sizeof place, "%s: ", err->file);
    if (err->rank >= 0)
        snprintf(rank, sizeof rank, " [rank %d]", err->rank);
    snprintf(out, bytes, "%s%s%s", place, err->text, rank);
    tame(out);
    return out;
}

static const struct {
    int code;
    const char *name;
    bool resumable;
} codes[] = {
    {ECH_OK, "ok", false},
    {ECH_USAGE, "usage", false},
    {ECH_DATA, "data", true},
    {ECH_NOINPUT, "no input", true},
    {ECH_UNAVAILABLE, "unavailable", true},
    {ECH_BUG, "bug", true},
    {ECH_EXISTS, "exists", true},
    {ECH_IO, "io", true},
    {ECH_REQUEUE, "requeue", true},
    {ECH_CONFIG, "config", false},
};

const char *ech_code_name(int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "unknown";
}

bool ech_code_resumable(int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].resumable;
    return false;
}

void ech_bug(const char *file, int line, const char *cond, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "echelon: internal error at %s:%d: %s: %s\n", file, line, cond, text);
    abort();
}
