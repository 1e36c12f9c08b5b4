/* Reading Slurm's tables: see slurm_site.h. */
#include "launcher/slurm_site.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines and fields ---- */

/* Copies the next field (to `|` or the line's end) and steps past it. False: none left, or too long. */
static bool next_field(const char **at, const char *end, char *out, size_t bytes)
{
    if (!*at)
        return false;
    const char *bar = memchr(*at, '|', (size_t)(end - *at)), *stop = bar ? bar : end;
    size_t length = (size_t)(stop - *at);
    if (length >= bytes)
        return false;
    memcpy(out, *at, length);
    out[length] = '\0';
    *at = bar ? bar + 1 : NULL;
    return true;
}

/* "128", "128+" (the least of unlike nodes) as a number. */
static bool number_of(const char *text, int64_t *out)
{
    char digits[24];
    size_t n = strspn(text, "0123456789");
    if (!n || n >= sizeof digits || (text[n] && text[n] != '+'))
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return ech_parse_int(digits, out);
}

double ech_slurm_seconds(const char *text)
{
    if (strcmp(text, "infinite") == 0 || strcmp(text, "UNLIMITED") == 0)
        return 0;
    double parts[4] = {0}, seconds = 0;
    int count = 0;
    bool days = false;
    for (const char *p = text;; p++) {
        size_t n = strspn(p, "0123456789");
        if (!n || n > 9 || count == 4)
            return -1;
        parts[count++] = strtod(p, NULL);
        p += n;
        if (!*p)
            break;
        if (*p == '-' ? count != 1 : *p != ':')
            return -1;
        days = days || *p == '-';
    }
    if (days) { /* days-hours[:minutes[:seconds]] */
        static const double units[] = {86400, 3600, 60, 1};
        for (int i = 0; i < count; i++)
            seconds += parts[i] * units[i];
        return seconds;
    }
    if (count == 4)
        return -1;
    for (int i = 0; i < count; i++) /* minutes, minutes:seconds, hours:minutes:seconds */
        seconds = seconds * 60 + parts[i];
    return count == 1 ? seconds * 60 : seconds;
}

/* ---- sinfo ---- */

static bool read_nodes(const char *line, const char *end, struct ech_site_nodes *out)
{
    char up[32], time[32], nodes[24], cpus[24], memory[24];
    struct ech_site_nodes row = {.is_default = false};
    const char *at = line;
    if (!next_field(&at, end, row.partition, sizeof row.partition) || !next_field(&at, end, up, sizeof up) ||
        !next_field(&at, end, time, sizeof time) || !next_field(&at, end, nodes, sizeof nodes) ||
        !next_field(&at, end, cpus, sizeof cpus) || !next_field(&at, end, memory, sizeof memory) ||
        !next_field(&at, end, row.features, sizeof row.features) ||
        !next_field(&at, end, row.gres, sizeof row.gres) || at)
        return false;
    size_t length = strlen(row.partition);
    row.is_default = length > 1 && row.partition[length - 1] == '*';
    if (row.is_default)
        row.partition[length - 1] = '\0';
    row.up = strcmp(up, "up") == 0;
    row.time = ech_slurm_seconds(time);
    *out = row;
    return length && row.time >= 0 && number_of(nodes, &out->nodes) && number_of(cpus, &out->cpus) &&
           number_of(memory, &out->memory_mib);
}

int ech_site_parse(const char *text, struct ech_site *out, struct ech_err *err)
{
    size_t lines = 1;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    struct ech_site site = {.rows = ech_calloc(lines, sizeof *site.rows, err)};
    if (!site.rows)
        return ECH_UNAVAILABLE;
    while (*text) {
        const char *end = text + strcspn(text, "\n");
        if (read_nodes(text, end, &site.rows[site.count]))
            site.count++;
        text = end + (*end == '\n');
    }
    *out = site;
    return ECH_OK;
}

void ech_site_fini(struct ech_site *site)
{
    ech_free(site->rows);
    *site = (struct ech_site){0};
}

/* Is `word` (of length n) an element of the list, up to `:` and `(` (gpu:2(S:0) has gpu)? */
static bool has_word(const char *list, const char *word, size_t n)
{
    while (*list) {
        size_t length = strcspn(list, ",:(");
        if (length == n && memcmp(list, word, n) == 0)
            return true;
        list += strcspn(list, ",");
        list += *list == ',';
    }
    return false;
}

/* A constraint of names and `&` is looked at; a richer one is left to Slurm. */
static bool has_features(const char *features, const char *constraint)
{
    for (const char *p = constraint; p && *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("&,._-", *p))
            return true;
    for (const char *p = constraint ? constraint : ""; *p;) {
        size_t n = strcspn(p, "&,");
        if (n && !has_word(features, p, n))
            return false;
        p += n + (p[n] != '\0');
    }
    return true;
}

/* "gpu", "gpu:2", "gpu:a100:2(S:0)": name, type ("" where there is none) and number; -1: left to Slurm. */
struct gres {
    char name[32], type[32];
    int64_t number;
};

static struct gres read_gres(const char *text, size_t length)
{
    struct gres g = {.number = 1};
    char copy[128], *rest = copy;
    snprintf(copy, sizeof copy, "%.*s", (int)ech_min64((int64_t)length, 127), text);
    copy[strcspn(copy, "(=")] = '\0';
    const char *name = strsep(&rest, ":"), *second = rest ? strsep(&rest, ":") : NULL;
    const char *number = rest ? rest : second && isdigit((unsigned char)second[0]) ? second : NULL;
    snprintf(g.name, sizeof g.name, "%s", name);
    snprintf(g.type, sizeof g.type, "%s", second && second != number ? second : "");
    if (number && !ech_parse_int(number, &g.number))
        g.number = -1;
    return g;
}

/* Has a node of `list` so many of one thing that is asked for? */
static bool has_thing(const char *list, const struct gres *asked)
{
    int64_t sum = 0;
    bool known = asked->number >= 0, there = false;
    for (; *list; list += strcspn(list, ","), list += *list == ',') {
        struct gres g = read_gres(list, strcspn(list, ","));
        if (strcmp(g.name, asked->name) != 0 ||
            (asked->type[0] && g.type[0] && strcmp(g.type, asked->type) != 0))
            continue;
        there = true;
        known = known && g.number >= 0;
        sum += g.number;
    }
    return there && (!known || sum >= asked->number);
}

static bool has_gres(const char *list, const char *asked)
{
    for (; asked && *asked; asked += strcspn(asked, ","), asked += *asked == ',') {
        struct gres one = read_gres(asked, strcspn(asked, ","));
        if (!has_thing(list, &one))
            return false;
    }
    return true;
}

static bool node_fits(const struct ech_site_nodes *row, const struct ech_site_ask *ask)
{
    return ask->cpus <= row->cpus && ask->memory_mib <= row->memory_mib &&
           has_features(row->features, ask->constraint) && has_gres(row->gres, ask->gres);
}

/* Empty: the partition fits. */
static void why_not(const struct ech_site *site, const char *partition, const struct ech_site_ask *ask,
                    char *why, size_t bytes)
{
    int64_t all = 0, fit = 0, cpus = 0, memory = 0;
    double time = 0;
    bool up = true;
    for (size_t i = 0; i < site->count; i++) {
        const struct ech_site_nodes *row = &site->rows[i];
        if (strcmp(row->partition, partition) != 0)
            continue;
        up = row->up;
        time = row->time;
        all += row->nodes;
        fit += node_fits(row, ask) ? row->nodes : 0;
        cpus = ech_max64(cpus, row->cpus);
        memory = ech_max64(memory, row->memory_mib);
    }
    why[0] = '\0';
    if (ask->among && !has_word(ask->among, partition, strlen(partition)))
        snprintf(why, bytes, "it does not have the nodes that are asked for");
    else if (!up)
        snprintf(why, bytes, "it is not up");
    else if (time > 0 && ask->time > time)
        snprintf(why, bytes, "its time limit is %.0f s, %.0f s are asked for", time, ask->time);
    else if (all < ask->nodes)
        snprintf(why, bytes, "it has %lld nodes, %lld are asked for", (long long)all, (long long)ask->nodes);
    else if (fit < ask->nodes)
        snprintf(why, bytes,
                 "%lld of its %lld nodes fit, %lld are asked for (largest node: %lld cores, %lld MiB; asked: "
                 "%lld cores, %lld MiB%s%s%s%s)",
                 (long long)fit, (long long)all, (long long)ask->nodes, (long long)cpus, (long long)memory,
                 (long long)ask->cpus, (long long)ask->memory_mib, ask->constraint ? ", feature " : "",
                 ask->constraint ? ask->constraint : "", ask->gres ? ", gres " : "",
                 ask->gres ? ask->gres : "");
}

static bool seen_before(const struct ech_site *site, size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(site->rows[i].partition, site->rows[row].partition) == 0)
            return true;
    return false;
}

int ech_site_choose(const struct ech_site *site, const struct ech_site_ask *ask, const char **out,
                    struct ech_err *err)
{
    char why[320], all[900] = "";
    size_t used = 0;
    const char *best = NULL;
    for (size_t i = 0; i < site->count; i++) {
        const struct ech_site_nodes *row = &site->rows[i];
        if (seen_before(site, i) || (ask->partition && strcmp(ask->partition, row->partition) != 0))
            continue;
        why_not(site, row->partition, ask, why, sizeof why);
        if (!why[0] && (!best || row->is_default))
            best = row->partition;
        if (why[0] && used + 1 < sizeof all) {
            int n = snprintf(all + used, sizeof all - used, "; %s: %s", row->partition, why);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (!best && !all[0])
        return ech_fail(err, ECH_UNAVAILABLE,
                        ask->partition ? "resources.partition: Slurm has no partition %s for you"
                                       : "Slurm has no partition%.0s for you",
                        ask->partition ? ask->partition : "");
    if (!best)
        return ech_fail(err, ECH_UNAVAILABLE, "no partition fits: %s", all + 2);
    *out = best;
    return ECH_OK;
}

/* ---- squeue, scontrol, sbatch ---- */

/* Does the array element list "0-3,7,9-99:2%4" hold n? */
static bool holds_task(const char *list, const char *end, long n)
{
    while (list < end && (isdigit((unsigned char)*list) || *list == ',')) {
        char *stop;
        long from = strtol(list, &stop, 10), to = from, step = 1;
        if (stop < end && *stop == '-')
            to = strtol(stop + 1, &stop, 10);
        if (stop < end && *stop == ':')
            step = strtol(stop + 1, &stop, 10);
        if (n >= from && n <= to && step > 0 && (n - from) % step == 0)
            return true;
        list = stop + (*stop == ',');
        if (stop >= end || *stop != ',')
            break;
    }
    return false;
}

static bool is_job(const char *shown, const char *id)
{
    size_t length = strcspn(id, "_+"), n = strcspn(shown, "_+");
    if (strcmp(shown, id) == 0)
        return true;
    if (n != length || memcmp(shown, id, n) != 0)
        return false;
    if (id[length] == '_' && shown[n] == '_' && shown[n + 1] == '[')
        return holds_task(shown + n + 2, shown + strlen(shown), strtol(id + length + 1, NULL, 10));
    return !id[length] && strcmp(shown + n, "+0") == 0; /* the first component speaks for all */
}

bool ech_queue_find(const char *text, const char *id, struct ech_queue_entry *out)
{
    while (*text) {
        const char *end = text + strcspn(text, "\n"), *at = text;
        struct ech_queue_entry entry;
        if (next_field(&at, end, entry.id, sizeof entry.id) &&
            next_field(&at, end, entry.state, sizeof entry.state) &&
            next_field(&at, end, entry.reason, sizeof entry.reason) &&
            next_field(&at, end, entry.start, sizeof entry.start) &&
            next_field(&at, end, entry.nodes, sizeof entry.nodes) && !at && is_job(entry.id, id)) {
            *out = entry;
            return true;
        }
        text = end + (*end == '\n');
    }
    return false;
}

const char *ech_queue_reason(const char *reason)
{
    static const struct {
        const char *reason, *text;
    } known[] = {
        {"Resources", "waits for nodes to become free"},
        {"Priority", "jobs of higher priority are before it"},
        {"Dependency", "waits for another job"},
        {"DependencyNeverSatisfied", "waits for a job that failed: it will never start"},
        {"BeginTime", "waits for its begin time (a requeued job waits about two minutes)"},
        {"JobHeldUser", "held by its user: scontrol release"},
        {"JobHeldAdmin", "held by the administrator"},
        {"PartitionTimeLimit", "asks for more time than the partition gives"},
        {"PartitionNodeLimit", "asks for more nodes than the partition has"},
        {"PartitionDown", "the partition is down"},
        {"JobArrayTaskLimit", "as many tasks of its array run as may at a time"},
        {"ReqNodeNotAvail", "a node that it needs is down or reserved"},
        {"QOSMaxJobsPerUserLimit", "the limit of jobs a user is reached"},
        {"AssocGrpCPUMinutesLimit", "the account has used up its processor time"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].reason, reason) == 0)
            return known[i].text;
    return "";
}

int64_t ech_site_array_size(const char *text)
{
    static const char key[] = "MaxArraySize";
    int64_t size = 0;
    for (const char *p = text; (p = strstr(p, key)); p += sizeof key - 1) {
        const char *value = p + sizeof key - 1;
        char digits[24];
        value += strspn(value, " ");
        if ((p != text && p[-1] != '\n') || *value != '=')
            continue;
        value += 1 + strspn(value + 1, " ");
        snprintf(digits, sizeof digits, "%.*s", (int)strspn(value, "0123456789"), value);
        return ech_parse_int(digits, &size) ? size : 0;
    }
    return 0;
}

bool ech_sbatch_job(const char *text, char *out, size_t bytes)
{
    const char *line = NULL;
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t n = strspn(p, "0123456789");
        if (n && n < bytes && (p[n] == '\n' || p[n] == '\0' || p[n] == ';'))
            line = p;
    }
    if (line)
        snprintf(out, bytes, "%.*s", (int)strspn(line, "0123456789"), line);
    return line != NULL;
}
