#include "job/spans.h"

#include <string.h>

static void drop(struct ech_spans *s, int at)
{
    memmove(&s->open[at], &s->open[at + 1], (size_t)(--s->open_count - at) * sizeof s->open[0]);
}

void ech_spans_claim(struct ech_spans *s, int64_t first, bool copy, double now)
{
    if (s->open_count == ECH_SPANS_OPEN)
        drop(s, 0);
    s->open[s->open_count].first = first;
    s->open[s->open_count].copy = copy;
    s->open[s->open_count++].claimed = now;
}

void ech_spans_done(struct ech_spans *s, int64_t first, int64_t rows, double now)
{
    double begin = s->last;
    bool copy = false;
    for (int i = 0; i < s->open_count; i++)
        if (s->open[i].first == first) {
            begin = s->open[i].claimed > s->last ? s->open[i].claimed : s->last;
            copy = s->open[i].copy;
            drop(s, i);
            break;
        }
    if (!(begin > 0))
        begin = now; /* of a lease that nobody claimed here */
    if (s->told_count < ECH_SPANS_TOLD) {
        s->told[s->told_count].begin = begin;
        s->told[s->told_count].rows = s->told[s->told_count].leases = 0;
        s->told[s->told_count++].copy = copy;
    }
    int at = s->told_count - 1;
    s->told[at].end = s->last = now;
    s->told[at].rows += rows;
    s->told[at].leases++;
    s->told[at].copy = s->told[at].copy && copy;
}

void ech_spans_tell(struct ech_spans *s, double now, struct ech_str *out)
{
    if (!s->told_count)
        return;
    ech_json_key(out, "spans");
    for (int i = 0; i < s->told_count; i++)
        ech_str_addf(out, "%s[%.0f,%.0f,%lld,%lld,%d]", i ? "," : "[", 1e3 * (now - s->told[i].begin),
                     1e3 * (now - s->told[i].end), (long long)s->told[i].rows, (long long)s->told[i].leases,
                     s->told[i].copy);
    ech_str_addc(out, ']');
    s->told_count = 0;
}
