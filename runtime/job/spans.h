/* What a rank computed when: its leases as spans of time, told a few with each progress event, for the time
 * line of the report. Spans follow one another: one begins where its lease was claimed, or where the span
 * before it ended. Of more leases than ECH_SPANS_TOLD between two events the last ones are one span. */
#ifndef ECH_JOB_SPANS_H
#define ECH_JOB_SPANS_H

#include "base/json.h"

enum { ECH_SPANS_OPEN = 64, ECH_SPANS_TOLD = 8 };

struct ech_spans {
    struct {
        int64_t first;
        double claimed;
        bool copy; /* of rows that another rank holds */
    } open[ECH_SPANS_OPEN];
    struct {
        double begin, end;
        int64_t rows, leases;
        bool copy;
    } told[ECH_SPANS_TOLD];
    int open_count, told_count;
    double last; /* end of the newest span */
};

/* Seconds of one monotonic clock. A lease that was dropped is forgotten by a later one that needs its place.
 */
void ech_spans_claim(struct ech_spans *spans, int64_t first, bool copy, double now);
void ech_spans_done(struct ech_spans *spans, int64_t first, int64_t rows, double now);
/* "spans": [[begun, done, rows, leases, copy], ...], times in milliseconds before now; nothing where there
 * are none. They are told once. */
void ech_spans_tell(struct ech_spans *spans, double now, struct ech_str *out);

#endif
