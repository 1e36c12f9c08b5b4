/* What nodes say, and what is wrong with it: see node_facts.h. */
#include "launcher/node_facts.h"

#include "base/json.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE "{\"echelon_node\":1"

enum { FILES_LEAST = 256, FILES_WANTED = 1024, CLASSES = 16 };
static const int64_t shm_least = 64 << 20, shm_wanted = 256 << 20, pinned = 64 << 20, skew_us = 1000000;
static const int64_t number_most = INT64_C(1) << 60;

void ech_node_clean(char *out, size_t bytes, const char *text)
{
    size_t n = 0;
    for (; text[n] && n + 1 < bytes; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = '\0';
}

static bool take_text(const json_t *line, const char *key, char *out, size_t bytes)
{
    const json_t *value = json_object_get(line, key);
    ech_node_clean(out, bytes, json_is_string(value) ? json_string_value(value) : "");
    return json_is_string(value);
}

static bool take_number(const json_t *line, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(line, key);
    *out = json_is_integer(value) ? json_integer_value(value) : 0;
    bool good = json_is_integer(value) && *out >= -1 && *out <= number_most;
    *out = good ? *out : 0;
    return good;
}

/* Nothing of it can be before our question or after its answer: what lies outside is the clocks' difference.
 */
static int64_t skew(int64_t its, int64_t from, int64_t until)
{
    return its < from ? its - from : its > until ? its - until : 0;
}

static const char *last_line(const char *text, size_t bytes, size_t *length)
{
    const char *found = NULL;
    for (const char *p = text, *end = text + bytes; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t size = (size_t)((stop ? stop : end) - p);
        if (size > sizeof LINE && memcmp(p, LINE, sizeof LINE - 1) == 0) {
            found = p;
            *length = size;
        }
        p += size + 1;
    }
    return found;
}

static bool take_all(const json_t *line, int64_t *time_us, struct ech_node_facts *f)
{
    const json_t *fabric = json_object_get(line, "fabric");
    bool good = take_text(line, "host", f->host, sizeof f->host);
    good = take_text(line, "version", f->version, sizeof f->version) && good;
    good = take_text(line, "mpi", f->mpi, sizeof f->mpi) && good;
    good = take_text(line, "kernels", f->kernels, sizeof f->kernels) && good;
    good = take_text(line, "numerics", f->numerics, sizeof f->numerics) && good;
    good = take_text(line, "shared", f->shared, sizeof f->shared) && good;
    good = take_number(line, "cores", &f->cores) && good;
    good = take_number(line, "memory", &f->memory) && good;
    good = take_number(line, "devices", &f->devices) && good;
    good = take_number(line, "nofile", &f->nofile) && good;
    good = take_number(line, "memlock", &f->memlock) && good;
    good = take_number(line, "shm", &f->shm) && good;
    good = take_number(line, "shm_free", &f->shm_free) && good;
    good = take_number(line, "time_us", time_us) && good;
    f->fabric = json_is_true(fabric);
    return good && json_is_boolean(fabric);
}

bool ech_node_facts_read(const char *text, size_t bytes, int64_t from_us, int64_t until_us,
                         struct ech_node_facts *out)
{
    size_t length = 0;
    int64_t time_us = 0;
    json_t *line = NULL;
    const char *found = last_line(text, bytes, &length);
    out->answered = found && ech_json_parse("node", found, length, &line, NULL) == ECH_OK &&
                    take_all(line, &time_us, out);
    json_decref(line);
    if (out->answered)
        out->clock_us = skew(time_us, from_us, until_us);
    else
        snprintf(out->why, sizeof out->why, "%s",
                 found ? "what it says is not an answer of this version's echelon-rank"
                       : "it gave no answer");
    return out->answered;
}

/* --- faults --- */

struct list {
    struct ech_node_fault *items;
    int count;
};

static void add(struct list *list, enum ech_node_verdict verdict, const char *what, const char *mend,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void add(struct list *list, enum ech_node_verdict verdict, const char *what, const char *mend,
                const char *fmt, ...)
{
    if (list->count == ECH_NODE_FAULTS)
        return;
    struct ech_node_fault *fault = &list->items[list->count++];
    va_list args;
    *fault = (struct ech_node_fault){.verdict = verdict, .what = what};
    snprintf(fault->mend, sizeof fault->mend, "%s", mend);
    va_start(args, fmt);
    vsnprintf(fault->found, sizeof fault->found, fmt, args);
    va_end(args);
}

static void against_others(const struct ech_node_facts *f, const struct ech_node_wanted *w, struct list *out)
{
    if (w->version && w->version[0] && strcmp(f->version, w->version) != 0)
        add(out, ECH_NODE_LACKING, "version", "install the same version there, or name it by ECHELON_RANK",
            "it has echelon %s, here is %s", f->version, w->version);
    if (w->mpi && w->mpi[0] && strcmp(f->mpi, w->mpi) != 0)
        add(out, ECH_NODE_LACKING, "MPI", "load the same MPI there (mpi_prefix in the cluster file)",
            "it has %s, here is %s", f->mpi, w->mpi);
    if (w->numerics && w->numerics[0] && strcmp(f->numerics, w->numerics) != 0) {
        size_t first = strcspn(w->numerics, " ");
        bool floats = strncmp(f->numerics, w->numerics, first + 1) == 0; /* other formats alone differ */
        add(out, floats ? ECH_NODE_WARN : ECH_NODE_LACKING, "numerics",
            "leave it out (exclude), or let the job take several classes (numerics: mixed)",
            "it computes in %.120s, most nodes in %.120s", f->numerics, w->numerics);
    }
}

static void against_class(const struct ech_node_facts *f, const struct ech_node_class *c, struct list *out)
{
    char has[32], says[32];
    if (c->cores > f->cores)
        add(out, ECH_NODE_LACKING, "cores",
            "lower cores in the cluster file, or see who holds them (cgroup, affinity)",
            "class %s has %lld, it may use %lld", c->name, (long long)c->cores, (long long)f->cores);
    if (c->memory / 20 * 19 > f->memory) /* firmware and kernel keep a little */
        add(out, ECH_NODE_LACKING, "memory",
            "lower memory in the cluster file, or give it a class of its own", "class %s has %s, it has %s",
            c->name, ech_print_bytes(c->memory, says, sizeof says),
            ech_print_bytes(f->memory, has, sizeof has));
    if (c->devices > f->devices)
        add(out, ECH_NODE_LACKING, "devices", "lower devices in the cluster file, or see nvidia-smi there",
            "class %s has %lld, it has %lld", c->name, (long long)c->devices, (long long)f->devices);
}

static void limits(const struct ech_node_facts *f, struct list *out)
{
    char size[32];
    if (f->nofile >= 0 && f->nofile < FILES_WANTED)
        add(out, f->nofile < FILES_LEAST ? ECH_NODE_LACKING : ECH_NODE_WARN, "files",
            "ulimit -n 4096 in what starts shells there (limits.conf)", "%lld open files are allowed",
            (long long)f->nofile);
    if (f->fabric && f->memlock >= 0 && f->memlock < pinned)
        add(out, ECH_NODE_WARN, "memlock", "ulimit -l unlimited there: its fabric pins memory",
            "%s of locked memory are allowed", ech_print_bytes(f->memlock, size, sizeof size));
    if (f->shm < shm_least)
        add(out, ECH_NODE_LACKING, "/dev/shm", "mount a larger tmpfs on /dev/shm there (docker: --shm-size)",
            "its size is %s", ech_print_bytes(f->shm, size, sizeof size));
    else if (f->shm_free < shm_wanted)
        add(out, ECH_NODE_WARN, "/dev/shm", "remove what lies in /dev/shm there: weights are shared in it",
            "%s are free", ech_print_bytes(f->shm_free, size, sizeof size));
}

int ech_node_faults(const struct ech_node_facts *f, const struct ech_node_wanted *wanted,
                    const struct ech_node_class *node_class, struct ech_node_fault *out)
{
    struct list list = {.items = out};
    if (!f->answered) {
        add(&list, ECH_NODE_LACKING, "reach",
            "the launch command must start echelon-rank there without a password, at the same path", "%s",
            f->why);
        return list.count;
    }
    if (f->shared[0])
        add(&list, ECH_NODE_LACKING, "folder", "mount the file system of the runs there, at the same path",
            "%s", f->shared);
    else if (!f->seen)
        add(&list, ECH_NODE_LACKING, "folder", "the runs must lie in a file system that all nodes share",
            "what it writes into the folder of runs is not seen here");
    against_others(f, wanted, &list);
    if (node_class)
        against_class(f, node_class, &list);
    limits(f, &list);
    if (llabs(f->clock_us) > skew_us)
        add(&list, ECH_NODE_WARN, "clock", "set it by NTP (chronyc tracking): logs are merged by time",
            "its clock is at least %.1f s %s", (double)llabs(f->clock_us) * 1e-6,
            f->clock_us > 0 ? "ahead" : "behind");
    return list.count;
}

enum ech_node_verdict ech_node_worst(const struct ech_node_fault *faults, int count)
{
    enum ech_node_verdict worst = ECH_NODE_GOOD;
    for (int i = 0; i < count; i++)
        worst = faults[i].verdict > worst ? faults[i].verdict : worst;
    return worst;
}

const char *ech_node_numerics(const struct ech_node_facts *facts, size_t count)
{
    const char *names[CLASSES];
    size_t votes[CLASSES] = {0}, found = 0, best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        if (!facts[i].answered)
            continue;
        while (k < found && strcmp(names[k], facts[i].numerics) != 0)
            k++;
        if (k == CLASSES) /* more than anybody has: the rest do not vote */
            continue;
        names[k] = facts[i].numerics;
        found += k == found;
        votes[k]++;
    }
    for (size_t k = 1; k < found; k++)
        best = votes[k] > votes[best] ? k : best;
    return found ? names[best] : "";
}
