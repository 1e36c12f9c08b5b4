#include "job/staging_folder.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char checks_name[] = ".echelon-checks", lock_ending[] = ".lock";
enum { CHECKS_MOST = 4 << 20, PIECE = 1 << 20 };

int ech_staging_base(const char *folder, char **out, struct ech_err *err)
{
    struct stat st;
    const char *temporary = getenv("TMPDIR");
    const char *in = folder ? folder : temporary && temporary[0] == '/' ? temporary : "/tmp";
    char *path = ech_sprintf(err, "%s/echelon-models-%ld", in, (long)geteuid());
    if (!path)
        return ECH_UNAVAILABLE;
    int code = ech_mkdir_all(in, err);
    if (code)
        ech_prefix(err, "model.folder");
    if (!code && mkdir(path, 0700) != 0 && errno != EEXIST)
        code = ech_fail_errno(err, ECH_IO, errno, "model.folder: making %s", path);
    if (!code && lstat(path, &st) != 0)
        code = ech_fail_errno(err, ECH_IO, errno, "model.folder: %s", path);
    if (!code && (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)))
        code = ech_fail(err, ECH_IO,
                        "model.folder: %s is not a folder that this user alone may write: remove it, or "
                        "name another folder",
                        path);
    if (code)
        ech_free(path);
    else
        *out = path;
    return code;
}

/* A lock on PATH: a descriptor, or -1 where another holds it. A file that was removed between opening and
 * locking is nobody's lock: again. */
static int lock(const char *path, bool shared)
{
    for (int turn = 0; turn < 100; turn++) {
        struct stat mine, there;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return -1;
        if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
            close(fd);
            return -1;
        }
        if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino)
            return fd;
        close(fd);
    }
    return -1;
}

static int hash_file(const char *path, int64_t bytes, unsigned char *buffer, struct ech_hash *out)
{
    struct ech_hash h = {0, 0};
    int fd, code = ech_open(path, O_RDONLY, &fd, NULL);
    if (code)
        return code;
    if (ech_file_size(path, NULL) != bytes)
        code = ECH_DATA;
    for (int64_t at = 0; !code && at < bytes; at += PIECE) {
        size_t piece = (size_t)ech_min64(PIECE, bytes - at);
        code = ech_pread_all(fd, path, buffer, piece, at, NULL);
        if (!code)
            ech_hash_add(&h, buffer, piece);
    }
    close(fd);
    *out = h;
    return code;
}

static void put_checks(const struct ech_staged_file *files, int count, struct ech_str *out)
{
    char hex[ECH_HASH_HEX];
    for (int i = 0; i < count; i++)
        ech_str_addf(out, "%s %" PRId64 " %s\n", ech_hash_print(files[i].hash, hex), files[i].bytes,
                     files[i].name);
}

/* Is the copy what it was when it was made? Its files are read for it, which the loading that follows profits
 * from. */
static bool is_whole(const char *path, const struct ech_staged_file *files, int count)
{
    struct ech_str now;
    char *saved = NULL, *name = ech_path_join(path, checks_name, NULL);
    unsigned char *buffer = ech_alloc_aligned(PIECE, NULL);
    struct ech_staged_file *found = ech_calloc((size_t)count, sizeof *found, NULL);
    bool good = name && buffer && found && ech_read_file(name, CHECKS_MOST, &saved, NULL, NULL) == ECH_OK;
    ech_str_init(&now);
    for (int i = 0; good && i < count; i++) {
        char *file = ech_path_join(path, files[i].name, NULL);
        found[i] = files[i];
        good = file && hash_file(file, files[i].bytes, buffer, &found[i].hash) == ECH_OK;
        ech_free(file);
    }
    if (good)
        put_checks(found, count, &now);
    good = good && !now.failed && now.data && strcmp(now.data, saved) == 0;
    if (good)
        utimensat(AT_FDCWD, name, NULL, 0); /* used just now */
    ech_str_fini(&now);
    ech_free(saved);
    ech_free(name);
    ech_free(buffer);
    ech_free(found);
    return good;
}

/* --- what lies in the base folder --- */

struct entry {
    char name[256];
    int64_t bytes, used; /* used: time of the checks; 0: not complete, or of a job that is gone */
};
struct entries {
    struct entry *items;
    size_t count, capacity;
};

static int64_t folder_bytes(const char *path)
{
    int64_t bytes = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        char *inner = e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.')
                          ? NULL
                          : ech_path_join(path, e->d_name, NULL);
        if (inner && lstat(inner, &st) == 0)
            bytes += S_ISDIR(st.st_mode) ? folder_bytes(inner) : st.st_size;
        ech_free(inner);
    }
    if (dir)
        closedir(dir);
    return bytes;
}

static void list(const char *base, struct entries *out)
{
    DIR *dir = opendir(base);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t length = strlen(e->d_name), ending = sizeof lock_ending - 1;
        if (length <= ending || length - ending >= sizeof out->items->name ||
            strcmp(e->d_name + length - ending, lock_ending) != 0 ||
            ech_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items, NULL) !=
                ECH_OK)
            continue;
        struct entry *entry = &out->items[out->count++];
        struct stat st;
        snprintf(entry->name, sizeof entry->name, "%.*s", (int)(length - ending), e->d_name);
        char *path = ech_path_join(base, entry->name, NULL),
             *checks = path ? ech_path_join(path, checks_name, NULL) : NULL;
        entry->bytes = path ? folder_bytes(path) : 0;
        bool one_job = strncmp(entry->name, "job-", 4) == 0;
        entry->used = !one_job && checks && stat(checks, &st) == 0 ? (int64_t)st.st_mtim.tv_sec : 0;
        ech_free(checks);
        ech_free(path);
    }
    if (dir)
        closedir(dir);
}

/* Unless somebody holds it. */
static bool remove_entry(const char *base, const char *name)
{
    char *path = ech_path_join(base, name, NULL),
         *lock_path = path ? ech_sprintf(NULL, "%s%s", path, lock_ending) : NULL;
    int fd = lock_path ? lock(lock_path, false) : -1;
    bool gone = fd >= 0 && ech_remove_all(path, NULL) == ECH_OK;
    if (gone)
        unlink(lock_path);
    if (fd >= 0)
        close(fd);
    ech_free(lock_path);
    ech_free(path);
    return gone;
}

static int by_use(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->used < y->used ? -1 : x->used > y->used;
}

/* What killed jobs left, then the longest unused, until `bytes` more fit within `most`. */
static bool make_room(const char *base, int64_t bytes, int64_t most)
{
    struct entries entries = {0};
    int64_t all = 0;
    list(base, &entries);
    if (entries.count)
        qsort(entries.items, entries.count, sizeof *entries.items, by_use);
    for (size_t i = 0; i < entries.count; i++)
        all += entries.items[i].bytes;
    for (size_t i = 0; i < entries.count; i++)
        if ((entries.items[i].used == 0 || all + bytes > most) && remove_entry(base, entries.items[i].name))
            all -= entries.items[i].bytes;
    ech_free(entries.items);
    return all + bytes <= most;
}

/* --- the place of this job's copy --- */

static int check_space(const char *base, int64_t bytes, struct ech_err *err)
{
    struct statvfs fs;
    char need[32], free_bytes[32];
    if (statvfs(base, &fs) != 0)
        return ech_fail_errno(err, ECH_IO, errno, "model.folder: %s", base);
    int64_t there = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    if (there >= bytes)
        return ECH_OK;
    return ech_fail(err, ECH_IO,
                    "model.folder: %s has %s free, the model needs %s: name a folder on another disk, or "
                    "leave model.stage out",
                    base, ech_print_bytes(there, free_bytes, sizeof free_bytes),
                    ech_print_bytes(bytes, need, sizeof need));
}

static int set_paths(struct ech_staging_place *p, const char *base, const char *name, struct ech_err *err)
{
    ech_free(p->path);
    ech_free(p->lock_path);
    p->path = ech_path_join(base, name, err);
    p->lock_path = p->path ? ech_sprintf(err, "%s%s", p->path, lock_ending) : NULL;
    return p->lock_path ? ECH_OK : ECH_UNAVAILABLE;
}

/* Under the key: whole (shared lock), to be made (exclusive lock), or, false, not to be had. */
static bool take_kept(struct ech_staging_place *p, const char *base, int64_t bytes, int64_t most,
                      const struct ech_staged_file *files, int count)
{
    p->kept = true;
    p->lock = lock(p->lock_path, true);
    p->have = p->lock >= 0 && is_whole(p->path, files, count);
    if (p->have)
        return true;
    if (p->lock >= 0)
        close(p->lock);
    p->lock = lock(p->lock_path, false);
    if (p->lock < 0) /* another job is at it */
        return false;
    /* Its own entry is locked by us, so that making room passes it over. */
    if (ech_remove_all(p->path, NULL) == ECH_OK && make_room(base, bytes, most))
        return true;
    unlink(p->lock_path);
    close(p->lock);
    p->lock = -1;
    return false;
}

int ech_staging_take(const char *base, const char *key, bool keep, int64_t bytes, int64_t most,
                     const struct ech_staged_file *files, int count, struct ech_staging_place *out,
                     struct ech_err *err)
{
    static int number;
    char name[128], host[64] = "";
    struct ech_staging_place p = {.lock = -1};
    int code = set_paths(&p, base, key, err);
    p.base = code ? NULL : ech_strdup(base, err);
    bool kept = p.base && keep && take_kept(&p, base, bytes, most, files, count);
    if (!code && p.base && !kept) {
        make_room(base, 0, INT64_MAX);
        p.kept = false;
        gethostname(host, sizeof host - 1); /* the folder may be one that nodes share */
        snprintf(name, sizeof name, "job-%s-%ld-%d", host, (long)getpid(), number++);
        code = set_paths(&p, base, name, err);
        if (!code && (p.lock = lock(p.lock_path, false)) < 0)
            code = ech_fail_errno(err, ECH_IO, errno, "model.folder: locking %s", p.lock_path);
        if (!code && keep)
            ech_log(ECH_LOG_INFO, "job",
                    "the model is not kept in %s: another job is at it, or model.most is too little", base);
    }
    code = code || p.base ? code : ECH_UNAVAILABLE;
    if (!code && !p.have)
        code = check_space(base, bytes, err);
    if (!code && !p.have)
        code = ech_mkdir_all(p.path, err);
    *out = p;
    return code;
}

int ech_staging_seal(struct ech_staging_place *p, const struct ech_staged_file *files, int count,
                     struct ech_err *err)
{
    struct ech_str checks;
    ech_str_init(&checks);
    put_checks(files, count, &checks);
    char *name = ech_path_join(p->path, checks_name, err);
    int code = name ? ech_str_check(&checks, err) : ECH_UNAVAILABLE;
    if (!code)
        code = ech_write_file(name, checks.data, checks.length, err);
    if (!code && p->kept && flock(p->lock, LOCK_SH) != 0) /* others may use it from now on */
        code = ech_fail_errno(err, ECH_IO, errno, "model.folder: sharing %s", p->lock_path);
    p->have = code == ECH_OK;
    ech_free(name);
    ech_str_fini(&checks);
    return code;
}

void ech_staging_leave(struct ech_staging_place *p)
{
    if (p->lock >= 0 && (!p->kept || !p->have)) {
        ech_remove_all(p->path, NULL);
        unlink(p->lock_path);
    }
    if (p->lock >= 0)
        close(p->lock);
    ech_free(p->base);
    ech_free(p->path);
    ech_free(p->lock_path);
    *p = (struct ech_staging_place){.lock = -1};
}
