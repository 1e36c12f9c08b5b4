/* The report's figures as JSON: see report.h. */
#include "launcher/advice.h"
#include "launcher/report_parts.h"

#include <string.h>

/* {"a":1,...} without its brace at the end, closed and put into the array that `out` is in. */
static void add_item(struct ech_str *out, struct ech_str *item, bool *first)
{
    ech_str_addf(out, "%s%s}", *first ? "" : ",", item->failed || !item->data ? "{" : item->data);
    out->failed = out->failed || item->failed;
    ech_str_fini(item);
    *first = false;
}

/* [[begin_s, end_s, rows, leases, copy], ...] from the first lease of all. */
static void add_leases(struct ech_str *out, const struct ech_rank_view *r, const struct ech_view_sum *sum)
{
    ech_json_key(out, "spans");
    ech_str_addc(out, '[');
    for (size_t i = 0; i < r->span_count; i++) {
        const struct ech_span *s = &r->spans[i];
        ech_str_addf(out, "%s[%.3f,%.3f,%lld,%lld,%s]", i ? "," : "", s->begin - sum->first_lease,
                     s->end - sum->first_lease, (long long)s->rows, (long long)s->leases,
                     s->copy ? "true" : "false");
    }
    ech_str_addc(out, ']');
}

static void add_planned(struct ech_str *out, const struct ech_planned_rank *p)
{
    if (!p)
        return;
    struct ech_str one;
    ech_str_init(&one);
    ech_json_add_float(&one, "share", p->share);
    ech_json_add_int(&one, "rows", p->rows);
    ech_json_add_float(&one, "tokens", p->tokens);
    ech_json_add_float(&one, "speed", p->speed);
    ech_json_add_str(&one, "speed_from", p->from);
    ech_json_add_float(&one, "finish_s", p->finish_s);
    ech_json_add_int(&one, "memory_bytes", p->memory);
    ech_json_key(out, "planned");
    ech_str_addf(out, "%s}", one.failed || !one.data ? "{" : one.data);
    out->failed = out->failed || one.failed;
    ech_str_fini(&one);
}

static void add_ranks(struct ech_str *out, const struct ech_report *report, const struct ech_view_sum *sum)
{
    const struct ech_run_view *view = report->view;
    bool first = true;
    ech_json_key(out, "ranks");
    ech_str_addc(out, '[');
    for (size_t i = 0; i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        if (!r->seen)
            continue;
        struct ech_str one;
        ech_str_init(&one);
        ech_json_add_int(&one, "rank", r->rank);
        ech_json_add_str(&one, "host", r->host);
        ech_json_add_str(&one, "cpu", r->cpu);
        ech_json_add_str(&one, "backend", r->backend);
        ech_json_add_str(&one, "precision", r->precision);
        ech_json_add_str(&one, "numerics", r->numerics);
        ech_json_add_int(&one, "threads", r->threads);
        ech_json_add_float(&one, "probe_tokens_per_s", r->probe);
        ech_json_add_float(&one, "probe_few_tokens_per_s", r->probe_few);
        ech_json_add_float(&one, "probe_weights_bytes_per_s", r->probe_bytes);
        ech_json_add_bool(&one, "probe_cached", r->probe_cached);
        ech_json_add_int(&one, "rows", r->rows);
        ech_json_add_int(&one, "tokens", r->tokens);
        ech_json_add_int(&one, "errors", r->errors);
        ech_json_add_int(&one, "leases", r->leases);
        ech_json_add_float(&one, "busy_s", r->busy_s);
        ech_json_add_float(&one, "cpu_s", r->cpu_s);
        ech_json_add_float(&one, "speed", r->busy_s > 0 ? (double)r->tokens / r->busy_s : 0);
        ech_json_add_int(&one, "rss_peak_bytes", r->rss_peak);
        ech_json_add_float(&one, "finish_s", ech_report_finish(r, sum));
        add_planned(&one, ech_planned_of(report->planned, r->rank));
        add_leases(&one, r, sum);
        ech_json_add_bool(&one, "rests", r->rests);
        ech_json_add_bool(&one, "dead", r->dead);
        ech_json_add_str(&one, "text", r->reason);
        add_item(out, &one, &first);
    }
    ech_str_addc(out, ']');
}

static void add_attempts(struct ech_str *out, const struct ech_run_view *view)
{
    bool first = true;
    ech_json_key(out, "attempts");
    ech_str_addc(out, '[');
    for (size_t i = 0; i < view->attempt_count; i++) {
        const struct ech_attempt_view *a = &view->attempts[i];
        struct ech_str one;
        ech_str_init(&one);
        ech_json_add_int(&one, "attempt", a->attempt);
        ech_json_add_int(&one, "ranks", a->ranks);
        ech_json_add_str(&one, "started", a->started);
        ech_json_add_str(&one, "state", a->has_result ? a->result.state : "no result");
        if (a->has_result) {
            ech_json_add_int(&one, "code", a->result.code);
            ech_json_add_str(&one, "text", a->result.text);
            ech_json_add_float(&one, "seconds", a->result.seconds);
        }
        add_item(out, &one, &first);
    }
    ech_str_addc(out, ']');
}

static void add_notes(struct ech_str *out, const struct ech_run_view *view)
{
    bool first = true;
    ech_json_key(out, "notes");
    ech_str_addc(out, '[');
    for (size_t i = 0; i < view->note_count; i++) {
        struct ech_str one;
        ech_str_init(&one);
        ech_json_add_int(&one, "attempt", view->notes[i].attempt);
        ech_json_add_int(&one, "rank", view->notes[i].rank);
        ech_json_add_int(&one, "ranks", view->notes[i].ranks);
        ech_json_add_float(&one, "wall_s", view->notes[i].t);
        ech_json_add_str(&one, "text", view->notes[i].text);
        add_item(out, &one, &first);
    }
    ech_str_addc(out, ']');
}

static void add_advice(struct ech_str *out, const char *advice)
{
    const char *before = "";
    ech_json_key(out, "advice");
    ech_str_addc(out, '[');
    for (const char *line; advice && (line = ech_advice_next(&advice)) != NULL; before = ",") {
        ech_str_adds(out, before);
        ech_json_put_str(out, line, strcspn(line, "\n"));
    }
    ech_str_addc(out, ']');
}

int ech_report_json(const struct ech_report *report, struct ech_str *out, struct ech_err *err)
{
    const struct ech_run_view *view = report->view;
    struct ech_view_sum sum;
    ech_view_sum(view, &sum);
    double makespan = ech_report_makespan(&sum);
    ech_json_add_str(out, "run", report->run_dir);
    ech_json_add_str(out, "state", ech_run_state_name(report->state));
    ech_json_add_int(out, "attempt", view->attempt);
    ech_json_add_int(out, "rows", view->has_todo ? view->todo.rows : view->plan.rows);
    ech_json_add_int(out, "rows_done", view->has_todo ? view->todo.rows_done : view->plan.rows_done);
    ech_json_add_int(out, "tokens", sum.tokens);
    ech_json_add_int(out, "errors", sum.errors);
    ech_json_add_float(out, "makespan_s", makespan);
    ech_json_add_float(out, "fluid_s", sum.fluid_s);
    if (sum.fluid_lost_s > 0)
        ech_json_add_float(out, "fluid_with_losses_s", sum.fluid_lost_s);
    ech_json_add_float(out, "makespan_over_fluid", sum.fluid_s > 0 ? makespan / sum.fluid_s : 0);
    ech_json_add_float(out, "tokens_per_s", makespan > 0 ? (double)sum.tokens / makespan : 0);
    ech_json_add_int(out, "rss_peak_bytes", sum.rss_peak);
    ech_json_add_int(out, "seal_bytes", view->seal.bytes);
    ech_json_add_float(out, "seal_s", view->seal.seconds);
    if (report->planned && report->planned->known) {
        ech_json_add_float(out, "planned_makespan_s", report->planned->makespan_s);
        ech_json_add_float(out, "planned_fluid_s", report->planned->optimum_s);
    }
    add_advice(out, report->advice);
    add_ranks(out, report, &sum);
    add_attempts(out, view);
    add_notes(out, view);
    ech_str_adds(out, "}\n");
    return ech_str_check(out, err);
}
