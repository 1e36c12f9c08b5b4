/* Problems of one load: see problem.h. */
#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Words of a hostile file end on a terminal: nothing that moves its cursor. */
static void tame(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
}

void ech_problem_add(struct ech_problems *problems, int line, int column, const char *fmt, ...)
{
    if (problems->count == ECH_PROBLEMS_MOST) {
        problems->more++;
        return;
    }
    struct ech_problem *problem = &problems->items[problems->count++];
    problem->line = line;
    problem->column = column;
    va_list args;
    va_start(args, fmt);
    vsnprintf(problem->text, sizeof problem->text, fmt, args);
    va_end(args);
    tame(problem->text);
}

/* Those of the file first, by position; the others keep their order. */
static bool before(const struct ech_problem *a, const struct ech_problem *b)
{
    if (!a->line || !b->line)
        return a->line && !b->line;
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

static void sort(struct ech_problems *problems)
{
    for (int i = 1; i < problems->count; i++)
        for (int j = i; j > 0 && before(&problems->items[j], &problems->items[j - 1]); j--) {
            struct ech_problem swap = problems->items[j];
            problems->items[j] = problems->items[j - 1];
            problems->items[j - 1] = swap;
        }
}

int ech_problems_report(struct ech_problems *problems, struct ech_err *err)
{
    if (problems->count == 0)
        return ECH_OK;
    sort(problems);
    char text[sizeof err->text], line[sizeof problems->items[0].text + 640];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", problems->items[0].text);
    enum { TAIL = 32 }; /* room for "and N more" */
    int shown = 1;
    for (; shown < problems->count; shown++) {
        const struct ech_problem *p = &problems->items[shown];
        if (p->line)
            snprintf(line, sizeof line, "\n%s:%d:%d: %s", problems->file, p->line, p->column, p->text);
        else
            snprintf(line, sizeof line, "\n%s", p->text);
        if (length + strlen(line) + TAIL > sizeof text)
            break;
        memcpy(text + length, line, strlen(line) + 1);
        length += strlen(line);
    }
    int more = problems->count - shown + problems->more;
    if (more)
        snprintf(text + length, sizeof text - length, "\nand %d more", more);
    const struct ech_problem *first = &problems->items[0];
    return ech_fail_at(err, ECH_CONFIG, first->line ? problems->file : "", first->line, first->column, "%s",
                       text);
}
