/* Files: whole reads and writes, each a fault site, each error naming the path. EINTR is handled. */
#ifndef ECH_BASE_IO_H
#define ECH_BASE_IO_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* open(2) with O_CLOEXEC. A missing file: ECH_NOINPUT when reading, ECH_EXISTS when it cannot be created. */
int ech_open(const char *path, int flags, int *fd, struct ech_err *err);
int ech_close(int fd, const char *path, struct ech_err *err); /* a late write error is an error */
int ech_write_all(int fd, const char *path, const void *data, size_t bytes, struct ech_err *err);
int ech_pwrite_all(int fd, const char *path, const void *data, size_t bytes, int64_t offset,
                   struct ech_err *err);
/* Exactly `bytes`, else ECH_DATA ("ends at byte N, M expected"). */
int ech_pread_all(int fd, const char *path, void *data, size_t bytes, int64_t offset, struct ech_err *err);
/* Up to `bytes`; *got < bytes only at the end of the file. */
int ech_read_some(int fd, const char *path, void *data, size_t bytes, size_t *got, struct ech_err *err);
int ech_fdatasync(int fd, const char *path, struct ech_err *err);
int ech_fsync_dir(const char *path, struct ech_err *err);
int ech_rename(const char *from, const char *to, struct ech_err *err);
/* Rename that fails with ECH_EXISTS where `to` is there already (atomic). */
int ech_rename_new(const char *from, const char *to, struct ech_err *err);
int ech_mkdir_all(const char *path, struct ech_err *err);
/* Remove a folder and what is in it (symbolic links are not followed). A missing one is success. */
int ech_remove_all(const char *path, struct ech_err *err);
int64_t ech_file_size(const char *path, struct ech_err *err); /* -1 on error */
bool ech_path_exists(const char *path);
/* A folder, no link to one, that belongs to this user; *out is its state. */
struct stat;
bool ech_is_own_folder(const char *path, struct stat *out);
/* Whole file, NUL-terminated; refused above `most` bytes. Owner: caller, ech_free. */
int ech_read_file(const char *path, size_t most, char **data, size_t *bytes, struct ech_err *err);
/* Write PATH.tmp, fsync, rename over PATH, fsync the folder. */
int ech_write_file(const char *path, const void *data, size_t bytes, struct ech_err *err);
/* "dir/name" (name alone where it is absolute). Owner: caller, ech_free. NULL on failure. */
char *ech_path_join(const char *dir, const char *name, struct ech_err *err);
/* Folder part of a path ("." where there is none). Owner: caller. */
char *ech_path_dir(const char *path, struct ech_err *err);
const char *ech_path_base(const char *path);

#endif
