/* Memory shared by the ranks of a node. The leader creates a POSIX segment, takes its name away at once and
 * reserves every page of it (a full /dev/shm is an error here, not a SIGBUS later); the others open it
 * through the leader's descriptor in /proc, so that nothing is left in /dev/shm whoever dies when. Where
 * /proc does not show it (ranks in containers of their own), it keeps its name until all have mapped it. A
 * rank alone on its node needs none of this: anonymous memory. */
#include "comm/internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* How the others find the leader's segment. */
struct place {
    char name[64]; /* "": through the leader's descriptor */
    long pid;
    int fd;
    uint64_t device, inode; /* the file meant: /proc may show the processes of another container */
};

/* The leader alone. Without a name the segment has lost its own before it gets its first page. */
static int create(size_t bytes, bool named, struct place *place, void **base, struct ech_err *err)
{
    static unsigned count;
    char name[sizeof place->name];
    struct stat st;
    snprintf(name, sizeof name, "/echelon-%ld-%llx-%u", (long)getpid(), (unsigned long long)ech_mono_ns(),
             count++);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot create shared memory %s", name);
    if (named)
        memcpy(place->name, name, sizeof name);
    else
        shm_unlink(name);
    place->pid = getpid();
    place->fd = fd;
    int code = reserve(fd, bytes, err);
    if (code == ECH_OK && fstat(fd, &st) != 0)
        code = ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot examine shared memory %s", name);
    if (code == ECH_OK) {
        place->device = (uint64_t)st.st_dev;
        place->inode = (uint64_t)st.st_ino;
        code = map(fd, 0, bytes, base, err);
    }
    return code;
}

static int attach(const struct place *place, size_t bytes, void **base, struct ech_err *err)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", place->pid, place->fd);
    int fd =
        place->name[0] ? shm_open(place->name, O_RDWR | O_CLOEXEC, 0600) : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot open the node's shared memory %s",
                              place->name[0] ? place->name : path);
    int code;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_dev == place->device && (uint64_t)st.st_ino == place->inode)
        code = map(fd, 0, bytes, base, err);
    else
        code = ech_fail(err, ECH_UNAVAILABLE, "the node's shared memory is not %s here",
                        place->name[0] ? place->name : path);
    close(fd);
    return code;
}

/* One way to share. *created: the leader had the memory, so another way may be tried. */
static int share(struct ech_comm *node, size_t bytes, bool named, void **base, bool *created,
                 struct ech_err *err)
{
    struct place place = {.fd = -1};
    void *mapped = NULL;
    if (node->rank == 0)
        create(bytes, named, &place, &mapped, err);
    int code = ech_agree(node, err);
    *created = code == ECH_OK;
    if (code == ECH_OK && ech_bcast(node, &place, sizeof place, 0, err) == ECH_OK && node->rank != 0)
        attach(&place, bytes, &mapped, err);
    if (code == ECH_OK)
        code = ech_agree(node, err);
    if (node->rank == 0 && place.fd >= 0)
        close(place.fd);
    if (node->rank == 0 && place.name[0])
        shm_unlink(place.name);
    if (code == ECH_OK)
        *base = mapped;
    else if (mapped)
        munmap(mapped, bytes);
    return code;
}

int ech_shm_open(struct ech_comm *comm, size_t bytes, void **base, struct ech_err *err)
{
    struct ech_comm *node = ech_comm_local(comm);
    struct ech_err local = ECH_ERR_NONE;
    bool created = false;
    if (bytes == 0 || bytes > PTRDIFF_MAX)
        return ech_fail(err, ECH_BUG, "a shared segment of %zu bytes", bytes);
    if (node->size == 1)
        return map(-1, MAP_ANONYMOUS, bytes, base, err);
    int code = share(node, bytes, false, base, &created, &local);
    if (code != ECH_OK && created) {
        ech_err_clear(&local);
        code = share(node, bytes, true, base, &created, &local);
    }
    if (code != ECH_OK && err && err->code == ECH_OK)
        *err = local;
    return code;
}

void ech_shm_close(void *base, size_t bytes)
{
    if (base)
        munmap(base, bytes);
}
