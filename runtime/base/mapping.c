/* See mapping.h. The handler knows all mappings from a table of atomics: it takes no lock, and what it does
 * is one system call. */
#include "base/mapping.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 8192 };

static struct slot {
    _Atomic uintptr_t base; /* 0: free, 1: being filled */
    _Atomic size_t bytes;
    _Atomic size_t lost; /* first byte that was not there, plus 1; 0: all were */
} slots[SLOTS];

static struct sigaction before;
static long page;

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(number);
    else
        signal(number, SIG_DFL); /* the access is tried again, and ends the process */
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr, size = (uintptr_t)page;
    int saved = errno;
    for (int i = 0; i < SLOTS; i++) {
        uintptr_t base = atomic_load(&slots[i].base);
        size_t bytes = atomic_load(&slots[i].bytes), none = 0;
        if (base <= 1 || at < base || at >= base + (bytes + size - 1) / size * size)
            continue;
        uintptr_t from = at / size * size, end = base + (bytes + size - 1) / size * size;
        void *zeros =
            mmap((void *)from, end - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (zeros == MAP_FAILED)
            break;
        atomic_compare_exchange_strong(&slots[i].lost, &none, from - base + 1);
        errno = saved;
        return;
    }
    errno = saved;
    pass_on(number, info, context);
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};
    page = sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

static int take_slot(const void *base, size_t bytes)
{
    for (int i = 0; i < SLOTS; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&slots[i].base, &none, 1))
            continue;
        atomic_store(&slots[i].bytes, bytes);
        atomic_store(&slots[i].lost, 0);
        atomic_store(&slots[i].base, (uintptr_t)base);
        return i;
    }
    return -1;
}

static int map(int fd, const char *path, struct ech_mapping *out, struct ech_err *err)
{
    struct stat st;
    void *data = MAP_FAILED;
    if (fstat(fd, &st) != 0)
        return ech_fail_errno(err, ECH_IO, errno, "examining %s", path);
    if (!S_ISREG(st.st_mode))
        return ech_fail(err, ECH_NOINPUT, "%s is not a regular file", path);
    if (st.st_size == 0)
        return ech_fail(err, ECH_DATA, "%s is truncated: it is empty", path);
    errno = EIO;
    if (!ech_fault(ECH_FAULT_READ))
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "mapping %s", path);
    out->data = data;
    out->bytes = (size_t)st.st_size;
    out->device = (uint64_t)st.st_dev;
    out->inode = (uint64_t)st.st_ino;
    return ECH_OK;
}

int ech_mapping_open(const char *path, struct ech_mapping *out, struct ech_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ech_mapping m = {.slot = -1};
    int fd, code = ech_open(path, O_RDONLY, &fd, err);
    if (code != ECH_OK)
        return code;
    pthread_once(&once, install);
    code = map(fd, path, &m, err);
    close(fd);
    if (code != ECH_OK)
        return code;
    m.slot = take_slot(m.data, m.bytes);
    m.path = ech_strdup(path, err);
    if (m.path && m.slot >= 0) {
        *out = m;
        return ECH_OK;
    }
    ech_mapping_close(&m);
    return ech_fail(err, ECH_UNAVAILABLE, "more than %d files are mapped", SLOTS);
}

/* Why, as far as the file system still tells. */
static int tell(const struct ech_mapping *m, size_t lost, struct ech_err *err)
{
    struct stat st;
    const char *mend = "put it back whole, then resume";
    if (stat(m->path, &st) != 0 && errno == ESTALE)
        return ech_fail(err, ECH_IO,
                        "%s: its handle went stale while it was read (byte %zu of %zu): it was replaced "
                        "on its server; resume opens it anew",
                        m->path, lost, m->bytes);
    if (stat(m->path, &st) != 0)
        return ech_fail_errno(err, ECH_IO, errno, "%s was lost while it was read (byte %zu of %zu); %s",
                              m->path, lost, m->bytes, mend);
    if ((uint64_t)st.st_dev == m->device && (uint64_t)st.st_ino == m->inode && (size_t)st.st_size < m->bytes)
        return ech_fail(err, ECH_IO, "%s was cut short while it was read: it has %lld bytes, it had %zu; %s",
                        m->path, (long long)st.st_size, m->bytes, mend);
    return ech_fail(err, ECH_IO,
                    "%s could not be read at byte %zu of %zu (SIGBUS): its disk or its server failed, or "
                    "it was cut short for a while; resume reads it again",
                    m->path, lost, m->bytes);
}

int ech_mapping_check(const struct ech_mapping *m, struct ech_err *err)
{
    struct stat st;
    size_t lost = atomic_load(&slots[m->slot].lost);
    if (lost)
        return tell(m, lost - 1, err);
    /* Zeros up to the end of a page come without a signal. A file renamed over the path is another file. */
    if (stat(m->path, &st) == 0 && (uint64_t)st.st_dev == m->device && (uint64_t)st.st_ino == m->inode &&
        (size_t)st.st_size < m->bytes)
        return tell(m, (size_t)st.st_size, err);
    return ECH_OK;
}

void ech_mapping_close(struct ech_mapping *m)
{
    if (!m->data)
        return;
    if (m->slot >= 0)
        atomic_store(&slots[m->slot].base, 0);
    munmap((void *)(uintptr_t)m->data, m->bytes);
    ech_free(m->path);
    *m = (struct ech_mapping){.slot = -1};
}
