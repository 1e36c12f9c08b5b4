/* Errors: one struct, filled by the one who first decides, passed up unchanged or with a prefix.
 * Codes are the process's exit statuses (sysexits), so the worst code of all ranks is the job's status.
 * Libraries return a code and never print or exit. Outputs are set only on success. */
#ifndef ECH_BASE_ERR_H
#define ECH_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ech_code {
    ECH_OK = 0,
    ECH_USAGE = 64,       /* the command line */
    ECH_DATA = 65,        /* bad content of a file or row */
    ECH_NOINPUT = 66,     /* an input is missing or unreadable */
    ECH_UNAVAILABLE = 69, /* a program, device or memory is lacking */
    ECH_BUG = 70,         /* our own fault */
    ECH_EXISTS = 73,      /* the output exists or cannot be created */
    ECH_IO = 74,          /* reading or writing failed; resumable */
    ECH_REQUEUE = 75,     /* stopped in time; run it again */
    ECH_CONFIG = 78       /* job or cluster file */
};

struct ech_err {
    int code;         /* enum ech_code; 0 while nothing failed */
    int rank;         /* MPI rank that failed, -1 unknown or one process */
    int line, column; /* 1-based position in `file`, 0 unknown */
    char file[512];   /* "" where no file applies */
    char text[1536];
};

#define ECH_ERR_NONE                                                                                         \
    {                                                                                                        \
        .code = ECH_OK, .rank = -1                                                                           \
    }

/* Fill `err` unless it already holds an error (the first one decides); NULL is allowed. Returns code. */
int ech_fail(struct ech_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int ech_fail_at(struct ech_err *err, int code, const char *file, int line, int column, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* As ech_fail, with ": " and the text of `saved_errno` behind the message. ENOSPC, EDQUOT, EROFS, EACCES,
 * ESTALE say in words what to do. The code is the caller's; errno is saved_errno afterwards. */
int ech_fail_errno(struct ech_err *err, int code, int saved_errno, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Put "text: " before the message (context from a caller). Returns err->code. */
int ech_prefix(struct ech_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void ech_err_clear(struct ech_err *err);

/* "file:line:column: text [rank 3]" into out. Returns out. */
const char *ech_err_print(const struct ech_err *err, char *out, size_t bytes);

/* Short name of a code ("config", "io", ...), and whether `resume` can go on after it. */
const char *ech_code_name(int code);
bool ech_code_resumable(int code);

/* Our own bug: says where and ends the process with status 70 through the hook (default: abort). */
#define ECH_ASSERT(cond, ...)                                                                                \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            ech_bug(__FILE__, __LINE__, #cond, __VA_ARGS__);                                                 \
    } while (0)
_Noreturn void ech_bug(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
