/* Samples of ranks on a common time grid, for the plots of the report. Pure.
 * With more than ECH_SVG_SERIES ranks the series are the nodes; with more nodes than that, one sum. */
#ifndef ECH_LAUNCHER_SERIES_H
#define ECH_LAUNCHER_SERIES_H

#include "launcher/svg.h"
#include "launcher/view.h"

#define ECH_SERIES_POINTS 121

struct ech_series {
    double start, seconds; /* wall clock of point 0; length */
    int series, points;
    char names[ECH_SVG_SERIES][80];
    double tokens_s[ECH_SVG_SERIES * ECH_SERIES_POINTS]; /* speed around the point */
    double bytes[ECH_SVG_SERIES * ECH_SERIES_POINTS];    /* resident memory at the point */
};
/* False where there is too little to draw (fewer than two seconds of samples). */
bool ech_series_make(const struct ech_run_view *view, struct ech_series *out);

#endif
