#include "plan/shares.h"

#include "base/json.h"
#include "base/num.h"
#include "plan/workers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double mean_speed(const struct ech_plan *plan)
{
    double sum = 0;
    int known = 0;
    for (int i = 0; i < plan->ranks_count; i++)
        if (plan->ranks[i].speed > 0) {
            sum += plan->ranks[i].speed;
            known++;
        }
    return known ? sum / known : 0;
}

void ech_plan_fill(struct ech_plan *plan, bool equal)
{
    double mean = mean_speed(plan), total = 0, before = 0;
    int n = plan->ranks_count;
    int last = 0, working = 0;
    for (int i = 0; i < n; i++) {
        bool works = !plan->ranks[i].rests;
        last = works ? i : last;
        working += works;
        total += !works ? 0 : plan->ranks[i].speed > 0 ? plan->ranks[i].speed : mean;
    }
    int64_t left = plan->rows - plan->rows_done;
    for (int i = 0; i < n; i++) {
        struct ech_plan_rank *r = &plan->ranks[i];
        double speed = r->speed > 0 ? r->speed : mean;
        r->share = r->rests ? 0 : equal || !(total > 0) ? 1.0 / working : speed / total;
        /* Cumulative rounding: the rows of all ranks add up to what is left. */
        int64_t from = (int64_t)(before * (double)left + 0.5);
        before = i >= last ? 1 : before + r->share;
        r->rows = (int64_t)(before * (double)left + 0.5) - from;
        r->tokens = plan->tokens * r->share;
        r->finish = speed > 0 ? r->tokens / speed : 0;
    }
    plan->optimum = total > 0 ? plan->tokens / total : 0;
}

double ech_plan_makespan(const struct ech_plan *plan)
{
    double latest = 0;
    for (int i = 0; i < plan->ranks_count; i++)
        latest = plan->ranks[i].finish > latest ? plan->ranks[i].finish : latest;
    return latest;
}

double ech_plan_rank_chance(double finish, double seconds)
{
    if (!(seconds > 0) || !(finish > 0))
        return 1;
    return 0.5 * erfc((finish - seconds) / (ECH_PLAN_SPREAD * finish) / sqrt(2));
}

double ech_plan_chance(const struct ech_plan *plan, double seconds)
{
    return ech_plan_rank_chance(ech_plan_makespan(plan), seconds);
}

int ech_plan_check(const struct ech_plan *plan, struct ech_err *err)
{
    char a[32], b[32], c[32];
    if (!(ech_plan_chance(plan, plan->time_left) < ECH_PLAN_HOPELESS))
        return ECH_OK;
    return ech_fail(
        err, ECH_UNAVAILABLE,
        "the job is expected to take %s, resources.time leaves %s for rows (%s in all): ask for more time "
        "or more ranks, or begin all the same (--force) and resume",
        ech_print_time(ech_plan_makespan(plan), a, sizeof a), ech_print_time(plan->time_left, b, sizeof b),
        ech_print_time(plan->time_limit, c, sizeof c));
}

static void print_rank_json(const struct ech_plan *plan, const struct ech_plan_rank *r, struct ech_str *out)
{
    ech_json_add_int(out, "rank", r->rank);
    ech_json_add_int(out, "node", r->node);
    ech_json_add_str(out, "host", r->host);
    ech_json_add_float(out, "speed", r->speed);
    ech_json_add_str(out, "speed_from", r->speed_from ? r->speed_from : "unknown");
    ech_json_add_float(out, "share", r->share);
    ech_json_add_int(out, "rows", r->rows);
    ech_json_add_float(out, "tokens", r->tokens);
    ech_json_add_float(out, "finish_s", r->finish);
    ech_json_add_float(out, "chance", ech_plan_rank_chance(r->finish, plan->time_left));
    ech_json_add_int(out, "memory_bytes", r->memory);
    ech_json_add_bool(out, "rests", r->rests);
    ech_str_addc(out, '}');
}

static void print_notes_json(const struct ech_plan *plan, struct ech_str *out)
{
    ech_json_key(out, "notes");
    for (int i = 0; i < plan->notes_count; i++) {
        ech_str_addc(out, i ? ',' : '[');
        ech_json_put_str(out, plan->notes[i], strlen(plan->notes[i]));
    }
    ech_str_addc(out, ']');
}

void ech_plan_print_json(const struct ech_plan *plan, struct ech_str *out)
{
    if (plan->attempt > 0)
        ech_json_add_int(out, "attempt", plan->attempt);
    ech_json_add_str(out, "kind", plan->kind);
    ech_json_add_str(out, "backend", plan->backend);
    ech_json_add_str(out, "precision", plan->precision);
    ech_json_add_str(out, "numerics", plan->numerics);
    ech_json_add_str(out, "policy", plan->policy);
    ech_json_add_int(out, "rows", plan->rows);
    ech_json_add_int(out, "rows_done", plan->rows_done);
    ech_json_add_float(out, "tokens", plan->tokens);
    ech_json_add_float(out, "optimum_s", plan->optimum);
    ech_json_add_float(out, "makespan_s", ech_plan_makespan(plan));
    ech_json_add_float(out, "time_limit_s", plan->time_limit);
    ech_json_add_float(out, "time_left_s", plan->time_left);
    ech_json_add_float(out, "chance", ech_plan_chance(plan, plan->time_left));
    ech_json_add_int(out, "nodes", plan->nodes);
    ech_json_key(out, "ranks");
    ech_str_addc(out, '[');
    for (int i = 0; i < plan->ranks_count; i++) {
        if (i)
            ech_str_addc(out, ',');
        print_rank_json(plan, &plan->ranks[i], out);
    }
    ech_str_addc(out, ']');
    if (plan->workers) {
        ech_json_key(out, "workers");
        ech_workers_print_json(plan->workers, out);
    }
    if (plan->notes_count)
        print_notes_json(plan, out);
    ech_str_adds(out, "}\n");
}

static bool alike(const struct ech_plan_rank *a, const struct ech_plan_rank *b)
{
    return a->speed == b->speed && a->rests == b->rests && a->memory == b->memory &&
           llabs((long long)(a->rows - b->rows)) <= 1;
}

/* Ranks first..last: numbers and hosts of all of them, the rest of one. */
static void print_line(const struct ech_plan *plan, const struct ech_plan_rank *first,
                       const struct ech_plan_rank *last, struct ech_str *out)
{
    char ranks[32], nodes[32], hosts[160], a[32], b[32], c[32], d[32];
    const char *host = first->host ? first->host : "", *end = last->host ? last->host : "";
    snprintf(ranks, sizeof ranks, first == last ? "%d" : "%d-%d", first->rank, last->rank);
    snprintf(nodes, sizeof nodes, first->node == last->node ? "%d" : "%d-%d", first->node, last->node);
    snprintf(hosts, sizeof hosts, strcmp(host, end) == 0 ? "%.70s" : "%.70s..%.70s", host, end);
    ech_str_addf(out, "%11s  %7s  %-20s  %9.0f", ranks, nodes, hosts, first->speed);
    if (first->rests) {
        ech_str_adds(out, "  rests: no place in its node's memory\n");
        return;
    }
    ech_str_addf(out, "  %5.1f%%  %11s  %13s  %8s  %10s", 100 * first->share,
                 ech_print_count(first->rows, a, sizeof a),
                 ech_print_count((int64_t)(first->tokens + 0.5), b, sizeof b),
                 ech_print_time(first->finish, c, sizeof c), ech_print_bytes(first->memory, d, sizeof d));
    if (plan->time_limit > 0)
        ech_str_addf(out, "  %4.0f%%", 100 * (1 - ech_plan_rank_chance(first->finish, plan->time_left)));
    ech_str_addc(out, '\n');
}

static void print_table(const struct ech_plan *plan, struct ech_str *out)
{
    bool joins = plan->ranks_count > ECH_PLAN_LINES;
    ech_str_addf(
        out,
        "       rank     node  host                   tokens/s   share         rows         tokens    "
        "finish      memory%s\n",
        plan->time_limit > 0 ? "   late" : "");
    for (int i = 0, end; i < plan->ranks_count; i = end) {
        end = i + 1;
        while (joins && end < plan->ranks_count && alike(&plan->ranks[i], &plan->ranks[end]))
            end++;
        print_line(plan, &plan->ranks[i], &plan->ranks[end - 1], out);
    }
    if (joins)
        ech_str_adds(out, "ranks that get the same are one line, with the numbers of one rank\n");
}

void ech_plan_print(const struct ech_plan *plan, struct ech_str *out)
{
    char a[32], b[32], c[32];
    ech_str_addf(out, "%s of %s rows (%s done before), about %s tokens, backend %s, %s (%s), policy %s\n",
                 plan->kind, ech_print_count(plan->rows, a, sizeof a),
                 ech_print_count(plan->rows_done, b, sizeof b),
                 ech_print_count((int64_t)plan->tokens, c, sizeof c), plan->backend, plan->precision,
                 plan->numerics, plan->policy);
    print_table(plan, out);
    if (plan->workers)
        ech_workers_print(plan->workers, out);
    ech_str_addf(out, "expected %s", ech_print_time(ech_plan_makespan(plan), a, sizeof a));
    ech_str_addf(out, ", fluid optimum %s", ech_print_time(plan->optimum, a, sizeof a));
    if (plan->time_limit > 0)
        ech_str_addf(out, ", time limit %s (%s of it for rows): chance to end in time %.0f %%",
                     ech_print_time(plan->time_limit, b, sizeof b),
                     ech_print_time(plan->time_left, c, sizeof c),
                     100 * ech_plan_chance(plan, plan->time_left));
    ech_str_addc(out, '\n');
    for (int i = 0; i < plan->notes_count; i++)
        ech_str_addf(out, "note: %s\n", plan->notes[i]);
}
