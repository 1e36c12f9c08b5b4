/* Log lines of many ranks as one story: sorted by wall time, equal lines of several ranks made one. Pure. */
#ifndef ECH_LAUNCHER_LOGMERGE_H
#define ECH_LAUNCHER_LOGMERGE_H

#include "base/str.h"

struct ech_log_line {
    double t;   /* wall clock; of the line before where it has none */
    int rank;   /* -1: none given */
    int order;  /* of arrival */
    bool taken; /* said by an earlier equal line */
    char *text; /* behind time and rank */
    char wall[32];
};

struct ech_log_lines {
    struct ech_log_line *lines;
    size_t count, capacity;
    bool failed;
};

/* "2026-...Z [3] warn: data: text"; `rank`: where the line names none. */
void ech_log_lines_add(struct ech_log_lines *lines, const char *line, size_t bytes, int rank);
/* Sort and print: "wall [rank] text" or "wall [4 ranks] text" where several ranks said the same within a
 * second. Then the list is empty. */
void ech_log_lines_print(struct ech_log_lines *lines, struct ech_str *out);
void ech_log_lines_fini(struct ech_log_lines *lines);

#endif
