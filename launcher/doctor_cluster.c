/* doctor --cluster: see doctor_cluster.h. */
#include "launcher/doctor_cluster.h"

#include "launcher/gather.h"
#include "launcher/node_facts.h"
#include "launcher/remote.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ECH_VERSION
#define ECH_VERSION "unknown"
#endif

enum { AT_ONCE = 64, TOKEN_BYTES = 256, NAMED = 8 };

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = number;
}

static bool is_stopped(void)
{
    return stopped != 0;
}

/* So that the folder of the check is removed in any case. */
static void take_signals(void)
{
    const int asks[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++)
        sigaction(asks[i], &action, NULL);
}

struct check {
    struct ech_cluster *cluster;
    const struct ech_node_class **classes; /* of each node */
    struct ech_asking *asks;               /* count nodes, then this machine */
    struct ech_node_facts *facts;          /* as asks */
    size_t count;
    char *rank, *folder; /* folder: shared with the nodes, NULL: not made */
    bool made_runs;      /* the folder of runs was not there before */
    char token[64];
};

static void fini(struct check *c)
{
    ech_gather_fini(c->asks, c->asks ? c->count + 1 : 0);
    ech_free(c->asks);
    ech_free(c->facts);
    ech_free(c->classes);
    ech_cluster_destroy(c->cluster);
    if (c->folder)
        ech_remove_all(c->folder, NULL);
    char *runs = c->folder && c->made_runs ? ech_path_dir(c->folder, NULL) : NULL;
    if (runs)
        rmdir(runs);
    ech_free(runs);
    ech_free(c->folder);
    ech_free(c->rank);
}

/* A folder of ours in the folder of runs, with a token that no other file has. */
static int make_folder(struct check *c, struct ech_err *err)
{
    const char *runs = getenv("ECHELON_RUNS");
    runs = runs && runs[0] ? runs : "runs";
    c->made_runs = !ech_path_exists(runs);
    int code = ech_mkdir_all(runs, err);
    char *real = code == ECH_OK ? realpath(runs, NULL) : NULL;
    char *name = real ? ech_sprintf(err, "%s/.doctor-XXXXXX", real) : NULL;
    if (code == ECH_OK && (!name || !mkdtemp(name)))
        code = ech_fail_errno(err, ECH_UNAVAILABLE, errno, "a folder for the check in %s", runs);
    free(real); /* realpath's */
    if (code != ECH_OK) {
        ech_free(name);
        return code;
    }
    c->folder = name;
    snprintf(c->token, sizeof c->token, "%lld-%lld", (long long)getpid(), (long long)ech_mono_ns());
    char *path = ech_path_join(name, "token", err);
    code = path ? ech_write_file(path, c->token, strlen(c->token), err) : ECH_UNAVAILABLE;
    ech_free(path);
    return code;
}

/* launch-words HOST echelon-rank --solo doctor --node-check FOLDER --token T --seen seen-I; here without the
 * first two. */
static int begin_command(const struct check *c, size_t i, struct ech_argv *out, struct ech_err *err)
{
    const struct ech_list *own = &c->classes[i]->launch, *launch = own->count ? own : &c->cluster->launch;
    struct ech_str words;
    ech_str_init(&words);
    for (int w = 0; w < launch->count; w++)
        ech_str_addf(&words, "%s%s", w ? " " : "", launch->items[w]);
    int code = ech_str_check(&words, err);
    if (code == ECH_OK)
        code = ech_remote_begin(launch->count ? words.data : ech_cluster_own_launch(), c->facts[i].name, out,
                                err);
    if (code == ECH_OK)
        ech_remote_libraries(out, c->cluster->mpi_prefix);
    ech_str_fini(&words);
    return code;
}

static int make_command(struct check *c, size_t i, struct ech_err *err)
{
    struct ech_argv *argv = &c->asks[i].argv;
    bool here = i == c->count;
    void (*add)(struct ech_argv *, const char *) = here ? ech_argv_add : ech_remote_add;
    ech_argv_init(argv);
    int code = here ? ECH_OK : begin_command(c, i, argv, err);
    if (code != ECH_OK)
        return code;
    add(argv, c->rank);
    ech_argv_add(argv, "--solo");
    ech_argv_add(argv, "doctor");
    ech_argv_add(argv, "--node-check");
    add(argv, c->folder);
    ech_argv_add(argv, "--token");
    ech_argv_add(argv, c->token);
    ech_argv_add(argv, "--seen");
    ech_argv_addf(argv, "seen-%zu", i);
    return ech_argv_check(argv, err);
}

static int list_nodes(struct check *c, struct ech_err *err)
{
    size_t most = 1;
    for (int k = 0; k < c->cluster->classes_count; k++)
        most += (size_t)c->cluster->classes[k].hosts.count;
    c->facts = ech_calloc(most, sizeof *c->facts, err);
    c->classes = ech_calloc(most, sizeof *c->classes, err);
    if (!c->facts || !c->classes)
        return ECH_UNAVAILABLE;
    for (int k = 0; k < c->cluster->classes_count; k++) {
        const struct ech_node_class *class = &c->cluster->classes[k];
        for (int h = 0; h < class->hosts.count; h++) {
            if (ech_cluster_excludes(c->cluster, class->hosts.items[h])) {
                ech_say("%s is left out: the cluster file excludes it", class->hosts.items[h]);
                continue;
            }
            snprintf(c->facts[c->count].name, sizeof c->facts->name, "%s", class->hosts.items[h]);
            c->classes[c->count++] = class;
        }
    }
    if (c->count == 0)
        return ech_fail(err, ECH_CONFIG, "cluster %s names no node to look at (hosts: in a class)",
                        c->cluster->name);
    snprintf(c->facts[c->count].name, sizeof c->facts->name, "here");
    c->asks = ech_calloc(c->count + 1, sizeof *c->asks, err);
    return c->asks ? ECH_OK : ECH_UNAVAILABLE;
}

/* Is the node's file there, with the token in it? Network file systems may need a moment. */
static bool sees(const struct check *c, size_t i, double until)
{
    char *path = ech_sprintf(NULL, "%s/seen-%zu", c->folder, i);
    for (bool again = true; path && again;) {
        char *text = NULL;
        size_t bytes = 0;
        int code = ech_read_file(path, TOKEN_BYTES, &text, &bytes, NULL);
        bool good = code == ECH_OK && strcmp(text, c->token) == 0;
        ech_free(text);
        if (good) {
            ech_free(path);
            return true;
        }
        again = ech_mono_s() < until;
        if (again)
            ech_sleep_us(50000);
    }
    ech_free(path);
    return false;
}

/* The last words of a node that gave no answer. */
static void tell_why(const struct ech_asking *ask, int64_t seconds, struct ech_node_facts *f)
{
    size_t end = ask->bytes;
    while (end > 0 && ask->text && ask->text[end - 1] == '\n')
        end--;
    if (ask->text)
        ask->text[end] = '\0';
    const char *line = ask->text ? strrchr(ask->text, '\n') : NULL;
    char words[160];
    line = line ? line + 1 : ask->text ? ask->text : "";
    ech_node_clean(words, sizeof words, line);
    if (ask->late)
        snprintf(f->why, sizeof f->why, "it did not answer within %lld s%s%s", (long long)seconds,
                 words[0] ? "; its last words: " : "", words);
    else if (ask->status != 0)
        snprintf(f->why, sizeof f->why, "its check ended with %d%s%s", ask->status, words[0] ? ": " : "",
                 words);
}

static int ask_all(struct check *c, int64_t seconds, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i <= c->count; i++)
        code = make_command(c, i, err);
    if (code == ECH_OK)
        code = ech_gather(c->asks, c->count + 1, AT_ONCE, (double)seconds, is_stopped, err);
    double until = ech_mono_s() + 3;
    for (size_t i = 0; code == ECH_OK && i <= c->count; i++) {
        struct ech_asking *ask = &c->asks[i];
        if (!ech_node_facts_read(ask->text, ask->bytes, ask->from_us, ask->until_us, &c->facts[i]))
            tell_why(ask, seconds, &c->facts[i]);
        else if (!c->facts[i].shared[0])
            c->facts[i].seen = sees(c, i, until);
    }
    return code;
}

/* --- printing --- */

static const char *const verdicts[] = {"ok", "warn", "lacking"};

static void print_line(const struct ech_node_facts *f, const char *class, enum ech_node_verdict verdict)
{
    char memory[32], shm[32], files[32] = "unlimited";
    if (!f->answered) {
        printf("%-16s %-10s %s\n", f->name, class, verdicts[verdict]);
        return;
    }
    if (f->nofile >= 0)
        snprintf(files, sizeof files, "%lld", (long long)f->nofile);
    printf("%-16s %-10s %-8s %5lld %10s %10s %10s %7.1f  %-9s %s\n", f->name, class, verdicts[verdict],
           (long long)f->cores, ech_print_bytes(f->memory, memory, sizeof memory),
           ech_print_bytes(f->shm, shm, sizeof shm), files, (double)f->clock_us * 1e-6, f->kernels,
           f->version);
}

static void print_table(const struct check *c, const struct ech_node_wanted *wanted)
{
    struct ech_node_fault faults[ECH_NODE_FAULTS];
    printf("%-16s %-10s %-8s %5s %10s %10s %10s %7s  %-9s %s\n", "node", "class", "state", "cores", "memory",
           "/dev/shm", "files", "clock", "kernels", "echelon");
    for (size_t i = 0; i < c->count; i++) {
        int count = ech_node_faults(&c->facts[i], wanted, c->classes[i], faults);
        print_line(&c->facts[i], c->classes[i]->name, ech_node_worst(faults, count));
    }
    for (size_t i = 0; i < c->count; i++) {
        int count = ech_node_faults(&c->facts[i], wanted, c->classes[i], faults);
        for (int k = 0; k < count; k++)
            printf("\n%s: %s: %s: %s\n    -> %s\n", c->facts[i].name, verdicts[faults[k].verdict],
                   faults[k].what, faults[k].found, faults[k].mend);
    }
}

static void add_facts(struct ech_str *out, const struct ech_node_facts *f)
{
    ech_json_add_str(out, "host", f->host);
    ech_json_add_str(out, "version", f->version);
    ech_json_add_str(out, "mpi", f->mpi);
    ech_json_add_str(out, "kernels", f->kernels);
    ech_json_add_str(out, "numerics", f->numerics);
    ech_json_add_int(out, "cores", f->cores);
    ech_json_add_int(out, "memory", f->memory);
    ech_json_add_int(out, "devices", f->devices);
    ech_json_add_int(out, "nofile", f->nofile);
    ech_json_add_int(out, "memlock", f->memlock);
    ech_json_add_int(out, "shm", f->shm);
    ech_json_add_int(out, "shm_free", f->shm_free);
    ech_json_add_float(out, "clock_s", (double)f->clock_us * 1e-6);
}

static int print_json(const struct check *c, const struct ech_node_wanted *wanted, struct ech_err *err)
{
    struct ech_node_fault faults[ECH_NODE_FAULTS];
    struct ech_str out;
    ech_str_init(&out);
    ech_json_add_str(&out, "cluster", c->cluster->name);
    ech_json_key(&out, "nodes");
    ech_str_addc(&out, '[');
    for (size_t i = 0; i < c->count; i++) {
        int count = ech_node_faults(&c->facts[i], wanted, c->classes[i], faults);
        if (i)
            ech_str_addc(&out, ',');
        ech_json_add_str(&out, "node", c->facts[i].name);
        ech_json_add_str(&out, "class", c->classes[i]->name);
        ech_json_add_str(&out, "verdict", verdicts[ech_node_worst(faults, count)]);
        if (c->facts[i].answered)
            add_facts(&out, &c->facts[i]);
        ech_json_key(&out, "faults");
        ech_str_addc(&out, '[');
        for (int k = 0; k < count; k++) {
            if (k)
                ech_str_addc(&out, ',');
            ech_json_add_str(&out, "check", faults[k].what);
            ech_json_add_str(&out, "verdict", verdicts[faults[k].verdict]);
            ech_json_add_str(&out, "found", faults[k].found);
            ech_json_add_str(&out, "mend", faults[k].mend);
            ech_str_addc(&out, '}');
        }
        ech_str_adds(&out, "]}");
    }
    ech_str_adds(&out, "]}\n");
    int code = ech_str_check(&out, err);
    if (code == ECH_OK)
        fputs(out.data, stdout);
    ech_str_fini(&out);
    return code;
}

static int judge(const struct check *c, const struct ech_node_wanted *wanted, struct ech_err *err)
{
    struct ech_node_fault faults[ECH_NODE_FAULTS];
    struct ech_str names;
    size_t failed = 0;
    ech_str_init(&names);
    for (size_t i = 0; i < c->count; i++) {
        int count = ech_node_faults(&c->facts[i], wanted, c->classes[i], faults);
        if (ech_node_worst(faults, count) != ECH_NODE_LACKING)
            continue;
        if (failed++ < NAMED)
            ech_str_addf(&names, "%s%s", failed > 1 ? ", " : "", c->facts[i].name);
    }
    int code = ech_str_check(&names, err);
    if (code == ECH_OK && failed)
        code = ech_fail(err, ECH_UNAVAILABLE, "%zu of %zu nodes fail: %s%s", failed, c->count, names.data,
                        failed > NAMED ? ", ..." : "");
    ech_str_fini(&names);
    return code;
}

int ech_doctor_cluster(const char *path, int64_t seconds, bool json, struct ech_err *err)
{
    struct check c = {0};
    int code = ech_cluster_load(path, &c.cluster, err);
    if (code == ECH_OK)
        code = ech_find_rank_program(&c.rank, err);
    if (code == ECH_OK)
        code = list_nodes(&c, err);
    take_signals();
    if (code == ECH_OK)
        code = make_folder(&c, err);
    if (code == ECH_OK)
        code = ask_all(&c, seconds, err);
    if (code == ECH_OK) {
        const struct ech_node_facts *here = &c.facts[c.count];
        struct ech_node_wanted wanted = {.version = ECH_VERSION,
                                         .mpi = here->answered ? here->mpi : NULL,
                                         .numerics = ech_node_numerics(c.facts, c.count)};
        if (json)
            code = print_json(&c, &wanted, err);
        else
            print_table(&c, &wanted);
        if (code == ECH_OK)
            code = judge(&c, &wanted, err);
    }
    fini(&c);
    return code;
}
