/* Series: see series.h. */
#include "launcher/series.h"

#include <stdio.h>
#include <string.h>

/* Value of one rank at a time, linear between samples; before the first one `before`, after the last one the
 * last (`hold`) or 0. */
static double at_time(const struct ech_rank_view *r, double t, bool tokens, double from, bool hold)
{
    double x0 = from, y0 = 0;
    for (size_t i = 0; i < r->sample_count; i++) {
        const struct ech_sample *s = &r->samples[i];
        double y = tokens ? (double)s->tokens : (double)s->rss_bytes;
        if (s->t >= t) {
            if (!tokens && i == 0)
                return y;
            return s->t > x0 && t > x0 ? y0 + (y - y0) * (t - x0) / (s->t - x0) : y0;
        }
        x0 = s->t;
        y0 = y;
    }
    return hold ? y0 : 0;
}

/* Which of the series a rank belongs to. */
static int series_of(const struct ech_series *s, const struct ech_rank_view *r, size_t ranks, int nodes)
{
    if (ranks <= ECH_SVG_SERIES)
        return r->rank;
    return nodes <= ECH_SVG_SERIES && r->node < s->series ? r->node : 0;
}

static void name_series(const struct ech_run_view *view, int nodes, struct ech_series *s)
{
    if (view->rank_count <= ECH_SVG_SERIES) {
        s->series = (int)view->rank_count;
        for (int i = 0; i < s->series; i++)
            snprintf(s->names[i], sizeof s->names[i], "rank %d", i);
        return;
    }
    s->series = nodes <= ECH_SVG_SERIES && nodes > 1 ? nodes : 1;
    if (s->series == 1)
        snprintf(s->names[0], sizeof s->names[0], "all %zu ranks", view->rank_count);
    for (size_t i = 0; s->series > 1 && i < view->rank_count; i++)
        if (view->ranks[i].node >= 0 && view->ranks[i].node < s->series)
            snprintf(s->names[view->ranks[i].node], sizeof s->names[0], "%.60s", view->ranks[i].host);
}

/* Tokens arrive a batch at a time: a speed over less than this would be a saw. */
#define WINDOW_S 4.0

static double speed_at(const struct ech_rank_view *r, double t, double step, const struct ech_series *s)
{
    double half = (step > WINDOW_S ? step : WINDOW_S) / 2;
    double from = t - half > s->start ? t - half : s->start;
    double to = t + half < s->start + s->seconds ? t + half : s->start + s->seconds;
    double tokens = at_time(r, to, true, s->start, true) - at_time(r, from, true, s->start, true);
    return to > from && tokens > 0 ? tokens / (to - from) : 0;
}

static void add_rank(const struct ech_rank_view *r, int row, struct ech_series *s)
{
    double step = s->seconds / (s->points - 1);
    for (int i = 0; i < s->points; i++) {
        double t = s->start + step * i;
        bool gone = (r->dead || r->ended) && t > r->last_seen;
        s->tokens_s[row * s->points + i] += speed_at(r, t, step, s);
        s->bytes[row * s->points + i] += gone ? 0 : at_time(r, t, false, s->start, true);
    }
}

bool ech_series_make(const struct ech_run_view *view, struct ech_series *s)
{
    double end = 0;
    int nodes = 0;
    struct ech_view_sum sum;
    memset(s, 0, sizeof *s);
    ech_view_sum(view, &sum);
    for (size_t i = 0; i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        nodes = r->node >= nodes ? r->node + 1 : nodes;
        if (r->sample_count && r->samples[r->sample_count - 1].t > end)
            end = r->samples[r->sample_count - 1].t;
    }
    s->start = sum.first_lease;
    s->seconds = end - s->start;
    if (!(s->start > 0) || !(s->seconds >= 2))
        return false;
    s->points = s->seconds < ECH_SERIES_POINTS - 1 ? (int)s->seconds + 1 : ECH_SERIES_POINTS;
    name_series(view, nodes, s);
    for (size_t i = 0; i < view->rank_count; i++)
        add_rank(&view->ranks[i], series_of(s, &view->ranks[i], view->rank_count, nodes), s);
    return true;
}
