/* See delta.h. */
#include "model/delta.h"

enum { PART = 64 };

/* `count` <= PART elements of one row of the weight, from `col`. */
static void add_part(const struct ech_delta *d, int64_t row, int64_t col, int64_t count, float *values)
{
    float sums[PART] = {0};
    for (int64_t r = 0; r < d->rank; r++) {
        const float *a = d->a + r * d->in, *b = d->b + r;
        if (d->swapped)
            for (int64_t i = 0; i < count; i++)
                sums[i] += b[(col + i) * d->rank] * a[row];
        else
            for (int64_t i = 0; i < count; i++)
                sums[i] += b[row * d->rank] * a[col + i];
    }
    for (int64_t i = 0; i < count; i++)
        values[i] += d->factor * sums[i];
}

void ech_delta_add(const struct ech_delta *d, int64_t first, int64_t count, float *values)
{
    for (int64_t done = 0, part; done < count; done += part) {
        int64_t row = (first + done) / d->cols, col = (first + done) % d->cols;
        part = d->cols - col < PART ? d->cols - col : PART;
        part = part < count - done ? part : count - done;
        add_part(d, row, col, part, values + done);
    }
}
