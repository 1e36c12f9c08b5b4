/* The end of a text that comes in pieces, and the lines of it that tell people something. */
#ifndef ECH_LAUNCHER_TAIL_H
#define ECH_LAUNCHER_TAIL_H

#include "base/str.h"

struct ech_tail {
    char data[8192];
    size_t length;
};
void ech_tail_add(struct ech_tail *tail, const char *data, size_t bytes);
/* The last `most` lines that are not mpirun's own decoration, each indented by two blanks. */
void ech_tail_useful(const struct ech_tail *tail, int most, struct ech_str *out);

/* Whole lines out of pieces. */
struct ech_lines {
    char line[2048];
    size_t length;
};
void ech_lines_add(struct ech_lines *lines, const char *data, size_t bytes,
                   void (*each)(const char *line, void *context), void *context);

#endif
