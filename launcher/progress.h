/* Progress for people: a block that redraws itself on a terminal, one line every 30 s elsewhere, nothing in
 * the first 2 s. The texts are pure functions of a view. */
#ifndef ECH_LAUNCHER_PROGRESS_H
#define ECH_LAUNCHER_PROGRESS_H

#include "base/str.h"
#include "launcher/view.h"

#define ECH_PROGRESS_RANKS 16 /* with more ranks the block has no line a rank */

/* "52.3 %  2,612 / 5,000 rows  215 rows/s  48,210 tokens/s  0:11 left" or the phase before rows run. */
void ech_progress_line(const struct ech_run_view *view, struct ech_str *out);
/* The block, each line cut to `width` columns and ended by a newline; *lines counts them. */
void ech_progress_block(const struct ech_run_view *view, double elapsed_s, int width, struct ech_str *out,
                        int *lines);

struct ech_progress {
    bool terminal, quiet;
    double start, last;
    int lines; /* on the screen now */
};
/* On stderr. quiet: nothing is ever shown. */
void ech_progress_init(struct ech_progress *progress, double now, bool quiet);
void ech_progress_show(struct ech_progress *progress, const struct ech_run_view *view, double now);
/* Take the block off the screen (before another line is written, and at the end). */
void ech_progress_clear(struct ech_progress *progress);

#endif
