/* Many programs at once: see gather.h. A program's end counts, not the end of its output: what ssh leaves
 * behind for the next connection may hold the pipe open for ever. */
#include "launcher/gather.h"

#include "launcher/child.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_AT_ONCE = 256, TICK_MS = 20 };

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int start(struct ech_asking *ask, double seconds, struct ech_err *err)
{
    int ends[2];
    struct ech_err why = ECH_ERR_NONE;
    ask->text = ech_calloc(ECH_GATHER_BYTES + 1, 1, err);
    if (!ask->text)
        return ECH_UNAVAILABLE;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "a pipe for %s", ask->argv.items[0]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    struct ech_child_spec spec = {
        .argv = ask->argv.items, .output = ends[1], .session = true, .death_signal = SIGKILL};
    ask->from_us = ask->until_us = wall_us();
    ask->deadline = ech_mono_s() + seconds;
    ask->fd = ends[0];
    int code = ech_child_start(&spec, &ask->pid, &why);
    close(ends[1]);
    if (code != ECH_OK) {
        close(ends[0]);
        ask->pid = 0;
        ask->status = -1;
        ask->bytes = (size_t)snprintf(ask->text, ECH_GATHER_BYTES, "%s", why.text);
    }
    return ECH_OK;
}

/* At most 1 MiB a call, so that one that never stops talking does not keep the others waiting. */
static void take_words(struct ech_asking *ask)
{
    char part[4096];
    for (int i = 0; ask->fd >= 0 && i < 256; i++) {
        ssize_t got = read(ask->fd, part, sizeof part);
        if (got < 0)
            return;
        if (got == 0) {
            close(ask->fd);
            ask->fd = -1;
            return;
        }
        size_t room = ECH_GATHER_BYTES - ask->bytes, taken = (size_t)got < room ? (size_t)got : room;
        memcpy(ask->text + ask->bytes, part, taken);
        ask->bytes += taken;
        ask->until_us = wall_us();
    }
}

/* True: it is over. */
static bool look(struct ech_asking *ask)
{
    int status = 0;
    take_words(ask);
    pid_t got = waitpid(ask->pid, &status, WNOHANG);
    if (got == 0 && ech_mono_s() < ask->deadline)
        return false;
    ask->late = got == 0;
    kill(-ask->pid, SIGKILL); /* its helpers, too */
    if (got == 0)
        waitpid(ask->pid, &status, 0);
    else
        take_words(ask);
    if (ask->fd >= 0)
        close(ask->fd);
    ask->fd = -1;
    ask->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

int ech_gather(struct ech_asking *asks, size_t count, size_t at_once, double seconds, bool (*stop)(void),
               struct ech_err *err)
{
    struct ech_asking *live[MOST_AT_ONCE];
    struct pollfd polls[MOST_AT_ONCE];
    size_t next = 0, running = 0;
    int code = ECH_OK;
    at_once = at_once < MOST_AT_ONCE ? at_once : MOST_AT_ONCE;
    while (running || (next < count && code == ECH_OK)) {
        while (code == ECH_OK && next < count && running < at_once) {
            code = start(&asks[next], seconds, err);
            if (asks[next].pid > 0)
                live[running++] = &asks[next];
            next++;
        }
        for (size_t i = 0; i < running; i++)
            polls[i] = (struct pollfd){.fd = live[i]->fd, .events = POLLIN};
        poll(polls, running, running ? TICK_MS : 0);
        if (stop && stop() && code == ECH_OK)
            code = ech_fail(err, ECH_UNAVAILABLE, "stopped by a signal");
        size_t left = 0;
        for (size_t i = 0; i < running; i++) {
            if (code != ECH_OK) /* no use waiting for the others */
                live[i]->deadline = 0;
            if (!look(live[i]))
                live[left++] = live[i];
        }
        running = left;
    }
    return code;
}

void ech_gather_fini(struct ech_asking *asks, size_t count)
{
    for (size_t i = 0; asks && i < count; i++) {
        ech_argv_fini(&asks[i].argv);
        ech_free(asks[i].text);
    }
}
