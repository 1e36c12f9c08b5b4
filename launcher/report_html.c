/* The report's page: see report.h. Sections in the order a reader asks: did it work, how fast, was the work
 * well shared, what went wrong, with which settings. */
#include "launcher/advice.h"
#include "launcher/report_parts.h"
#include "launcher/report_style.h"
#include "launcher/series.h"
#include "launcher/svg.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_head(const struct ech_report *report, struct ech_str *out)
{
    ech_str_adds(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    ech_html_put(out, report->view->run);
    ech_str_adds(out, "</title>\n<style>\n");
    ech_str_adds(out, ech_report_style);
    ech_str_adds(out, "</style></head>\n<body>\n<header><h1>");
    ech_html_put(out, report->view->run);
    ech_str_addf(out, "</h1><span class=\"state %s\">%s</span>", ech_run_state_name(report->state),
                 ech_run_state_name(report->state));
}

static const struct ech_attempt_view *newest_result(const struct ech_run_view *view)
{
    for (size_t i = view->attempt_count; i-- > 0;)
        if (view->attempts[i].has_result)
            return &view->attempts[i];
    return NULL;
}

static void put_subtitle(const struct ech_report *report, struct ech_str *out)
{
    const struct ech_attempt_view *last = newest_result(report->view);
    ech_str_adds(out, "<p class=\"path\">");
    ech_html_put(out, report->run_dir);
    ech_str_adds(out, "</p></header>\n");
    if (report->state == ECH_RUN_SEALED && last) {
        ech_str_adds(out, "<p>Output: <code>");
        ech_html_put(out, last->result.dataset);
        ech_str_adds(out, "</code></p>\n");
    } else if (last && last->result.text[0]) {
        ech_str_adds(out, "<p class=\"reason\">");
        ech_html_put(out, last->result.text);
        ech_str_adds(out, "</p>\n");
    }
    if (report->state == ECH_RUN_DIED || report->state == ECH_RUN_STOPPED ||
        report->state == ECH_RUN_FAILED) {
        ech_str_adds(out, "<p>Go on with <code>echelon resume ");
        ech_html_put(out, report->run_dir);
        ech_str_adds(out, "</code></p>\n");
    }
}

/* ---- numbers ---- */

static void put_tile(struct ech_str *out, const char *name, const char *value, const char *note)
{
    ech_str_addf(out, "<div class=\"tile\"><span>%s</span><b>", name);
    ech_html_put(out, value);
    ech_str_adds(out, "</b><small>");
    ech_html_put(out, note);
    ech_str_adds(out, "</small></div>\n");
}

static void put_tiles(const struct ech_report *report, struct ech_str *out)
{
    const struct ech_run_view *view = report->view;
    struct ech_view_sum sum;
    char a[64], b[64], value[64], note[160];
    ech_view_sum(view, &sum);
    int64_t rows = view->has_todo ? view->todo.rows : view->plan.rows;
    int64_t done = report->state == ECH_RUN_SEALED ? rows : view->has_todo ? view->todo.rows_done : 0;
    double seconds = ech_report_makespan(&sum);
    ech_str_adds(out, "<section class=\"tiles\">\n");
    snprintf(note, sizeof note, "of %s, %.1f %%", ech_print_count(rows, a, sizeof a),
             rows > 0 ? 100.0 * (double)done / (double)rows : 100.0);
    put_tile(out, "Rows done", ech_print_count(done, b, sizeof b), note);
    snprintf(note, sizeof note, "in attempt %d", view->attempt);
    put_tile(out, "Tokens", ech_print_count(sum.tokens, a, sizeof a), note);
    snprintf(note, sizeof note, "first lease to last row%s",
             view->sealed                       ? ""
             : report->state == ECH_RUN_RUNNING ? ", so far"
                                                : "");
    put_tile(out, "Computing", ech_print_time(seconds, a, sizeof a), note);
    snprintf(note, sizeof note, "%lld rank%s on %lld node%s", (long long)sum.ranks, sum.ranks == 1 ? "" : "s",
             (long long)ech_max64(view->plan.nodes, 1), view->plan.nodes > 1 ? "s" : "");
    snprintf(value, sizeof value, "%s",
             ech_print_count(seconds > 0 ? (int64_t)((double)sum.tokens / seconds) : 0, a, sizeof a));
    put_tile(out, "Tokens/s", value, note);
    put_tile(out, "Bad rows", ech_print_count(sum.errors, a, sizeof a), "in the errors column");
    put_tile(out, "Peak memory", ech_print_bytes(sum.rss_peak, a, sizeof a), "sum of the ranks' peaks");
    if (view->sealed) {
        snprintf(note, sizeof note, "%s, %lld shard%s", ech_print_bytes(view->seal.bytes, b, sizeof b),
                 (long long)view->seal.shards, view->seal.shards == 1 ? "" : "s");
        put_tile(out, "Seal", ech_print_time(view->seal.seconds, a, sizeof a), note);
    }
    ech_str_adds(out, "</section>\n");
}

/* ---- over time ---- */

static void put_plots(const struct ech_run_view *view, struct ech_str *out)
{
    struct ech_series s;
    const char *names[ECH_SVG_SERIES];
    ech_str_adds(out, "<section><h2>Over time</h2>\n");
    if (!ech_series_make(view, &s)) {
        ech_str_adds(
            out, "<p class=\"note\">Too short to draw: less than two seconds of progress.</p></section>\n");
        return;
    }
    for (int i = 0; i < s.series; i++)
        names[i] = s.names[i];
    struct ech_plot plot = {.label = "Tokens per second over time",
                            .seconds = s.seconds,
                            .series = s.series,
                            .points = s.points,
                            .names = names,
                            .values = s.tokens_s};
    ech_str_adds(out, "<div class=\"plots\"><figure><figcaption>Throughput, tokens/s</figcaption>\n");
    ech_svg_stacked(&plot, out);
    plot.label = "Resident memory over time";
    plot.values = s.bytes;
    plot.bytes = true;
    ech_str_adds(out, "</figure><figure><figcaption>Resident memory</figcaption>\n");
    ech_svg_stacked(&plot, out);
    ech_str_adds(
        out, "</figure></div>\n<p class=\"note\">Stacked: the height is the sum. Time runs from the first "
             "lease of the newest attempt.</p></section>\n");
}

/* ---- what happened ---- */

static void put_attempts(const struct ech_run_view *view, struct ech_str *out)
{
    char seconds[32];
    ech_str_adds(out,
                 "<section><h2>Attempts</h2>\n<div class=\"scroll\"><table><thead><tr><th>attempt</th>"
                 "<th class=\"text\">started</th><th>ranks</th><th>time</th><th class=\"text\">end</th></tr>"
                 "</thead><tbody>\n");
    for (size_t i = 0; i < view->attempt_count; i++) {
        const struct ech_attempt_view *a = &view->attempts[i];
        ech_str_addf(out, "<tr><th>%d</th><td class=\"text\">", a->attempt);
        ech_html_put(out, a->started);
        ech_str_addf(out, "</td><td>%lld</td><td>%s</td><td class=\"text wide\">", (long long)a->ranks,
                     a->has_result ? ech_print_time(a->result.seconds, seconds, sizeof seconds) : "&ndash;");
        ech_html_put(out, a->has_result ? a->result.state : "no result");
        if (a->has_result && a->result.text[0]) {
            ech_str_adds(out, ": ");
            ech_html_put(out, a->result.text);
        }
        ech_str_adds(out, "</td></tr>\n");
    }
    ech_str_adds(out, "</tbody></table></div></section>\n");
}

static void put_notes(const struct ech_run_view *view, struct ech_str *out)
{
    if (!view->note_count)
        return;
    ech_str_adds(out, "<section><h2>Events</h2>\n<ul class=\"events\">\n");
    for (size_t i = 0; i < view->note_count; i++) {
        const struct ech_note *n = &view->notes[i];
        char when[32];
        if (n->attempt == view->attempt && view->first > 0)
            snprintf(when, sizeof when, "+%.1f s", n->t > view->first ? n->t - view->first : 0.0);
        else
            snprintf(when, sizeof when, "attempt %d", n->attempt);
        ech_str_addf(out, "<li%s><time>%s</time><span>", n->bad ? " class=\"bad\"" : "", when);
        if (n->ranks > 1)
            ech_str_addf(out, "%d ranks ", n->ranks);
        else
            ech_str_addf(out, "rank %d ", n->rank);
        ech_html_put(out, n->text);
        ech_str_adds(out, "</span></li>\n");
    }
    if (view->notes_dropped)
        ech_str_addf(out, "<li><time></time><span>and %zu more</span></li>\n", view->notes_dropped);
    ech_str_adds(out, "</ul></section>\n");
}

static void put_advice(const char *advice, struct ech_str *out)
{
    if (!advice || !*advice)
        return;
    ech_str_adds(out, "<section><h2>Next time</h2>\n<ul class=\"advice\">\n");
    for (const char *line; (line = ech_advice_next(&advice)) != NULL;) {
        ech_str_adds(out, "<li>");
        for (char part[256]; *line && *line != '\n'; line += strlen(part)) {
            snprintf(part, sizeof part, "%.*s", (int)ech_min64((int64_t)strcspn(line, "\n"), 200), line);
            ech_html_put(out, part);
        }
        ech_str_adds(out, "</li>\n");
    }
    ech_str_adds(out, "</ul></section>\n");
}

/* ---- configuration and versions ---- */

static void put_value(struct ech_str *out, const json_t *value)
{
    if (!value || json_is_null(value) || (json_is_array(value) && !json_array_size(value))) {
        ech_str_adds(out, "&ndash;");
        return;
    }
    if (json_is_string(value)) {
        ech_html_put(out, json_string_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text)
        ech_html_put(out, text);
    free(text);
}

static void put_config(const struct ech_report *report, struct ech_str *out)
{
    size_t i, given = 0;
    json_t *entry;
    json_array_foreach(report->config, i, entry)
    {
        const char *origin = json_string_value(json_object_get(entry, "origin"));
        given += origin && strcmp(origin, "default") != 0;
    }
    ech_str_adds(out, "<section><h2>Configuration</h2>\n");
    if (!json_array_size(report->config)) {
        ech_str_adds(out, "<p class=\"note\">job.yaml could not be read.</p></section>\n");
        return;
    }
    ech_str_addf(out,
                 "<details open><summary>%zu values, %zu of them given</summary><div class=\"scroll\"><table>"
                 "<thead><tr><th class=\"text\">key</th><th class=\"text\">value</th>"
                 "<th class=\"text\">origin</th></tr></thead><tbody>\n",
                 json_array_size(report->config), given);
    json_array_foreach(report->config, i, entry)
    {
        const char *key = json_string_value(json_object_get(entry, "key"));
        const char *origin = json_string_value(json_object_get(entry, "origin"));
        ech_str_addf(out, "<tr%s><th class=\"text\">",
                     origin && strcmp(origin, "default") == 0 ? " class=\"default\"" : "");
        ech_html_put(out, key ? key : "");
        ech_str_adds(out, "</th><td class=\"text wide\">");
        put_value(out, json_object_get(entry, "value"));
        ech_str_adds(out, "</td><td class=\"text\">");
        ech_html_put(out, origin ? origin : "");
        ech_str_adds(out, "</td></tr>\n");
    }
    ech_str_adds(out, "</tbody></table></div></details></section>\n");
}

/* Ranks that say the same of themselves are one line. */
static bool same_machine(const struct ech_rank_view *a, const struct ech_rank_view *b)
{
    return strcmp(a->version, b->version) == 0 && strcmp(a->backend, b->backend) == 0 &&
           strcmp(a->numerics, b->numerics) == 0 && strcmp(a->precision, b->precision) == 0 &&
           strcmp(a->cpu, b->cpu) == 0 && a->threads == b->threads;
}

static void put_versions(const struct ech_report *report, struct ech_str *out)
{
    enum { MOST = 32 }; /* kinds of rank */
    const struct ech_run_view *view = report->view;
    size_t kinds[MOST], count = 0;
    int64_t ranks[MOST];
    for (size_t i = 0; i < view->rank_count; i++) {
        size_t k = 0;
        if (!view->ranks[i].version[0])
            continue;
        while (k < count && !same_machine(&view->ranks[kinds[k]], &view->ranks[i]))
            k++;
        if (k == MOST)
            continue;
        if (k == count) {
            kinds[count] = i;
            ranks[count++] = 0;
        }
        ranks[k]++;
    }
    ech_str_adds(out, "<section><h2>Versions</h2>\n<p>echelon ");
    ech_html_put(out, report->version);
    ech_str_adds(out, "</p>\n");
    if (count)
        ech_str_adds(out,
                     "<div class=\"scroll\"><table><thead><tr><th>ranks</th><th class=\"text\">version</th>"
                     "<th class=\"text\">backend</th><th class=\"text\">precision</th><th "
                     "class=\"text\">numerics</th><th>threads</th>"
                     "<th class=\"text\">processor</th></tr></thead><tbody>\n");
    for (size_t k = 0; k < count; k++) {
        const struct ech_rank_view *r = &view->ranks[kinds[k]];
        const char *const texts[] = {r->version, r->backend, r->precision, r->numerics};
        ech_str_addf(out, "<tr><th>%lld</th>", (long long)ranks[k]);
        for (size_t i = 0; i < 4; i++) {
            ech_str_adds(out, "<td class=\"text\">");
            ech_html_put(out, texts[i]);
            ech_str_adds(out, "</td>");
        }
        ech_str_addf(out, "<td>%lld</td><td class=\"text\">", (long long)r->threads);
        ech_html_put(out, r->cpu);
        ech_str_adds(out, "</td></tr>\n");
    }
    ech_str_adds(out, count ? "</tbody></table></div></section>\n" : "</section>\n");
}

int ech_report_html(const struct ech_report *report, struct ech_str *out, struct ech_err *err)
{
    put_head(report, out);
    put_subtitle(report, out);
    put_tiles(report, out);
    ech_report_put_ranks(report, out);
    ech_report_put_leases(report, out);
    put_plots(report->view, out);
    put_notes(report->view, out);
    put_attempts(report->view, out);
    put_advice(report->advice, out);
    put_config(report, out);
    put_versions(report, out);
    ech_str_adds(out, "</body></html>\n");
    return ech_str_check(out, err);
}
