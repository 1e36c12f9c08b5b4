/* Hosts of an attempt: see hosts.h. */
#include "launcher/hosts.h"

#include "launcher/argv.h"
#include "launcher/child.h"
#include "launcher/remote.h"
#include "launcher/rundirs.h"
#include "launcher/session.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/words.h"
#include "config/host_index.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROBES_AT_ONCE = 64 };

void ech_hosts_fini(struct ech_hosts *hosts)
{
    ech_free(hosts->items);
    *hosts = (struct ech_hosts){0};
}

static int parse_line(const char *line, size_t length, struct ech_hosts *out, struct ech_err *err)
{
    struct ech_host host = {.slots = 1};
    const char *blank = " \t,\r";
    size_t at = strspn(line, blank), name = strcspn(line + at, " \t,\r\n#");
    name = name < length - (at < length ? at : length) ? name : length - (at < length ? at : length);
    if (name == 0)
        return ECH_OK; /* empty, or a comment */
    if (name >= sizeof host.name)
        return ech_fail(err, ECH_CONFIG, "a host's name of %zu bytes", name);
    memcpy(host.name, line + at, name);
    const char *slots = strstr(line + at + name, "slots");
    if (slots && slots < line + length) {
        char number[24] = "";
        slots += 5;
        slots += strspn(slots, " =");
        size_t digits = strspn(slots, "0123456789");
        memcpy(number, slots, digits < sizeof number - 1 ? digits : sizeof number - 1);
        if (!ech_parse_int(number, &host.slots) || host.slots < 1)
            return ech_fail(err, ECH_CONFIG, "host %s: slots is a number from 1", host.name);
    }
    int code = ech_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items, err);
    if (code == ECH_OK)
        out->items[out->count++] = host;
    return code;
}

int ech_hosts_parse(const char *text, struct ech_hosts *out, struct ech_err *err)
{
    int code = ECH_OK;
    while (code == ECH_OK && *text) {
        size_t length = strcspn(text, "\n");
        code = parse_line(text, length, out, err);
        text += length + (text[length] == '\n');
    }
    return code;
}

struct ech_host *ech_hosts_find(const struct ech_hosts *hosts, const char *name)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (strcmp(hosts->items[i].name, name) == 0)
            return &hosts->items[i];
    return NULL;
}

bool ech_host_out(const struct ech_host *host)
{
    return host->silent || host->failures >= ECH_HOST_FAILURES_MOST;
}

void ech_hosts_tell_out(const struct ech_hosts *hosts, struct ech_str *out)
{
    for (size_t i = 0; i < hosts->count; i++) {
        const struct ech_host *h = &hosts->items[i];
        if (!ech_host_out(h))
            continue;
        ech_str_addf(out, "%s%s (", out->length ? ", " : "", h->name);
        if (h->silent)
            ech_str_adds(out, "does not answer)");
        else
            ech_str_addf(out, "failed in %d attempts)", h->failures);
    }
}

int64_t ech_hosts_ranks(const struct ech_hosts *hosts, int64_t ranks)
{
    int64_t all = 0, in = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        all += hosts->items[i].slots;
        in += ech_host_out(&hosts->items[i]) ? 0 : hosts->items[i].slots;
    }
    return all > 0 ? (ranks * in + all - 1) / all : ranks;
}

/* --- history --- */

struct history {
    struct ech_hosts *hosts;
    struct ech_host_index index;
    bool *failed; /* in one attempt, of each host */
};

static void fails(struct history *h, const char *name)
{
    const struct ech_host_entry *host = ech_host_index_find(&h->index, name);
    if (host)
        h->failed[host->value] = true;
}

static int silent_in(struct history *h, const char *run_dir, int attempt, int ranks, struct ech_err *err)
{
    struct ech_word *words = ech_calloc((size_t)ranks, sizeof *words, err);
    bool told = false;
    if (!words)
        return ECH_UNAVAILABLE;
    ech_words_read(run_dir, attempt, ranks, 0, words);
    for (int r = 0; r < ranks; r++)
        told = told || words[r].said;
    for (int r = 0; told && r < ranks; r++)
        if (ech_word_judge(words, ranks, r) == ECH_WORD_SILENT)
            fails(h, words[r].host);
    ech_free(words);
    return ECH_OK;
}

static int failed_in(struct history *h, const char *run_dir, int attempt, struct ech_err *err)
{
    struct ech_launch launch;
    struct ech_follower follower;
    if (ech_launch_read(run_dir, attempt, &launch, NULL) != ECH_OK || launch.ranks < 1)
        return ECH_OK;
    int code = ech_follower_open(run_dir, attempt, &follower, err);
    if (code != ECH_OK)
        return code;
    ech_follower_poll(&follower, NULL);
    for (size_t i = 0; i < follower.view.rank_count; i++)
        if (follower.view.ranks[i].dead)
            fails(h, follower.view.ranks[i].host);
    ech_follower_close(&follower);
    return silent_in(h, run_dir, attempt, (int)launch.ranks, err);
}

int ech_hosts_history(struct ech_hosts *hosts, const char *run_dir, int before, struct ech_err *err)
{
    struct history h = {.hosts = hosts, .failed = ech_calloc(hosts->count, sizeof *h.failed, err)};
    int code = h.failed ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t i = 0; code == ECH_OK && i < hosts->count; i++) {
        hosts->items[i].failures = 0;
        code = ech_host_index_add(&h.index, hosts->items[i].name, (int64_t)i, err);
    }
    ech_host_index_sort(&h.index);
    for (int n = 1; code == ECH_OK && n <= before; n++) {
        memset(h.failed, 0, hosts->count * sizeof *h.failed);
        code = failed_in(&h, run_dir, n, err);
        for (size_t i = 0; code == ECH_OK && i < hosts->count; i++)
            hosts->items[i].failures += h.failed[i];
    }
    ech_host_index_fini(&h.index);
    ech_free(h.failed);
    return code;
}

/* --- probe --- */

static pid_t ask(const char *agent, const char *host, int nowhere)
{
    struct ech_argv argv;
    pid_t pid = -1;
    bool good = ech_remote_begin(agent, host, &argv, NULL) == ECH_OK;
    ech_argv_add(&argv, "true");
    struct ech_child_spec spec = {
        .argv = argv.items, .output = nowhere, .session = true, .death_signal = SIGKILL};
    if (!good || ech_argv_check(&argv, NULL) != ECH_OK || ech_child_start(&spec, &pid, NULL) != ECH_OK)
        pid = -1;
    ech_argv_fini(&argv);
    return pid;
}

/* Waits until `until`, or a signal to stop, then no longer. True: it ended well. */
static bool answered(pid_t pid, double until)
{
    int status = 0;
    pid_t got = 0;
    while (pid > 0 && (got = waitpid(pid, &status, WNOHANG)) == 0 && ech_mono_s() < until &&
           !ech_session_is_signalled())
        ech_sleep_us(10000);
    if (pid > 0 && got == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return got == pid && pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool ech_host_is_here(const char *name)
{
    char own[64] = "";
    gethostname(own, sizeof own - 1);
    return ech_host_is_same(name, own) || strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0;
}

int ech_hosts_probe(struct ech_hosts *hosts, const char *agent, double seconds, struct ech_err *err)
{
    pid_t pids[PROBES_AT_ONCE];
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0)
        return ech_fail(err, ECH_UNAVAILABLE, "/dev/null cannot be opened");
    for (size_t from = 0; from < hosts->count; from += PROBES_AT_ONCE) {
        size_t count = hosts->count - from < PROBES_AT_ONCE ? hosts->count - from : PROBES_AT_ONCE;
        double until = ech_mono_s() + seconds;
        for (size_t i = 0; i < count; i++) {
            const char *name = hosts->items[from + i].name;
            pids[i] = ech_host_is_here(name) ? 0 : ask(agent, name, nowhere);
        }
        for (size_t i = 0; i < count; i++)
            hosts->items[from + i].silent = pids[i] != 0 && !answered(pids[i], until);
    }
    close(nowhere);
    return ECH_OK;
}

static int write_text(const struct ech_str *text, const char *path, struct ech_err *err)
{
    int code = ech_str_check(text, err);
    return code == ECH_OK ? ech_write_file(path, text->data ? text->data : "", text->length, err) : code;
}

int ech_hosts_write(const struct ech_hosts *hosts, bool said, const char *path, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    for (size_t i = 0; i < hosts->count; i++) {
        const struct ech_host *h = &hosts->items[i];
        if (ech_host_out(h))
            continue;
        ech_str_adds(&text, h->name);
        if (h->said || !said)
            ech_str_addf(&text, " slots=%lld", (long long)h->slots);
        ech_str_addc(&text, '\n');
    }
    int code = write_text(&text, path, err);
    ech_str_fini(&text);
    return code;
}

int ech_hosts_write_ranks(const struct ech_hosts *hosts, const char *path, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    for (size_t i = 0; i < hosts->count; i++)
        for (int64_t rank = 0; !ech_host_out(&hosts->items[i]) && rank < hosts->items[i].slots; rank++)
            ech_str_addf(&text, "%s\n", hosts->items[i].name);
    int code = write_text(&text, path, err);
    ech_str_fini(&text);
    return code;
}
