/* Files: see io.h. */
#include "base/io.h"

#include "base/fault.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Largest single read or write: below Linux's own limit of 2 GiB. */
enum { PIECE = 1 << 30 };

int ech_open(const char *path, int flags, int *fd, struct ech_err *err)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    int opened = ech_fault(ECH_FAULT_OPEN) ? -1 : open(path, flags | O_CLOEXEC, 0666);
    if (opened < 0) {
        int code = errno == EIO || errno == ENOSPC || errno == EDQUOT      ? ECH_IO
                   : errno == EMFILE || errno == ENFILE || errno == ENOMEM ? ECH_UNAVAILABLE
                   : writes                                                ? ECH_EXISTS
                                                                           : ECH_NOINPUT;
        return ech_fail_errno(err, code, errno, "cannot %s %s", writes ? "create" : "open", path);
    }
    *fd = opened;
    return ECH_OK;
}

int ech_close(int fd, const char *path, struct ech_err *err)
{
    if (close(fd) != 0 && errno != EINTR)
        return ech_fail_errno(err, ECH_IO, errno, "closing %s", path);
    return ECH_OK;
}

static int put(int fd, const char *path, const char *data, size_t bytes, int64_t offset, struct ech_err *err)
{
    while (bytes > 0) {
        size_t piece = bytes < PIECE ? bytes : PIECE;
        ssize_t done = ech_fault(ECH_FAULT_WRITE) ? -1
                       : offset < 0               ? write(fd, data, piece)
                                                  : pwrite(fd, data, piece, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return ech_fail_errno(err, ECH_IO, errno, "writing %zu bytes to %s", bytes, path);
        data += done;
        bytes -= (size_t)done;
        offset += offset < 0 ? 0 : done;
    }
    return ECH_OK;
}

int ech_write_all(int fd, const char *path, const void *data, size_t bytes, struct ech_err *err)
{
    return put(fd, path, data, bytes, -1, err);
}

int ech_pwrite_all(int fd, const char *path, const void *data, size_t bytes, int64_t offset,
                   struct ech_err *err)
{
    return put(fd, path, data, bytes, offset, err);
}

int ech_read_some(int fd, const char *path, void *data, size_t bytes, size_t *got, struct ech_err *err)
{
    size_t total = 0;
    while (total < bytes) {
        size_t piece = bytes - total < PIECE ? bytes - total : PIECE;
        ssize_t done = ech_fault(ECH_FAULT_READ) ? -1 : read(fd, (char *)data + total, piece);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return ech_fail_errno(err, ECH_IO, errno, "reading %s", path);
        if (done == 0)
            break;
        total += (size_t)done;
    }
    *got = total;
    return ECH_OK;
}

int ech_pread_all(int fd, const char *path, void *data, size_t bytes, int64_t offset, struct ech_err *err)
{
    char *to = data;
    int64_t end = offset + (int64_t)bytes;
    while (bytes > 0) {
        size_t piece = bytes < PIECE ? bytes : PIECE;
        ssize_t done = ech_fault(ECH_FAULT_READ) ? -1 : pread(fd, to, piece, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return ech_fail_errno(err, ECH_IO, errno, "reading %zu bytes at %lld of %s", bytes,
                                  (long long)offset, path);
        if (done == 0)
            return ech_fail(err, ECH_DATA,
                            "%s ends at byte %lld, byte %lld was expected: the file is truncated", path,
                            (long long)offset, (long long)end);
        to += done;
        bytes -= (size_t)done;
        offset += done;
    }
    return ECH_OK;
}

int ech_fdatasync(int fd, const char *path, struct ech_err *err)
{
    if (ech_fault(ECH_FAULT_FSYNC) || fdatasync(fd) != 0)
        return ech_fail_errno(err, ECH_IO, errno, "syncing %s", path);
    return ECH_OK;
}

int ech_fsync_dir(const char *path, struct ech_err *err)
{
    int fd, code = ech_open(path, O_RDONLY | O_DIRECTORY, &fd, err);
    if (code != ECH_OK)
        return code;
    if (ech_fault(ECH_FAULT_FSYNC) || (fsync(fd) != 0 && errno != EINVAL))
        code = ech_fail_errno(err, ECH_IO, errno, "syncing folder %s", path);
    close(fd);
    return code;
}

int ech_rename(const char *from, const char *to, struct ech_err *err)
{
    if (ech_fault(ECH_FAULT_RENAME) || rename(from, to) != 0)
        return ech_fail_errno(err, ECH_IO, errno, "renaming %s to %s", from, to);
    return ECH_OK;
}

int ech_rename_new(const char *from, const char *to, struct ech_err *err)
{
    if (!ech_fault(ECH_FAULT_RENAME) && renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return ECH_OK;
    if (errno == EEXIST || errno == ENOTEMPTY)
        return ech_fail(err, ECH_EXISTS, "%s exists already: remove it or name another output", to);
    if (errno == EINVAL || errno == ENOSYS) { /* a file system without RENAME_NOREPLACE */
        if (ech_path_exists(to))
            return ech_fail(err, ECH_EXISTS, "%s exists already: remove it or name another output", to);
        return ech_rename(from, to, err);
    }
    return ech_fail_errno(err, ECH_IO, errno, "renaming %s to %s", from, to);
}

static int make_one(const char *path, struct ech_err *err)
{
    if (ech_fault(ECH_FAULT_RENAME) || (mkdir(path, 0777) != 0 && errno != EEXIST))
        return ech_fail_errno(err, errno == EIO || errno == ENOSPC ? ECH_IO : ECH_EXISTS, errno,
                              "cannot create folder %s", path);
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return ech_fail(err, ECH_EXISTS, "%s is there and is not a folder", path);
    return ECH_OK;
}

int ech_mkdir_all(const char *path, struct ech_err *err)
{
    char *copy = ech_strdup(path, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    int code = ECH_OK;
    for (char *p = copy + 1; code == ECH_OK && *copy && *p; p++)
        if (*p == '/' && p[-1] != '/') {
            *p = '\0';
            if (!ech_path_exists(copy))
                code = make_one(copy, err);
            *p = '/';
        }
    if (code == ECH_OK)
        code = make_one(copy, err);
    ech_free(copy);
    return code;
}

int ech_remove_all(const char *path, struct ech_err *err)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return ECH_OK;
    DIR *dir = opendir(path);
    if (!dir)
        return ech_fail_errno(err, ECH_IO, errno, "removing %s", path);
    int code = ECH_OK;
    struct dirent *entry;
    while (code == ECH_OK && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *child = ech_path_join(path, entry->d_name, err);
        code = child ? ech_remove_all(child, err) : ECH_UNAVAILABLE;
        ech_free(child);
    }
    closedir(dir);
    if (code == ECH_OK && rmdir(path) != 0 && errno != ENOENT)
        code = ech_fail_errno(err, ECH_IO, errno, "removing folder %s", path);
    return code;
}

int64_t ech_file_size(const char *path, struct ech_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        ech_fail_errno(err, ECH_NOINPUT, errno, "cannot read %s", path);
        return -1;
    }
    return st.st_size;
}

bool ech_is_own_folder(const char *path, struct stat *out)
{
    return lstat(path, out) == 0 && S_ISDIR(out->st_mode) && out->st_uid == geteuid();
}

bool ech_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int ech_read_file(const char *path, size_t most, char **data, size_t *bytes, struct ech_err *err)
{
    int fd, code = ech_open(path, O_RDONLY, &fd, err);
    if (code != ECH_OK)
        return code;
    struct stat st;
    char *text = NULL;
    size_t length = 0, capacity = 0, got = 1;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        code = ech_fail(err, ECH_NOINPUT, "%s is a folder, a file was expected", path);
    while (code == ECH_OK && got > 0) {
        code = ech_grow((void **)&text, &capacity, length + 65537, 1, err);
        size_t room = capacity - length - 1;
        if (code == ECH_OK)
            code = ech_read_some(fd, path, text + length, room < most + 1 - length ? room : most + 1 - length,
                                 &got, err);
        if (code == ECH_OK) {
            length += got;
            if (length > most)
                code =
                    ech_fail(err, ECH_DATA,
                             "%s is larger than %zu bytes, more than this kind of file may have", path, most);
        }
    }
    close(fd);
    if (code != ECH_OK) {
        ech_free(text);
        return code;
    }
    text[length] = '\0';
    *data = text;
    if (bytes)
        *bytes = length;
    return ECH_OK;
}

int ech_write_file(const char *path, const void *data, size_t bytes, struct ech_err *err)
{
    char *temporary = ech_sprintf(err, "%s.tmp", path), *dir = ech_path_dir(path, err);
    int fd = -1, code = temporary && dir ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd, err);
    if (code == ECH_OK) {
        code = ech_write_all(fd, temporary, data, bytes, err);
        if (code == ECH_OK)
            code = ech_fdatasync(fd, temporary, err);
        int closed = ech_close(fd, temporary, err);
        code = code != ECH_OK ? code : closed;
        if (code == ECH_OK)
            code = ech_rename(temporary, path, err);
        if (code == ECH_OK)
            code = ech_fsync_dir(dir, err);
        else
            unlink(temporary);
    }
    ech_free(temporary);
    ech_free(dir);
    return code;
}

char *ech_path_join(const char *dir, const char *name, struct ech_err *err)
{
    if (name[0] == '/' || !dir[0])
        return ech_strdup(name, err);
    size_t length = strlen(dir);
    return ech_sprintf(err, "%s%s%s", dir, dir[length - 1] == '/' ? "" : "/", name);
}

const char *ech_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *ech_path_dir(const char *path, struct ech_err *err)
{
    const char *base = ech_path_base(path);
    if (base == path)
        return ech_strdup(".", err);
    size_t length = (size_t)(base - path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return ech_strndup(path, length, err);
}
