/* Memory shared by the ranks of a node. The leader creates a POSIX segment and reserves every page of it (a
 * full /dev/shm is an error here, not a SIGBUS later); the others map it by name; the name goes as soon as
 * all have mapped it. A rank alone on its node needs no name: anonymous memory.
 * Where the launcher gives a folder (ECH_SHM_DIR), the segment is a file in it: a rank killed before the name
 * has gone then leaves nothing, since the launcher removes the folder. */
#include "comm/internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHM_NAME_MAX = 384 };

/* A name with a second slash is a path. */
static bool is_path(const char *name)
{
    return strchr(name + 1, '/') != NULL;
}

static int open_name(const char *name, int flags)
{
    return is_path(name) ? open(name, flags, 0600) : shm_open(name, flags, 0600);
}

static void choose_name(char name[SHM_NAME_MAX])
{
    static unsigned count;
    const char *folder = getenv("ECH_SHM_DIR"); /* not there on the other nodes of an allocation */
    bool given =
        folder && folder[0] == '/' && strlen(folder) < SHM_NAME_MAX - 64 && access(folder, W_OK) == 0;
    snprintf(name, SHM_NAME_MAX, "%s/echelon-%ld-%llx-%u", given ? folder : "", (long)getpid(),
             (unsigned long long)ech_mono_ns(), count++);
}

static int map(int fd, int flags, size_t bytes, void **base, struct ech_err *err)
{
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
    if (mapped == MAP_FAILED)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "mapping %zu bytes of shared memory", bytes);
    *base = mapped;
    return ECH_OK;
}

static int reserve(int fd, size_t bytes, struct ech_err *err)
{
    int error;
    do
        error = ftruncate(fd, (off_t)bytes) == 0 ? posix_fallocate(fd, 0, (off_t)bytes) : errno;
    while (error == EINTR);
    if (error == 0)
        return ECH_OK;
    char size[32];
    ech_print_bytes((int64_t)bytes, size, sizeof size);
    return ech_fail(err, ECH_UNAVAILABLE,
                    "cannot reserve %s of shared memory: %s; enlarge /dev/shm (mount -o remount,size=..., or "
                    "--shm-size of a container) or give the job less memory",
                    size, strerror(error));
}

/* The leader alone. *name is empty where nothing is left to unlink. */
static int create(size_t bytes, char name[SHM_NAME_MAX], void **base, struct ech_err *err)
{
    choose_name(name);
    int fd = open_name(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC);
    if (fd < 0) {
        int code = ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot create shared memory %s", name);
        name[0] = '\0';
        return code;
    }
    int code = reserve(fd, bytes, err);
    if (code == ECH_OK)
        code = map(fd, 0, bytes, base, err);
    close(fd);
    return code;
}

static int attach(const char *name, size_t bytes, void **base, struct ech_err *err)
{
    int fd = open_name(name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot open the node's shared memory %s", name);
    int code = map(fd, 0, bytes, base, err);
    close(fd);
    return code;
}

int ech_shm_open(struct ech_comm *comm, size_t bytes, void **base, struct ech_err *err)
{
    struct ech_comm *node = ech_comm_local(comm);
    if (bytes == 0 || bytes > PTRDIFF_MAX)
        return ech_fail(err, ECH_BUG, "a shared segment of %zu bytes", bytes);
    if (node->size == 1)
        return map(-1, MAP_ANONYMOUS, bytes, base, err);
    struct ech_err local = ECH_ERR_NONE;
    char name[SHM_NAME_MAX] = "";
    void *mapped = NULL;
    if (node->rank == 0)
        create(bytes, name, &mapped, &local);
    int code = ech_agree(node, &local);
    if (code == ECH_OK && ech_bcast(node, name, sizeof name, 0, &local) == ECH_OK && node->rank != 0)
        attach(name, bytes, &mapped, &local);
    if (code == ECH_OK)
        code = ech_agree(node, &local);
    if (node->rank == 0 && name[0] && is_path(name))
        unlink(name);
    else if (node->rank == 0 && name[0])
        shm_unlink(name);
    if (code != ECH_OK) {
        if (mapped)
            munmap(mapped, bytes);
        if (err && err->code == ECH_OK)
            *err = local;
        return code;
    }
    *base = mapped;
    return ECH_OK;
}

void ech_shm_close(void *base, size_t bytes)
{
    if (base)
        munmap(base, bytes);
}
