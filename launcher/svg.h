/* Small drawings as inline SVG, coloured by the page's style sheet (classes s0 .. s7), and escaped text.
 * Pure. */
#ifndef ECH_LAUNCHER_SVG_H
#define ECH_LAUNCHER_SVG_H

#include "base/str.h"

#define ECH_SVG_SERIES 8

/* Text for an element or an attribute in double quotes. Invalid UTF-8 and control characters: U+FFFD. */
void ech_html_put(struct ech_str *out, const char *text);

/* Values above one another over time. */
struct ech_plot {
    const char *label; /* what it shows, for readers that cannot see it */
    double seconds;    /* length of the time axis */
    int series, points;
    const char *const *names; /* series */
    const double *values;     /* (series, points), >= 0; point i lies at seconds * i / (points - 1) */
    bool bytes;               /* axis in KiB, MiB, ... */
};
void ech_svg_stacked(const struct ech_plot *plot, struct ech_str *out);

/* Round step of which about `ticks` reach `most`: 1, 2 or 5 times a power of ten; bytes: a power of two. 0
 * where most <= 0. */
double ech_svg_step(double most, int ticks, bool bytes);
/* "1.2k", "30M", "1.5 GiB": short labels of an axis. Returns out. */
const char *ech_svg_label(double value, bool bytes, char *out, size_t size);

#endif
