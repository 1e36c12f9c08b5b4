/* Advice: see advice.h. */
#include "launcher/advice.h"

#include "base/mem.h"
#include "base/num.h"
#include "config/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GIB (1024.0 * 1024.0 * 1024.0)
/* Room that the next request keeps above what was used. */
#define ROOM 1.3

/* Most memory of one host: the sum of its ranks' peaks. */
static int64_t host_peak(const struct ech_run_view *view, size_t rank)
{
    int64_t sum = 0;
    for (size_t i = 0; i < view->rank_count; i++)
        if (view->ranks[i].seen && strcmp(view->ranks[i].host, view->ranks[rank].host) == 0)
            sum += view->ranks[i].rss_peak;
    return sum;
}

struct ech_advice ech_advice_of(const struct ech_run_view *view, double time_s, int64_t memory, double used_s)
{
    struct ech_advice a = {.time_s = time_s, .used_s = used_s, .memory = memory, .idle_rank = -1};
    struct ech_view_sum sum;
    ech_view_sum(view, &sum);
    double computing = sum.first_lease > 0 ? sum.run_end - sum.first_lease : 0;
    const char *before = NULL;
    for (size_t i = 0; i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        a.rested += r->seen && r->rests;
        if (!r->seen || r->dead || r->rests)
            continue;
        if (!before || strcmp(before, r->host) != 0)
            a.memory_at = ech_max64(a.memory_at, host_peak(view, i));
        before = r->host;
        double idle = computing > 1 ? 1 - r->busy_s / computing : 0;
        if (idle > a.idle_share) {
            a.idle_share = idle;
            a.idle_rank = (int)r->rank;
        }
    }
    if (sum.dead > 0) /* who waited for the rows of a lost rank is no sign of too many ranks */
        a.idle_rank = -1;
    return a;
}

/* Whole minutes above, as sbatch and the job file read them. */
static void print_minutes(double seconds, struct ech_str *out)
{
    long long minutes = (long long)ceil(seconds / 60);
    ech_str_addf(out, "%lld:%02lld:00", minutes / 60, minutes % 60);
}

void ech_advice_print(const struct ech_advice *a, struct ech_str *out)
{
    double memory = (double)a->memory_at * ROOM;
    if (a->time_s > 0 && a->used_s > 0 && a->used_s * 2 < a->time_s && a->used_s * ROOM + 60 < a->time_s) {
        double share = 100 * a->used_s / a->time_s;
        ech_str_addf(out,
                     ECH_ADVICE "used %s%.0f %% of the requested time: next time ask for resources.time=",
                     share < 1 ? "less than " : "", share < 1 ? 1 : share);
        print_minutes(a->used_s * ROOM + 60, out);
        ech_str_addc(out, '\n');
    }
    if (a->memory > 0 && a->memory_at > 0 && memory * 2 < (double)a->memory &&
        ceil(memory / GIB) * GIB < (double)a->memory)
        ech_str_addf(out,
                     ECH_ADVICE "used at most %.1f of %.1f GiB of a node: next time ask for "
                                "resources.memory=%.0fGiB\n",
                     (double)a->memory_at / GIB, (double)a->memory / GIB, ceil(memory / GIB));
    if (a->idle_rank >= 0 && a->idle_share > 0.15)
        ech_str_addf(out,
                     ECH_ADVICE
                     "rank %d was idle for %.0f %% of the computing time: next time ask for fewer ranks "
                     "or smaller leases (balance.lease_rows)\n",
                     a->idle_rank, 100 * a->idle_share);
    if (a->rested > 0)
        ech_str_addf(out,
                     ECH_ADVICE "%d rank%s had no work for lack of memory: next time ask for more of it "
                                "(resources.memory), or for fewer ranks a node\n",
                     a->rested, a->rested == 1 ? "" : "s");
}

const char *ech_advice_next(const char **text)
{
    const char *found = strstr(*text, ECH_ADVICE);
    if (!found)
        return NULL;
    found += strlen(ECH_ADVICE);
    *text = found + strcspn(found, "\n");
    return found;
}

void ech_advice_of_run(const struct ech_run_view *view, const char *run_dir, double used_s,
                       struct ech_str *out)
{
    struct ech_config *config = NULL;
    char *path = ech_run_path(NULL, run_dir, "%s", ECH_RUN_JOB);
    struct ech_config_request request = {.path = path, .saved = true};
    if (path && ech_config_load(&request, &config, NULL) == ECH_OK) {
        const struct ech_job *job = ech_config_job(config);
        struct ech_advice advice = ech_advice_of(view, job->resources.time, job->resources.memory, used_s);
        ech_advice_print(&advice, out);
    }
    ech_config_destroy(config);
    ech_free(path);
}
