#include "job/sample.h"

#include "base/mem.h"

enum { SAMPLE_ROWS = 1000, SEED = 1 };

int ech_sample_tokens(const struct ech_kind_ops *kind, const struct ech_stream *stream,
                      const struct ech_source *source, int part, int parts, struct ech_token_sums *sums,
                      struct ech_err *err)
{
    int64_t *rows = ech_calloc(SAMPLE_ROWS, sizeof *rows, err);
    struct ech_cells cells = {0};
    if (!rows)
        return ECH_UNAVAILABLE;
    int64_t n = ech_sample_rows(ech_source_rows(source), SAMPLE_ROWS, SEED, rows);
    int code = ECH_OK;
    for (int64_t i = part; !code && i < n; i += parts) {
        int64_t tokens = 0;
        code = ech_source_read(source, rows[i], 1, &cells, err);
        if (!code)
            code = kind->count_tokens(stream, &cells, &tokens, err);
        if (!code)
            ech_token_sums_add(sums, (int64_t)cells.offsets[1], tokens);
    }
    ech_cells_fini(&cells);
    ech_free(rows);
    return code;
}

double ech_sample_estimate(const struct ech_token_sums *sums, const struct ech_source *source)
{
    struct ech_token_model line = ech_token_fit(sums);
    double rows = (double)ech_source_rows(source);
    double tokens = ech_tokens_of(&line, ech_source_rows(source), ech_source_bytes(source));
    return tokens > rows ? tokens : rows;
}
