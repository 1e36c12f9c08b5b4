/* Progress: see progress.h. */
#include "launcher/progress.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SILENT_S  2.0
#define REDRAW_S  0.5
#define LINE_S    30.0
#define BAR_CELLS 24

/* The phase the ranks are in: the earliest of the living ones. */
static const char *phase(const struct ech_run_view *view)
{
    static const struct {
        const char *name, *text;
    } phases[] = {{"", "starting"},
                  {"open", "opening model and data"},
                  {"stage", "copying the model to the nodes"},
                  {"memory", "packing weights"},
                  {"plan", "counting tokens"},
                  {"probe", "measuring speeds"},
                  {"run", "running"},
                  {"verify", "checking spools"},
                  {"seal", "sealing"}};
    enum { COUNT = sizeof phases / sizeof phases[0] };
    int least = COUNT;
    for (size_t i = 0; i < view->rank_count; i++)
        for (int p = 0; p < least && view->ranks[i].seen && !view->ranks[i].dead; p++)
            if (strcmp(phases[p].name, view->ranks[i].phase) == 0)
                least = p;
    return phases[least < COUNT ? least : 0].text;
}

void ech_progress_line(const struct ech_run_view *view, struct ech_str *out)
{
    char done[32], rows[32], speed[32], tokens[32], left[32];
    if (!view->has_todo) {
        ech_str_adds(out, phase(view));
        return;
    }
    double share = view->todo.rows > 0 ? 100.0 * (double)view->todo.rows_done / (double)view->todo.rows : 100;
    ech_str_addf(out, "%.1f %%  %s / %s rows", share,
                 ech_print_count(view->todo.rows_done, done, sizeof done),
                 ech_print_count(view->todo.rows, rows, sizeof rows));
    if (view->todo.rows_done >= view->todo.rows) {
        ech_str_addf(out, "  %s", view->sealed ? "sealed" : phase(view));
        return;
    }
    ech_str_addf(out, "  %s rows/s  %s tokens/s",
                 ech_print_count((int64_t)(view->pace.rows_s + 0.5), speed, sizeof speed),
                 ech_print_count((int64_t)(view->pace.tokens_s + 0.5), tokens, sizeof tokens));
    if (view->todo.left_s > 0)
        ech_str_addf(out, "  %s left", ech_print_time(view->todo.left_s, left, sizeof left));
}

/* Cut the line that begins at `start` to `width` columns (bytes: the texts are ASCII but for host names). */
static void end_line(struct ech_str *out, size_t start, int width, int *lines)
{
    if (!out->failed && width > 0 && out->length - start > (size_t)width) {
        out->length = start + (size_t)width;
        out->data[out->length] = '\0';
    }
    ech_str_addc(out, '\n');
    ++*lines;
}

static void add_bar(struct ech_str *out, double share)
{
    int full = (int)(share * BAR_CELLS + 0.5);
    ech_str_addc(out, '[');
    for (int i = 0; i < BAR_CELLS; i++)
        ech_str_addc(out, i < full ? '#' : '.');
    ech_str_adds(out, "] ");
}

static void add_rank(struct ech_str *out, const struct ech_rank_view *r)
{
    char rows[32], speed[32], memory[32];
    ech_str_addf(out, "  rank %-3d %-10.10s ", r->rank, r->host);
    if (r->dead) {
        ech_str_addf(out, "lost: %s", r->reason);
        return;
    }
    ech_str_addf(out, "%5.1f %%  %10s rows  %9s tokens/s  %9s", 100 * r->share,
                 ech_print_count(r->rows, rows, sizeof rows),
                 ech_print_count((int64_t)(r->speed + 0.5), speed, sizeof speed),
                 ech_print_bytes(r->rss_bytes, memory, sizeof memory));
}

void ech_progress_block(const struct ech_run_view *view, double elapsed_s, int width, struct ech_str *out,
                        int *lines)
{
    struct ech_view_sum sum;
    char elapsed[32];
    *lines = 0;
    size_t start = out->length;
    ech_view_sum(view, &sum);
    ech_str_addf(out, "%s  %lld rank%s  %s", view->run, (long long)sum.ranks, sum.ranks == 1 ? "" : "s",
                 ech_print_time(elapsed_s, elapsed, sizeof elapsed));
    if (view->attempt > 1)
        ech_str_addf(out, "  attempt %d", view->attempt);
    if (sum.dead)
        ech_str_addf(out, "  %lld lost", (long long)sum.dead);
    if (sum.errors)
        ech_str_addf(out, "  %lld bad rows", (long long)sum.errors);
    end_line(out, start, width, lines);
    start = out->length;
    if (view->has_todo)
        add_bar(out, view->todo.rows > 0 ? (double)view->todo.rows_done / (double)view->todo.rows : 1);
    ech_progress_line(view, out);
    end_line(out, start, width, lines);
    for (size_t i = 0; i < view->rank_count && view->rank_count <= ECH_PROGRESS_RANKS; i++) {
        if (!view->ranks[i].has_progress && !view->ranks[i].dead)
            continue;
        start = out->length;
        add_rank(out, &view->ranks[i]);
        end_line(out, start, width, lines);
    }
}

/* ---- on stderr ---- */

void ech_progress_init(struct ech_progress *p, double now, bool quiet)
{
    const char *term = getenv("TERM");
    *p = (struct ech_progress){.start = now, .last = now, .quiet = quiet};
    p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static void put(const struct ech_str *text)
{
    if (!text->failed && text->length)
        fwrite(text->data, 1, text->length, stderr);
    fflush(stderr);
}

static void add_clear(struct ech_progress *p, struct ech_str *out)
{
    if (p->lines)
        ech_str_addf(out, "\033[%dA\033[J", p->lines);
    p->lines = 0;
}

void ech_progress_clear(struct ech_progress *p)
{
    struct ech_str text;
    ech_str_init(&text);
    add_clear(p, &text);
    put(&text);
    ech_str_fini(&text);
}

static int screen_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1 : 79;
}

void ech_progress_show(struct ech_progress *p, const struct ech_run_view *view, double now)
{
    if (p->quiet || now - p->start < SILENT_S || now - p->last < (p->terminal ? REDRAW_S : LINE_S))
        return;
    struct ech_str text;
    int lines = 0;
    char elapsed[32];
    p->last = now;
    ech_str_init(&text);
    if (p->terminal) {
        add_clear(p, &text);
        ech_progress_block(view, now - p->start, screen_width(), &text, &lines);
        p->lines = lines;
    } else {
        ech_str_addf(&text, "echelon: %s: ", ech_print_time(now - p->start, elapsed, sizeof elapsed));
        ech_progress_line(view, &text);
        ech_str_addc(&text, '\n');
    }
    put(&text);
    ech_str_fini(&text);
}
