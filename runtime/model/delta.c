/* See delta.h. */
#include "model/delta.h"

#include <math.h>

void ech_delta_add(const struct ech_delta *d, int64_t first, int64_t count, float *values)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t row = (first + i) / d->cols, col = (first + i) % d->cols;
        int64_t out = d->swapped ? col : row, in = d->swapped ? row : col;
        float sum = 0;
        for (int64_t r = 0; r < d->rank; r++)
            sum = fmaf(d->b[out * d->rank + r], d->a[r * d->in + in], sum);
        values[i] = fmaf(d->factor, sum, values[i]);
    }
}
