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

/* Does the line tell people something: is it not mpirun's own decoration? */
bool ech_line_useful(const char *line);

/* mpirun's word on a rank that a signal has ended. */
struct ech_lost_rank {
    int rank, signal; /* signal 0: none was lost */
    char host[64];
};
bool ech_line_lost_rank(const char *line, struct ech_lost_rank *out);

/* Whole lines out of pieces. */
struct ech_lines {
    char line[2048];
    size_t length;
};
void ech_lines_add(struct ech_lines *lines, const char *data, size_t bytes,
                   void (*each)(const char *line, void *context), void *context);

#endif
