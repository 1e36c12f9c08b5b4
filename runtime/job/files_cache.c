/* The cache of file hashes: see files_hash.h. Nothing here can fail a job. */
#include "base/cache.h"
#include "base/io.h"
#include "base/mem.h"
#include "job/files_hash.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "ECHHASH1"
enum { FIELDS = 6, ENTRY = 8 + 8 * FIELDS + 16 + 16 + 8 };

int ech_file_state_read(const char *path, struct ech_file_state *out, struct ech_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return ech_fail_errno(err, ECH_NOINPUT, errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode))
        return ech_fail(err, ECH_NOINPUT, "%s is not a regular file", path);
    *out = (struct ech_file_state){.inode = (int64_t)st.st_ino,
                                   .bytes = st.st_size,
                                   .mtime_s = st.st_mtim.tv_sec,
                                   .mtime_ns = st.st_mtim.tv_nsec,
                                   .ctime_s = st.st_ctim.tv_sec,
                                   .ctime_ns = st.st_ctim.tv_nsec};
    return ECH_OK;
}

/* Where the entry of `path` lies, and the hash of its real path. Owner: caller; NULL: no cache. */
static char *entry_path(const char *path, struct ech_hash *name)
{
    char hex[ECH_HASH_HEX], *folder = ech_cache_path("hashes"), *real = realpath(path, NULL), *entry = NULL;
    if (folder && real) {
        *name = ech_hash_bytes(real, strlen(real));
        entry = ech_sprintf(NULL, "%s/%s", folder, ech_hash_print(*name, hex));
    }
    free(real);
    ech_free(folder);
    return entry;
}

static void encode(struct ech_hash name, const struct ech_file_state *state, struct ech_hash root,
                   unsigned char out[ENTRY])
{
    const int64_t fields[FIELDS] = {state->inode,    state->bytes,   state->mtime_s,
                                    state->mtime_ns, state->ctime_s, state->ctime_ns};
    uint64_t words[FIELDS + 5];
    memcpy(out, MAGIC, 8);
    for (int i = 0; i < FIELDS; i++)
        words[i] = htole64((uint64_t)fields[i]);
    words[FIELDS] = htole64(name.high);
    words[FIELDS + 1] = htole64(name.low);
    words[FIELDS + 2] = htole64(root.high);
    words[FIELDS + 3] = htole64(root.low);
    memcpy(out + 8, words, 8 * (FIELDS + 4));
    words[FIELDS + 4] = htole64(ech_hash_bytes(out, ENTRY - 8).low);
    memcpy(out + ENTRY - 8, &words[FIELDS + 4], 8);
}

bool ech_hash_cache_get(const char *path, const struct ech_file_state *state, struct ech_hash *root)
{
    struct ech_hash name, found;
    unsigned char wanted[ENTRY];
    uint64_t words[2];
    char *entry = entry_path(path, &name), *data = NULL;
    size_t bytes = 0;
    bool good = entry && ech_read_file(entry, ENTRY, &data, &bytes, NULL) == ECH_OK && bytes == ENTRY;
    if (good) { /* good is what would be written for this state and the root it claims */
        memcpy(words, data + ENTRY - 24, sizeof words);
        found = (struct ech_hash){le64toh(words[0]), le64toh(words[1])};
        encode(name, state, found, wanted);
        good = memcmp(data, wanted, ENTRY) == 0;
    }
    if (good)
        *root = found;
    ech_free(data);
    ech_free(entry);
    return good;
}

/* A file changed twice within one tick of the file system's clock looks unchanged: leave young ones out. */
static bool settled(const struct ech_file_state *state)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ms = (now.tv_sec - state->ctime_s) * 1000 + (now.tv_nsec - state->ctime_ns) / 1000000;
    return age_ms >= (state->ctime_ns ? 200 : 2500); /* whole seconds: a clock that is that coarse */
}

static void store(const char *entry, const unsigned char data[ENTRY])
{
    int fd;
    char *temporary = ech_sprintf(NULL, "%s.%ld", entry, (long)getpid());
    if (temporary && ech_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, &fd, NULL) == ECH_OK) {
        int code = ech_write_all(fd, temporary, data, ENTRY, NULL);
        close(fd);
        if (code != ECH_OK || ech_rename(temporary, entry, NULL) != ECH_OK)
            unlink(temporary);
    }
    ech_free(temporary);
}

void ech_hash_cache_put(const char *path, const struct ech_file_state *state, struct ech_hash root)
{
    struct ech_file_state now;
    struct ech_hash name;
    unsigned char data[ENTRY];
    if (ech_file_state_read(path, &now, NULL) != ECH_OK || memcmp(&now, state, sizeof now) != 0 ||
        !settled(state))
        return;
    char *entry = entry_path(path, &name), *folder = entry ? ech_path_dir(entry, NULL) : NULL;
    if (folder && ech_mkdir_all(folder, NULL) == ECH_OK) {
        encode(name, state, root, data);
        store(entry, data);
    }
    ech_free(folder);
    ech_free(entry);
}
