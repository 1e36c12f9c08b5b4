/* Sets of rows: see rowset.h. */
#include "base/rowset.h"

#include "base/mem.h"

#include <string.h>

void ech_rowset_init(struct ech_rowset *set)
{
    *set = (struct ech_rowset){0};
}

void ech_rowset_fini(struct ech_rowset *set)
{
    ech_free(set->ranges);
    ech_rowset_init(set);
}

/* Index of the first range whose end is at or behind `row`. */
static size_t lower(const struct ech_rowset *set, int64_t row)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (set->ranges[middle].end < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Replace ranges [at, at + old) by `count` given ones. */
static int splice(struct ech_rowset *set, size_t at, size_t old, const struct ech_range *with, size_t count,
                  struct ech_err *err)
{
    if (old == 0 && count == 0)
        return ECH_OK;
    int code = ech_grow((void **)&set->ranges, &set->capacity, set->count + count, sizeof *set->ranges, err);
    if (code != ECH_OK)
        return code;
    memmove(set->ranges + at + count, set->ranges + at + old, (set->count - at - old) * sizeof *set->ranges);
    if (count)
        memcpy(set->ranges + at, with, count * sizeof *with);
    set->count += count;
    set->count -= old;
    return ECH_OK;
}

int ech_rowset_add(struct ech_rowset *set, int64_t first, int64_t end, int64_t *added, struct ech_err *err)
{
    if (added)
        *added = 0;
    if (first >= end)
        return ECH_OK;
    size_t at = lower(set, first), stop = at;
    int64_t inside = 0;
    struct ech_range joined = {first, end};
    while (stop < set->count && set->ranges[stop].first <= end) {
        const struct ech_range *r = &set->ranges[stop++];
        inside += r->end - r->first;
        joined.first = r->first < joined.first ? r->first : joined.first;
        joined.end = r->end > joined.end ? r->end : joined.end;
    }
    int code = splice(set, at, stop - at, &joined, 1, err);
    if (code != ECH_OK)
        return code;
    int64_t more = joined.end - joined.first - inside;
    set->rows += more;
    if (added)
        *added = more;
    return ECH_OK;
}

int ech_rowset_remove(struct ech_rowset *set, int64_t first, int64_t end, struct ech_err *err)
{
    if (first >= end)
        return ECH_OK;
    size_t at = lower(set, first + 1), stop = at, kept = 0;
    int64_t gone = 0;
    struct ech_range left[2];
    while (stop < set->count && set->ranges[stop].first < end) {
        struct ech_range r = set->ranges[stop++];
        if (r.first < first)
            left[kept++] = (struct ech_range){r.first, first};
        if (r.end > end)
            left[kept++] = (struct ech_range){end, r.end};
        gone += (r.end < end ? r.end : end) - (r.first > first ? r.first : first);
    }
    int code = splice(set, at, stop - at, left, kept, err);
    if (code == ECH_OK)
        set->rows -= gone;
    return code;
}

bool ech_rowset_has(const struct ech_rowset *set, int64_t first, int64_t end)
{
    struct ech_range gap;
    return !ech_rowset_gap(set, first, end, &gap);
}

bool ech_rowset_gap(const struct ech_rowset *set, int64_t from, int64_t end, struct ech_range *gap)
{
    size_t at = lower(set, from + 1);
    if (at < set->count && set->ranges[at].first <= from)
        from = set->ranges[at++].end;
    if (from >= end)
        return false;
    *gap = (struct ech_range){from, end};
    if (at < set->count && set->ranges[at].first < end)
        gap->end = set->ranges[at].first;
    return true;
}

bool ech_rowset_take(struct ech_rowset *set, int64_t most, struct ech_range *out)
{
    if (set->count == 0 || most <= 0)
        return false;
    struct ech_range *front = &set->ranges[0];
    int64_t rows = front->end - front->first < most ? front->end - front->first : most;
    *out = (struct ech_range){front->first, front->first + rows};
    front->first += rows;
    set->rows -= rows;
    if (front->first == front->end) {
        set->count--;
        memmove(set->ranges, set->ranges + 1, set->count * sizeof *set->ranges);
    }
    return true;
}
