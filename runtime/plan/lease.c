#include "plan/lease.h"

static int64_t clamp(double x, int64_t least, int64_t most)
{
    if (!(x > (double)least))
        return least;
    return x < (double)most ? (int64_t)x : most;
}

int64_t ech_lease_rows(const struct ech_lease_view *view)
{
    double half = (double)view->left * view->share / 2;
    int64_t rows = clamp(half, view->least, view->most);
    return rows < view->left ? rows : view->left;
}

void ech_lease_bounds(const struct ech_lease_bounds_view *view, int64_t *least, int64_t *most)
{
    enum { ROWS_MOST = 1 << 16, TOKENS_LEAST = 480 };
    double per_row = view->tokens_a_row >= 1 ? view->tokens_a_row : 1;
    int64_t low = clamp((double)(TOKENS_LEAST * view->threads) / per_row, 1, 4096);
    int64_t high = view->speed > 0 ? clamp(view->speed / per_row, 1, ROWS_MOST) : 4 * low;
    if (view->rows_asked > 0)
        low = high = view->rows_asked;
    if (view->rows_most_asked > 0)
        high = view->rows_most_asked;
    if (view->rows_cap > 0) {
        low = low < view->rows_cap ? low : view->rows_cap;
        high = high < view->rows_cap ? high : view->rows_cap;
    }
    *least = low;
    *most = high < low ? low : high;
}
