/* The time line of leases by rank, as an inline drawing of bounded size: at most MOST_LINES ranks, and on
 * each what can be told apart at MERGE units of its width. */
#include "launcher/report_parts.h"

#include "launcher/svg.h"

#include "base/num.h"

#include <math.h>
#include <stdio.h>

enum { MOST_LINES = 48, MOST_LOST = 12 };
#define WIDTH 1060.0
#define LEFT  116.0
#define RIGHT 12.0
#define TOP   34.0
#define MERGE 2.5 /* narrower spans are drawn together */

struct line {
    const struct ech_run_view *view;
    struct ech_view_sum sum;
    double seconds, row; /* of the axis; height of a rank's row */
    size_t every;        /* each every-th rank is drawn */
    int drawn, merged;   /* merged: leases that are not drawn by themselves */
};

static double x_of(const struct line *l, double wall)
{
    double at = (wall - l->sum.first_lease) / l->seconds;
    return LEFT + (WIDTH - LEFT - RIGHT) * (at < 0 ? 0 : at > 1 ? 1 : at);
}

/* Lost ranks are drawn whatever their number is, the first few. */
static bool is_drawn(const struct line *l, size_t i, int *lost)
{
    const struct ech_rank_view *r = &l->view->ranks[i];
    if (!r->seen)
        return false;
    return i % l->every == 0 || (r->dead && ++*lost <= MOST_LOST);
}

static void prepare(struct line *l, const struct ech_run_view *view)
{
    int lost = 0;
    *l = (struct line){.view = view, .every = 1};
    ech_view_sum(view, &l->sum);
    l->seconds = ech_report_makespan(&l->sum);
    for (size_t i = 0; i < view->rank_count; i++) {
        double finish = ech_report_finish(&view->ranks[i], &l->sum);
        l->seconds = finish > l->seconds && finish < 10 * l->seconds + 1 ? finish : l->seconds;
    }
    l->every = view->rank_count > MOST_LINES ? (view->rank_count + MOST_LINES - 1) / MOST_LINES : 1;
    for (size_t i = 0; i < view->rank_count; i++)
        l->drawn += is_drawn(l, i, &lost);
    l->row = l->drawn <= 8 ? 26 : l->drawn <= 24 ? 18 : 12;
}

static void put_axis(const struct line *l, struct ech_str *out)
{
    double bottom = TOP + l->row * l->drawn + 4;
    double unit = l->seconds >= 3 * 3600 ? 3600 : l->seconds >= 180 ? 60 : 1;
    const char *name = unit > 60 ? "h" : unit > 1 ? "min" : "s";
    double step = ech_svg_step(l->seconds / unit, 10, false);
    for (double t = 0; step > 0 && t <= l->seconds / unit * 1.0001; t += step) {
        double x = x_of(l, l->sum.first_lease + t * unit);
        bool last = t + step > l->seconds / unit * 1.0001;
        ech_str_addf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x,
                     TOP - 4, x, bottom);
        ech_str_addf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%g%s%s</text>\n", x,
                     bottom + 15, t > 0 ? last && x > WIDTH - 40 ? "end" : "middle" : "start", t,
                     last ? " " : "", last ? name : "");
    }
}

/* A dashed line over all ranks, its name above it. */
static void put_mark(const struct line *l, double seconds, double y, const char *name, const char *kind,
                     struct ech_str *out)
{
    char text[32];
    if (!(seconds > 0) || seconds > l->seconds * 1.0001)
        return;
    double x = x_of(l, l->sum.first_lease + seconds);
    ech_str_addf(out, "<line class=\"mark %s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", kind, x,
                 y + 3, x, TOP + l->row * l->drawn + 4);
    ech_str_addf(out, "<text class=\"tick marked\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s %s</text>\n",
                 x > WIDTH / 2 ? x - 3 : x + 3, y + 8, x > WIDTH / 2 ? "end" : "start", name,
                 ech_print_time(seconds, text, sizeof text));
}

/* One subpath a span: "M x y h w v h h -w z"; neighbours that cannot be told apart are one. */
static void put_spans(struct line *l, const struct ech_rank_view *r, double y, bool copies,
                      struct ech_str *out)
{
    double from = 0, to = -1, height = l->row - 6;
    bool any = false;
    int leases = 0;
    for (size_t i = 0; i <= r->span_count; i++) {
        bool end = i == r->span_count;
        if (!end && r->spans[i].copy != copies)
            continue;
        double x0 = end ? 0 : x_of(l, r->spans[i].begin), x1 = end ? 0 : x_of(l, r->spans[i].end);
        if (!end && to >= from && x0 - to < 1 && (to - from < MERGE || x1 - x0 < MERGE / 2)) {
            to = x1;
            leases += (int)r->spans[i].leases;
            continue;
        }
        if (to >= from) {
            if (!any)
                ech_str_addf(out, "<path class=\"lease %s\" d=\"", copies ? "s2" : "s0");
            any = true;
            ech_str_addf(out, "M%.1f %.1fh%.1fv%.0fh-%.1fz", from, y, fmax(to - from, 0.6), height,
                         fmax(to - from, 0.6));
            l->merged += leases > 1 ? leases : 0;
        }
        from = x0;
        to = x1;
        leases = end ? 0 : (int)r->spans[i].leases;
    }
    if (any)
        ech_str_adds(out, "\"/>");
}

static void put_label(const struct line *l, const struct ech_rank_view *r, double y, struct ech_str *out)
{
    char host[20];
    snprintf(host, sizeof host, l->row >= 18 ? "%.10s" : "", r->host);
    ech_str_addf(out, "<text class=\"tick%s%s\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">",
                 r->dead ? " bad" : "", l->row < 18 ? " small" : "", LEFT - 8, y + (l->row - 6) / 2 + 4);
    if (host[0]) {
        ech_html_put(out, host);
        ech_str_adds(out, " &#183; ");
    }
    ech_str_addf(out, "%d</text>", r->rank);
}

/* What is to be said of a row that is not full. */
static void put_word(double x, double y, double row, const char *kind, const char *word, struct ech_str *out)
{
    bool right = x > WIDTH - 90;
    ech_str_addf(out, "<text class=\"tick %s%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", kind,
                 row < 18 ? " small" : "", right ? x - 6 : x + 6, y + (row - 6) / 2 + 4,
                 right ? "end" : "start", word);
}

static void put_rank(struct line *l, const struct ech_rank_view *r, double y, struct ech_str *out)
{
    char rows[32], done[32];
    double finish = ech_report_finish(r, &l->sum);
    ech_str_addf(out, "<g><title>rank %d on ", r->rank);
    ech_html_put(out, r->host);
    ech_str_addf(out, ": %lld leases, %s rows, done at %s</title>", (long long)r->leases,
                 ech_print_count(r->rows, rows, sizeof rows), ech_print_time(finish, done, sizeof done));
    ech_str_addf(out, "<rect class=\"row\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\"/>", LEFT, y,
                 WIDTH - LEFT - RIGHT, l->row - 6);
    put_spans(l, r, y, false, out);
    put_spans(l, r, y, true, out);
    put_label(l, r, y, out);
    if (r->dead) {
        double x = x_of(l, r->last_seen);
        ech_str_addf(out, "<line class=\"lost\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, y - 2,
                     x, y + l->row - 4);
        put_word(x, y, l->row, "bad", "lost", out);
    } else if (r->rests) {
        put_word(LEFT, y, l->row, "", "rests: no place in its node's memory", out);
    } else if (!r->span_count) {
        put_word(LEFT, y, l->row, "", "no lease", out);
    }
    ech_str_adds(out, "</g>\n");
}

static void put_drawing(struct line *l, const struct ech_report *report, struct ech_str *out)
{
    double y = TOP;
    int lost = 0;
    ech_str_addf(
        out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"Leases of each rank over time\">\n",
        WIDTH, TOP + l->row * l->drawn + 24);
    put_axis(l, out);
    for (size_t i = 0; i < l->view->rank_count; i++)
        if (is_drawn(l, i, &lost)) {
            put_rank(l, &l->view->ranks[i], y, out);
            y += l->row;
        }
    put_mark(l, report->planned ? report->planned->makespan_s : 0, 2, "planned", "m1", out);
    put_mark(l, l->sum.fluid_s, 15, "fluid optimum", "m2", out);
    ech_str_adds(out, "</svg>\n");
}

static void put_note(const struct line *l, bool copies, struct ech_str *out)
{
    ech_str_adds(out,
                 "<p class=\"legend\"><span><i class=\"b0\"></i>leases, computed one after the other</span>");
    if (copies)
        ech_str_adds(out, " <span><i class=\"b2\"></i>rows of a slower rank, computed as well</span>");
    ech_str_adds(out,
                 "</p>\n<p class=\"note\">Gaps are idle time. Time runs from the first lease of the newest "
                 "attempt.");
    if (l->merged)
        ech_str_addf(out, " Thinned: leases shorter than about %.2g s are drawn together.",
                     l->seconds * MERGE / (WIDTH - LEFT - RIGHT));
    if (l->every > 1)
        ech_str_addf(out, " Thinned: %d of %lld ranks are drawn, one of every %zu and those that were lost.",
                     l->drawn, (long long)l->sum.ranks, l->every);
    ech_str_adds(out, "</p></section>\n");
}

void ech_report_put_leases(const struct ech_report *report, struct ech_str *out)
{
    struct line l;
    bool any = false, copies = false;
    prepare(&l, report->view);
    for (size_t i = 0; i < report->view->rank_count; i++)
        for (size_t s = 0; s < report->view->ranks[i].span_count; s++) {
            any = true;
            copies = copies || report->view->ranks[i].spans[s].copy;
        }
    ech_str_adds(out, "<section><h2>Leases</h2>\n");
    if (!any || !(l.seconds > 0)) {
        ech_str_adds(out, "<p class=\"note\">No lease has been told of.</p></section>\n");
        return;
    }
    put_drawing(&l, report, out);
    put_note(&l, copies, out);
}
