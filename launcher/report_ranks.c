/* The report's table of ranks: what the plan expected beside what was, and the fluid optimum. */
#include "launcher/report_parts.h"

#include "launcher/svg.h"

#include "base/num.h"

#include <math.h>
#include <stdio.h>

enum { RANK_ROWS = 256 }; /* of the table; --json has all */

double ech_report_makespan(const struct ech_view_sum *sum)
{
    return sum->run_end > sum->first_lease && sum->first_lease > 0 ? sum->run_end - sum->first_lease : 0;
}

double ech_report_finish(const struct ech_rank_view *r, const struct ech_view_sum *sum)
{
    return r->computed > sum->first_lease && sum->first_lease > 0 ? r->computed - sum->first_lease : 0;
}

static void put_bar(struct ech_str *out, const char *name, double seconds, double most, int colour)
{
    char text[32];
    ech_str_addf(
        out,
        "<div class=\"fluid\"><span>%s</span><div class=\"track\"><i class=\"b%d\" style=\"width:%.1f%%\">"
        "</i></div><b>%s</b></div>\n",
        name, colour, most > 0 ? 100 * seconds / most : 0, ech_print_time(seconds, text, sizeof text));
}

static void put_fluid(const struct ech_report *report, const struct ech_view_sum *sum, struct ech_str *out)
{
    double real = ech_report_makespan(sum), planned = report->planned ? report->planned->makespan_s : 0;
    double best = sum->fluid_lost_s > 0 ? sum->fluid_lost_s : sum->fluid_s,
           most = fmax(fmax(real, best), planned);
    if (!(real > 0) || !(sum->fluid_s > 0))
        return;
    if (planned > 0)
        put_bar(out, "planned", planned, most, 1);
    put_bar(out, "makespan", real, most, 0);
    put_bar(out, "fluid optimum", sum->fluid_s, most, 2);
    if (sum->fluid_lost_s > 0)
        put_bar(out, "with the losses", sum->fluid_lost_s, most, 7);
    ech_str_addf(
        out,
        "<p class=\"note\">The fluid optimum is all tokens over the sum of the ranks' measured speeds, "
        "W / &Sigma;s: what perfect sharing would take. Makespan over optimum: <b>%.3f</b>",
        real / sum->fluid_s);
    if (sum->fluid_lost_s > 0)
        ech_str_addf(out, "; where the lost ranks count until they were lost: <b>%.3f</b>",
                     real / sum->fluid_lost_s);
    ech_str_adds(out, ".</p>\n");
}

/* ---- the table ---- */

struct scale {
    double probes, tokens, seconds, most; /* sums; most: the largest share of all */
    const struct ech_view_sum *sum;
    const struct ech_planned *planned;
};

/* By the plan, else by the probe alone; < 0: not known. */
static double planned_share(const struct ech_rank_view *r, const struct scale *s)
{
    const struct ech_planned_rank *p = ech_planned_of(s->planned, r->rank);
    return p ? p->share : s->probes > 0 ? r->probe / s->probes : -1;
}

static double actual_share(const struct ech_rank_view *r, const struct scale *s)
{
    return s->tokens > 0 ? (double)r->tokens / s->tokens : 0;
}

static struct scale find_scale(const struct ech_report *report, const struct ech_view_sum *sum)
{
    const struct ech_run_view *view = report->view;
    struct scale s = {.seconds = ech_report_makespan(sum), .sum = sum, .planned = report->planned};
    for (size_t i = 0; i < view->rank_count; i++) {
        s.probes += view->ranks[i].probe;
        s.tokens += (double)view->ranks[i].tokens;
    }
    for (size_t i = 0; i < view->rank_count; i++) {
        double planned = planned_share(&view->ranks[i], &s), actual = actual_share(&view->ranks[i], &s);
        s.most = planned > s.most ? planned : s.most;
        s.most = actual > s.most ? actual : s.most;
    }
    return s;
}

/* Two thin bars, planned above actual, of one scale. */
static void put_shares(struct ech_str *out, double planned, double actual, double most)
{
    ech_str_adds(out, "<td class=\"bars\" title=\"");
    if (planned >= 0)
        ech_str_addf(out, "planned %.1f %%, ", 100 * planned);
    ech_str_addf(out, "actual %.1f %%\"><i class=\"b1\" style=\"width:%.1f%%\"></i>", 100 * actual,
                 most > 0 && planned > 0 ? 100 * planned / most : 0);
    ech_str_addf(out, "<i class=\"b0\" style=\"width:%.1f%%\"></i></td>", most > 0 ? 100 * actual / most : 0);
}

static void put_pair(struct ech_str *out, bool known, const char *planned, const char *actual)
{
    ech_str_addf(out, "<td class=\"plan\">%s</td><td>%s</td>", known ? planned : "&ndash;",
                 actual[0] ? actual : "&ndash;");
}

static const char *print_finish(double seconds, char *out, size_t bytes)
{
    if (seconds > 0)
        return ech_print_time(seconds, out, bytes);
    out[0] = 0;
    return out;
}

static void put_numbers(const struct ech_rank_view *r, const struct scale *s, struct ech_str *out)
{
    char a[32], b[32];
    const struct ech_planned_rank *p = ech_planned_of(s->planned, r->rank);
    put_pair(out, p, p ? ech_print_count(p->rows, a, sizeof a) : "", ech_print_count(r->rows, b, sizeof b));
    put_pair(out, p, p ? ech_print_count((int64_t)(p->tokens + 0.5), a, sizeof a) : "",
             ech_print_count(r->tokens, b, sizeof b));
    put_pair(out, r->probe > 0, ech_print_count((int64_t)r->probe, a, sizeof a),
             ech_print_count(r->busy_s > 0 ? (int64_t)((double)r->tokens / r->busy_s) : 0, b, sizeof b));
    put_pair(out, p && p->finish_s > 0, p ? ech_print_time(p->finish_s, a, sizeof a) : "",
             print_finish(ech_report_finish(r, s->sum), b, sizeof b));
}

static void put_rank(const struct ech_rank_view *r, const struct scale *s, struct ech_str *out)
{
    char a[32], b[32];
    const struct ech_planned_rank *p = ech_planned_of(s->planned, r->rank);
    ech_str_addf(out, "<tr><th>%d%s</th><td class=\"text\">", r->rank,
                 r->dead    ? " <em>lost</em>"
                 : r->rests ? " <small>rests</small>"
                            : "");
    ech_html_put(out, r->host);
    ech_str_adds(out, "</td>");
    put_shares(out, planned_share(r, s), actual_share(r, s), s->most);
    put_numbers(r, s, out);
    if (s->seconds > 0)
        ech_str_addf(out, "<td>%.1f %%</td>", 100 * r->busy_s / s->seconds);
    else
        ech_str_adds(out, "<td>&ndash;</td>");
    put_pair(out, p && p->memory > 0, p ? ech_print_bytes(p->memory, a, sizeof a) : "",
             r->rss_peak > 0 ? ech_print_bytes(r->rss_peak, b, sizeof b) : "");
    ech_str_adds(out, "</tr>\n");
}

static void put_heads(struct ech_str *out)
{
    static const char *const pairs[] = {"rows", "tokens",
                                        "<span title=\"planned: by the probe at the start; actual: while "
                                        "computing\">tokens/s</span>",
                                        "<span title=\"from the first lease of all\">done at</span>"};
    ech_str_adds(out,
                 "<div class=\"scroll\"><table class=\"pairs\"><thead><tr><th rowspan=\"2\">rank</th>"
                 "<th rowspan=\"2\" class=\"text\">host</th><th rowspan=\"2\" class=\"text\">share</th>");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        ech_str_addf(out, "<th colspan=\"2\">%s</th>", pairs[i]);
    ech_str_adds(out, "<th rowspan=\"2\" title=\"computing time over the makespan\">busy</th>"
                      "<th colspan=\"2\" title=\"planned: workspace and part of the weights; peak: the whole "
                      "process\">memory</th></tr><tr>");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        ech_str_adds(out, "<th>plan</th><th>actual</th>");
    ech_str_adds(out, "<th>plan</th><th>peak</th></tr></thead><tbody>\n");
}

void ech_report_put_ranks(const struct ech_report *report, struct ech_str *out)
{
    const struct ech_run_view *view = report->view;
    struct ech_view_sum sum;
    ech_view_sum(view, &sum);
    ech_str_adds(out, "<section><h2>Plan against actual</h2>\n");
    if (sum.ranks == 0) {
        ech_str_adds(out, "<p class=\"note\">No rank has reported.</p></section>\n");
        return;
    }
    struct scale scale = find_scale(report, &sum);
    put_fluid(report, &sum, out);
    ech_str_adds(out, "<p class=\"legend\"><span><i class=\"b1\"></i>planned share of the tokens</span> "
                      "<span><i class=\"b0\"></i>actual share</span></p>\n");
    put_heads(out);
    size_t shown = 0;
    for (size_t i = 0; i < view->rank_count && shown < RANK_ROWS; i++)
        if (view->ranks[i].seen) {
            put_rank(&view->ranks[i], &scale, out);
            shown++;
        }
    ech_str_adds(out, "</tbody></table></div>\n");
    if ((int64_t)shown < sum.ranks)
        ech_str_addf(out, "<p class=\"note\">%lld more ranks: echelon report --json.</p>\n",
                     (long long)sum.ranks - (long long)shown);
    ech_str_adds(out, "</section>\n");
}
