#include "plan/shares.h"

#include "base/json.h"
#include "base/num.h"
#include "plan/workers.h"

#include <math.h>

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

double ech_plan_chance(const struct ech_plan *plan, double seconds)
{
    double expected = ech_plan_makespan(plan);
    if (!(seconds > 0) || !(expected > 0))
        return 1;
    return 0.5 * erfc((expected - seconds) / (ECH_PLAN_SPREAD * expected) / sqrt(2));
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

static void print_rank_json(const struct ech_plan_rank *r, struct ech_str *out)
{
    ech_json_add_int(out, "rank", r->rank);
    ech_json_add_int(out, "node", r->node);
    ech_json_add_str(out, "host", r->host);
    ech_json_add_float(out, "speed", r->speed);
    ech_json_add_float(out, "share", r->share);
    ech_json_add_int(out, "rows", r->rows);
    ech_json_add_float(out, "tokens", r->tokens);
    ech_json_add_float(out, "finish_s", r->finish);
    ech_json_add_int(out, "memory_bytes", r->memory);
    ech_json_add_bool(out, "rests", r->rests);
    ech_str_addc(out, '}');
}

void ech_plan_print_json(const struct ech_plan *plan, struct ech_str *out)
{
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
        print_rank_json(&plan->ranks[i], out);
    }
    ech_str_addc(out, ']');
    if (plan->workers) {
        ech_json_key(out, "workers");
        ech_workers_print_json(plan->workers, out);
    }
    ech_str_adds(out, "}\n");
}

void ech_plan_print(const struct ech_plan *plan, struct ech_str *out)
{
    char a[32], b[32], c[32];
    ech_str_addf(out, "%s of %s rows (%s done before), about %s tokens, backend %s, %s (%s), policy %s\n",
                 plan->kind, ech_print_count(plan->rows, a, sizeof a),
                 ech_print_count(plan->rows_done, b, sizeof b),
                 ech_print_count((int64_t)plan->tokens, c, sizeof c), plan->backend, plan->precision,
                 plan->numerics, plan->policy);
    ech_str_adds(out, "rank  node  host              tokens/s   share        rows    finish      memory\n");
    for (int i = 0; i < plan->ranks_count; i++) {
        const struct ech_plan_rank *r = &plan->ranks[i];
        ech_str_addf(out, "%4d  %4d  %-16.16s  %8.0f  %5.1f%%  %10s  %8s  %10s\n", r->rank, r->node,
                     r->host ? r->host : "", r->speed, 100 * r->share, ech_print_count(r->rows, a, sizeof a),
                     ech_print_time(r->finish, b, sizeof b), ech_print_bytes(r->memory, c, sizeof c));
    }
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
}
