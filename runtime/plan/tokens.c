#include "plan/tokens.h"

/* splitmix64: a seed and a counter become 64 well-mixed bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

/* Start of piece i of `count` equal pieces of [0, rows), without overflow. */
static int64_t piece(int64_t rows, int64_t count, int64_t i)
{
    return rows / count * i + rows % count * i / count;
}

int64_t ech_sample_rows(int64_t rows, int64_t count, uint64_t seed, int64_t *out)
{
    if (count > rows)
        count = rows;
    for (int64_t i = 0; i < count; i++) {
        int64_t first = piece(rows, count, i), end = piece(rows, count, i + 1);
        out[i] = first + (int64_t)(mix(seed + (uint64_t)i) % (uint64_t)(end - first));
    }
    return count < 0 ? 0 : count;
}

void ech_token_sums_add(struct ech_token_sums *sums, int64_t bytes, int64_t tokens)
{
    sums->rows++;
    sums->bytes += bytes;
    sums->tokens += tokens;
    sums->bytes_bytes += (int64_t)((double)bytes * (double)bytes / 256 + 0.5);
    sums->bytes_tokens += (int64_t)((double)bytes * (double)tokens / 256 + 0.5);
}

struct ech_token_model ech_token_fit(const struct ech_token_sums *sums)
{
    struct ech_token_model model = {2, 0.25};
    if (sums->rows == 0)
        return model;
    double n = (double)sums->rows, b = (double)sums->bytes, t = (double)sums->tokens;
    double det = n * (double)sums->bytes_bytes * 256 - b * b;
    if (det > 1e-9 * b * b) {
        model.per_byte = (n * (double)sums->bytes_tokens * 256 - b * t) / det;
        model.per_row = (t - model.per_byte * b) / n;
    }
    if (!(det > 1e-9 * b * b) || model.per_byte < 0 || model.per_row < 0) {
        model.per_byte = b > 0 ? t / b : 0;
        model.per_row = b > 0 ? 0 : t / n;
    }
    return model;
}

double ech_tokens_of(const struct ech_token_model *model, int64_t rows, int64_t bytes)
{
    return model->per_row * (double)rows + model->per_byte * (double)bytes;
}
