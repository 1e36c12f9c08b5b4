#include "plan/split.h"

#include "base/mem.h"
#include "base/num.h"

#include <math.h>

int64_t ech_split_bytes(const struct ech_split_view *v, int stage, int first, int end)
{
    int64_t bytes = (stage == 0 ? v->head_bytes : 0) + (end > first ? v->each_bytes : 0);
    for (int l = first; l < end; l++)
        bytes += v->bytes[l];
    return bytes;
}

double ech_split_seconds(const struct ech_split_view *v, int stage, int first, int end)
{
    double cost = 0;
    for (int l = first; l < end; l++)
        cost += v->costs[l];
    return cost / v->speeds[stage];
}

/* With `more` bytes on every stage: does the longest fill, stage after stage, reach the end? A stage that
 * takes all it can leaves the least to the later ones, so this is exact. */
static bool fits(const struct ech_split_view *v, int64_t more)
{
    int at = 0;
    for (int s = 0; s < v->stages; s++) {
        int64_t budget = v->budgets[s] > INT64_MAX - more ? INT64_MAX : v->budgets[s] + more;
        if (ech_split_bytes(v, s, at, at) > budget)
            return false;
        int end = at;
        while (end < v->layers && ech_split_bytes(v, s, at, end + 1) <= budget)
            end++;
        at = end;
    }
    return at == v->layers;
}

static int refuse(const struct ech_split_view *v, struct ech_err *err)
{
    int64_t need = v->head_bytes, have = 0, low = 0, high = 1;
    for (int l = 0; l < v->layers; l++)
        need += v->bytes[l];
    for (int s = 0; s < v->stages; s++)
        have += ech_min64(ech_max64(v->budgets[s], 0), INT64_MAX - have);
    while (high < INT64_MAX / 4 && !fits(v, high))
        high *= 2;
    while (low + 1 < high) {
        int64_t middle = low + (high - low) / 2;
        if (fits(v, middle))
            high = middle;
        else
            low = middle;
    }
    char a[32], b[32], c[32], d[32];
    return ech_fail(
        err, ECH_UNAVAILABLE,
        "the model's weights need %s (%s of them are tables that the first stage holds), %d stage%s "
        "have %s together for them: each lacks %s",
        ech_print_bytes(need, a, sizeof a), ech_print_bytes(v->head_bytes, b, sizeof b), v->stages,
        v->stages == 1 ? "" : "s", ech_print_bytes(have, c, sizeof c), ech_print_bytes(high, d, sizeof d));
}

/* best[s][j]: the slowest of the stages s.. where they share the layers j.. among them; INFINITY: no cut
 * fits. */
static void fill(const struct ech_split_view *v, double *best)
{
    int width = v->layers + 1;
    for (int s = v->stages; s-- > 0;)
        for (int j = 0; j <= v->layers; j++) {
            double *here = &best[s * width + j], cost = 0;
            int64_t bytes = s == 0 ? v->head_bytes : 0;
            *here = INFINITY;
            for (int l = j; l <= v->layers; l++) {
                if (l > j) {
                    cost += v->costs[l - 1];
                    bytes += v->bytes[l - 1] + (l == j + 1 ? v->each_bytes : 0);
                }
                if (bytes > v->budgets[s])
                    break;
                double rest = s + 1 < v->stages ? best[(s + 1) * width + l] : l == v->layers ? 0 : INFINITY;
                *here = fmin(*here, fmax(cost / v->speeds[s], rest));
            }
        }
}

int ech_split(const struct ech_split_view *v, int *ends, double *slowest, struct ech_err *err)
{
    int width = v->layers + 1;
    double *best = ech_calloc((size_t)v->stages * (size_t)width, sizeof *best, err);
    if (!best)
        return ECH_UNAVAILABLE;
    fill(v, best);
    double least = best[0];
    for (int s = 0, at = 0; isfinite(least) && s < v->stages; s++) {
        int take = at;
        for (int l = at; l <= v->layers; l++) {
            double rest = s + 1 < v->stages ? best[(s + 1) * width + l] : l == v->layers ? 0 : INFINITY;
            if (ech_split_bytes(v, s, at, l) <= v->budgets[s] && ech_split_seconds(v, s, at, l) <= least &&
                rest <= least)
                take = l;
        }
        ends[s] = at = take;
    }
    ech_free(best);
    if (!isfinite(least))
        return refuse(v, err);
    *slowest = least;
    return ECH_OK;
}
