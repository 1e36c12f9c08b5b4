#include "plan/grant.h"

#include "base/num.h"
#include "plan/lease.h"

#define UNCLAIMED_S 2.0
#define COPY_WINS_S 0.25

double ech_grant_share(double speed, double speed_all, int ranks, int ranks_all)
{
    if (speed > 0 && speed_all > 0)
        return speed < speed_all ? speed / speed_all : 1;
    return ranks_all > 0 ? (double)ranks / ranks_all : 0;
}

int64_t ech_grant_rows(const struct ech_grant_view *v)
{
    if (v->alone)
        return v->left;
    double low = v->rows_s > 0 ? UNCLAIMED_S * v->rows_s : (double)(2 * v->least);
    if ((double)v->unclaimed >= low && v->unclaimed >= v->least)
        return 0;
    struct ech_lease_view view = {v->left, v->share, v->least, ech_max64(v->most, v->least)};
    return ech_lease_rows(&view);
}

static int put_back(const struct ech_range *r, const struct ech_rowset *done, struct ech_rowset *todo,
                    struct ech_err *err)
{
    if (!done)
        return ech_rowset_add(todo, r->first, r->end, NULL, err);
    struct ech_range gap;
    int code = ECH_OK;
    for (int64_t at = r->first; !code && ech_rowset_gap(done, at, r->end, &gap); at = gap.end)
        code = ech_rowset_add(todo, gap.first, gap.end, NULL, err);
    return code;
}

int ech_grant_put_back(struct ech_rowset *held, const struct ech_rowset *done, struct ech_rowset *todo,
                       struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; !code && i < held->count; i++)
        code = put_back(&held->ranges[i], done, todo, err);
    ech_rowset_fini(held);
    return code;
}

double ech_backlog_s(int64_t rows, double rows_s)
{
    return rows_s > 0 ? (double)rows / rows_s : 0;
}

static bool last_gap(const struct ech_rowset *set, const struct ech_range *in, struct ech_range *out)
{
    bool any = false;
    for (int64_t at = in->first; ech_rowset_gap(set, at, in->end, out); at = out->end)
        any = true;
    return any;
}

bool ech_tail_copy(const struct ech_tail_view *v, struct ech_range *out)
{
    if (!(v->mine > 0) || !(v->theirs > 0))
        return false;
    double part = v->mine / (v->mine + v->theirs);
    if (!(ech_backlog_s(v->held->rows, v->theirs) * part >= COPY_WINS_S))
        return false;
    for (size_t i = v->held->count; i-- > 0;) {
        struct ech_range r;
        if (!last_gap(v->copied, &v->held->ranges[i], &r))
            continue;
        int64_t rows = ech_max64(v->least, (int64_t)((double)(r.end - r.first) * part));
        *out = (struct ech_range){ech_max64(r.first, r.end - rows), r.end};
        return true;
    }
    return false;
}
