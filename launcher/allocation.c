/* The Slurm allocation: see allocation.h. */
#include "launcher/allocation.h"

#include "launcher/rundirs.h"
#include "launcher/slurm.h"
#include "launcher/slurm_site.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rundir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LIST_BYTES = 16 << 20 };

int64_t ech_slurm_cores_of(const char *text, int64_t n)
{
    while (*text) {
        char *end;
        long long cores = strtoll(text, &end, 10), times = 1;
        if (end == text || cores < 1)
            return 0;
        if (end[0] == '(' && end[1] == 'x')
            times = strtoll(end + 2, &end, 10);
        if (n < times)
            return cores;
        n -= times;
        text = end + strcspn(end, ",");
        text += *text == ',';
    }
    return 0;
}

/* ---- what the nodes have ---- */

struct told {
    char name[64];
    int64_t cores, sockets;
};

/* "n1|16|2"; a node stands there once for each of its partitions. */
static bool read_told(const char *line, const char *end, struct told *out)
{
    long long cores, sockets;
    char text[160];
    snprintf(text, sizeof text, "%.*s", (int)ech_min64(end - line, 150), line);
    if (sscanf(text, "%63[^|]|%lld|%lld", out->name, &cores, &sockets) != 3 || cores < 1 || sockets < 1)
        return false;
    out->cores = cores;
    out->sockets = sockets;
    return true;
}

/* Owner: the caller. *count 0 where nothing was told. */
static struct told *read_all(const char *text, size_t *count, struct ech_err *err)
{
    size_t lines = 1;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    struct told *all = ech_calloc(lines, sizeof *all, err);
    *count = 0;
    while (all && *text) {
        const char *end = text + strcspn(text, "\n");
        *count += read_told(text, end, &all[*count]);
        text = end + (*end == '\n');
    }
    return all;
}

struct nodes_told {
    struct told *all;
    struct ech_host_index by_name, in_list; /* values: into all; place in the allocation */
    const struct told *own;
};

static int read_tables(const char *list, const char *sinfo, const char *own, struct nodes_told *out,
                       struct ech_list *names, struct ech_err *err)
{
    size_t count = 0;
    out->all = read_all(sinfo, &count, err);
    int code = out->all ? ech_host_names_expand(list, names, err) : ECH_UNAVAILABLE;
    for (size_t i = 0; code == ECH_OK && i < count; i++)
        code = ech_host_index_add(&out->by_name, out->all[i].name, (int64_t)i, err);
    for (int i = 0; code == ECH_OK && i < names->count; i++)
        code = ech_host_index_add(&out->in_list, names->items[i], i, err);
    ech_host_index_sort(&out->by_name);
    ech_host_index_sort(&out->in_list);
    const struct ech_host_entry *mine = own ? ech_host_index_find(&out->by_name, own) : NULL;
    bool inside = own && ech_host_index_find(&out->in_list, own);
    out->own = mine && inside ? &out->all[mine->value] : NULL;
    return code;
}

static struct ech_machine machine_of(const struct nodes_told *t, const char *host, const char *cpus,
                                     const struct ech_machine *here)
{
    struct ech_machine m = *here;
    const struct ech_host_entry *told = ech_host_index_find(&t->by_name, host);
    const struct ech_host_entry *place = ech_host_index_find(&t->in_list, host);
    const struct told *node = told ? &t->all[told->value] : NULL;
    int64_t cores = place ? ech_slurm_cores_of(cpus, place->value) : 0;
    if (node && !(t->own && node->cores == t->own->cores && node->sockets == t->own->sockets))
        m.domains = node->sockets;
    m.cores = cores ? cores : node ? node->cores : here->cores;
    return m;
}

int ech_allocation_read(const char *list, const char *cpus, const char *sinfo, const char *own,
                        const struct ech_machine *here, struct ech_hosts *hosts, struct ech_err *err)
{
    struct nodes_told told = {0};
    struct ech_list names = {0};
    int code = read_tables(list, sinfo, own, &told, &names, err);
    for (size_t i = 0; code == ECH_OK && i < hosts->count; i++)
        hosts->items[i].found = machine_of(&told, hosts->items[i].name, cpus, here);
    ech_host_index_fini(&told.by_name);
    ech_host_index_fini(&told.in_list);
    ech_host_names_fini(&names);
    ech_free(told.all);
    return code;
}

int ech_allocation_look(struct ech_nodes *nodes, struct ech_err *err)
{
    const char *list = getenv("SLURM_JOB_NODELIST"), *cpus = getenv("SLURM_JOB_CPUS_PER_NODE");
    char own[64] = "", *sinfo = NULL, *option = ech_sprintf(err, "--nodes=%s", list ? list : "");
    char *argv[] = {"sinfo", "--Node", "--noheader", option, "--format=" ECH_SINFO_NODES, NULL};
    gethostname(own, sizeof own - 1);
    if (!option || !list) {
        ech_free(option);
        return option ? ECH_OK : ECH_UNAVAILABLE;
    }
    if (ech_slurm_call(argv, &sinfo, NULL) != ECH_OK)
        sinfo = NULL; /* then all are as this one */
    int code = ech_allocation_read(list, cpus ? cpus : "", sinfo ? sinfo : "", own, ech_machine_here(),
                                   &nodes->hosts, err);
    ech_free(sinfo);
    ech_free(option);
    return code;
}

/* Equal numbers of ranks: `place` says it once for all of them. */
static bool are_alike(const struct ech_hosts *hosts, const struct ech_asked *asked, struct ech_place *place)
{
    int64_t least = 0, most = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        const struct ech_machine *m = &hosts->items[i].found;
        int64_t ranks = ech_nodes_ranks(0, NULL, asked, m);
        if (!least || ranks < least)
            place->machine.domains = m->domains;
        least = least ? ech_min64(least, ranks) : ranks;
        most = ech_max64(most, ranks);
    }
    return least == most;
}

static void count_them(const struct ech_asked *asked, struct ech_hosts *hosts, struct ech_layout *layout)
{
    *layout = (struct ech_layout){.nodes = (int64_t)hosts->count, .threads = asked->threads};
    for (size_t i = 0; i < hosts->count; i++) {
        struct ech_host *host = &hosts->items[i];
        host->slots = ech_nodes_ranks(0, NULL, asked, &host->found);
        int64_t threads = ech_max64(host->found.cores / host->slots, 1);
        layout->ranks += host->slots;
        layout->per_node = ech_max64(layout->per_node, host->slots);
        if (!asked->threads)
            layout->threads = layout->threads ? ech_min64(layout->threads, threads) : threads;
    }
}

int ech_allocation_spread(const struct ech_asked *asked, struct ech_place *place, struct ech_nodes *nodes,
                          struct ech_layout *layout, struct ech_err *err)
{
    const char *list = getenv("SLURM_JOB_NODELIST");
    int64_t wanted = ech_max64(asked->nodes, 1);
    if (!place->allocation || !list || asked->ranks > 0 || asked->ranks_per_node || place->components)
        return ECH_OK;
    nodes->slurms = true;
    int code = ech_nodes_of_list(list, 0, &nodes->hosts, err);
    if (code == ECH_OK)
        code = ech_allocation_look(nodes, err);
    if (code == ECH_OK && nodes->hosts.count > (size_t)wanted)
        nodes->hosts.count = (size_t)wanted;
    if (code == ECH_OK && !are_alike(&nodes->hosts, asked, place))
        count_them(asked, &nodes->hosts, layout);
    else
        ech_hosts_fini(&nodes->hosts);
    return code;
}

/* ---- its time ---- */

double ech_slurm_time_left(const char *text)
{
    double seconds = 0;
    while (*text && !(seconds > 0)) { /* warnings may stand before it */
        char line[64];
        size_t length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)ech_min64((int64_t)length, 60), text + strspn(text, " "));
        line[strcspn(line, " \n")] = '\0';
        seconds = ech_slurm_seconds(line);
        text += length + (text[length] == '\n');
    }
    return seconds > 0 ? seconds : 0;
}

double ech_allocation_end(bool ask)
{
    const char *job = getenv("SLURM_JOB_ID"), *said = getenv("SLURM_JOB_END_TIME");
    int64_t end = 0;
    if (!job || !*job)
        return 0;
    if (said && ech_parse_int(said, &end) && end > 0)
        return (double)end;
    char *text = NULL,
         *argv[] = {"squeue", "--noheader", "--jobs", (char *)(uintptr_t)job, "--format=%L", NULL};
    double left = ask && ech_slurm_call(argv, &text, NULL) == ECH_OK ? ech_slurm_time_left(text) : 0;
    ech_free(text);
    return left > 0 ? (double)time(NULL) + left : 0;
}

/* ---- who is left out ---- */

/* Is the name in "n2,n5"? */
static bool is_in(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",\n") == length && memcmp(p, name, length) == 0)
            return true;
    return false;
}

int ech_allocation_leave_out(const struct ech_hosts *hosts, const char *run_dir, struct ech_err *err)
{
    char *path = ech_run_path(err, run_dir, "%s", ECH_RUN_SLURM_EXCLUDE), *before = NULL;
    struct ech_str text;
    bool more = false;
    ech_str_init(&text);
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK && ech_path_exists(path))
        code = ech_read_file(path, LIST_BYTES, &before, NULL, err);
    if (before)
        ech_str_addf(&text, "%.*s", (int)strcspn(before, "\n"), before);
    for (size_t i = 0; code == ECH_OK && i < hosts->count; i++)
        if (hosts->items[i].failures >= ECH_HOST_FAILURES_MOST &&
            !is_in(before ? before : "", hosts->items[i].name)) {
            ech_str_addf(&text, "%s%s", text.length ? "," : "", hosts->items[i].name);
            more = true;
        }
    ech_str_addc(&text, '\n');
    if (code == ECH_OK && more)
        code = ech_rundir_write(run_dir, ECH_RUN_SLURM_EXCLUDE, &text, err);
    ech_str_fini(&text);
    ech_free(before);
    ech_free(path);
    return code;
}
