/* Merged logs: see logmerge.h. */
#include "launcher/logmerge.h"

#include "launcher/view.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOGETHER_S 1.0
enum { LOOK_AHEAD = 4096 }; /* lines compared with one, at most */

void ech_log_lines_add(struct ech_log_lines *lines, const char *line, size_t bytes, int rank)
{
    struct ech_log_line l = {.rank = rank, .order = (int)lines->count};
    size_t stamp = 0;
    while (stamp < bytes && line[stamp] != ' ')
        stamp++;
    if (stamp > 0 && stamp < sizeof l.wall && stamp < bytes) {
        memcpy(l.wall, line, stamp);
        l.t = ech_wall_parse(l.wall);
    }
    if (l.t > 0) {
        line += stamp + 1;
        bytes -= stamp + 1;
    } else {
        l.wall[0] = '\0';
        l.t = lines->count ? lines->lines[lines->count - 1].t : 0;
    }
    const char *close = bytes && line[0] == '[' ? memchr(line, ']', bytes) : NULL;
    if (close && close - line < 12 && close + 1 < line + bytes && close[1] == ' ') {
        l.rank = atoi(line + 1);
        bytes -= (size_t)(close + 2 - line);
        line = close + 2;
    }
    l.text = ech_strndup(line, bytes, NULL);
    if (!l.text ||
        ech_grow((void **)&lines->lines, &lines->capacity, lines->count + 1, sizeof l, NULL) != ECH_OK) {
        ech_free(l.text);
        lines->failed = true;
        return;
    }
    lines->lines[lines->count++] = l;
}

static int by_time(const void *a, const void *b)
{
    const struct ech_log_line *x = a, *y = b;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* How many ranks said line i within a second; they are taken. */
static int take_equal(struct ech_log_lines *lines, size_t i)
{
    struct ech_log_line *l = lines->lines;
    int ranks = 1, last = l[i].rank;
    for (size_t j = i + 1; j < lines->count && j < i + LOOK_AHEAD && l[j].t - l[i].t <= TOGETHER_S; j++)
        if (!l[j].taken && l[j].rank != last && l[j].rank != l[i].rank && strcmp(l[i].text, l[j].text) == 0) {
            l[j].taken = true;
            last = l[j].rank;
            ranks++;
        }
    return ranks;
}

void ech_log_lines_print(struct ech_log_lines *lines, struct ech_str *out)
{
    if (lines->count)
        qsort(lines->lines, lines->count, sizeof *lines->lines, by_time);
    for (size_t i = 0; i < lines->count; i++) {
        const struct ech_log_line *l = &lines->lines[i];
        if (l->taken)
            continue;
        int ranks = l->rank >= 0 ? take_equal(lines, i) : 1;
        if (l->wall[0])
            ech_str_addf(out, "%s ", l->wall);
        if (ranks > 1)
            ech_str_addf(out, "[%d ranks] ", ranks);
        else if (l->rank >= 0)
            ech_str_addf(out, "[%d] ", l->rank);
        ech_str_addf(out, "%s\n", l->text);
    }
    for (size_t i = 0; i < lines->count; i++)
        ech_free(lines->lines[i].text);
    lines->count = 0;
}

void ech_log_lines_fini(struct ech_log_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        ech_free(lines->lines[i].text);
    ech_free(lines->lines);
    *lines = (struct ech_log_lines){0};
}
