/* Kind retrieve from end to end in one process: texts, vectors, the job's own queries; rows, scores and
 * joined columns against a scan in double over the index's vectors. */
#include "tests/unit/job/fixture.h"

#include "model/engine.h"

#include <math.h>

enum { INDEX_ROWS = 50, QUERIES = 20, TOP_K = 7, BAD = 6 };

static const struct ech_column index_columns[] = {
    {.name = "text", .type = ECH_TEXT, .dtype = ECH_U8},
    {.name = "meta", .type = ECH_JSON, .dtype = ECH_U8},
    {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1},
    {.name = "some", .type = ECH_INTS, .dtype = ECH_I64},
};

static void index_cell(int64_t row, int column, struct ech_str *out)
{
    static const char *const words[] = {"hello ", "world ", "unable ", "a b ", "x ", ", "};
    int64_t id = row * 3 - 5;
    if (column == 0) /* every tenth text is its predecessor's: equal scores */
        for (int64_t i = 0, r = row % 10 == 9 ? row - 1 : row; i < 1 + r % 6; i++)
            ech_str_adds(out, words[(r * 5 + i * (1 + r / 6)) % 6]);
    else if (column == 1)
        ech_str_addf(out, "{\"a\": [%d, \"q\\\"\"]}", (int)row);
    else if (column == 2)
        ech_str_add(out, &id, sizeof id);
    for (int64_t i = 0; column == 3 && i < row % 4; i++)
        ech_str_add(out, &row, sizeof row);
}

static void query_cell(int64_t row, int column, struct ech_str *out)
{
    (void)column;
    index_cell(row * 2 + 1, 0, out);
    if (row == BAD)
        ech_str_adds(out, "\xff\xfe");
}

static void run_job(const char *yaml)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_remove_all("out", NULL), NULL);
    put_run(yaml);
    must(run_attempt(1, NULL, &err), &err);
}

/* Texts, their vectors, and other columns to join: "index". Query texts "queries", their vectors "vectors".
 */
static void prepare(void)
{
    put_model("m");
    put_dataset("texts", &(struct table){index_columns, 4, INDEX_ROWS, 900, index_cell});
    run_job("kind: embed\nmodel: m\ninput: {dataset: texts}\n"
            "output: {dataset: out, keep: [text, meta, id, some]}\nbalance: {probe: false}\n");
    must(ech_rename("out", "index", NULL), NULL);
    put_dataset("queries", &(struct table){index_columns, 1, QUERIES, 300, query_cell});
    run_job("kind: embed\nmodel: m\ninput: {dataset: queries}\noutput: {dataset: out}\nbalance: {probe: "
            "false}\n");
    must(ech_rename("out", "vectors", NULL), NULL);
}

static double cosine(const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (int i = 0; i < HIDDEN; i++) {
        dot += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return dot / (fmax(sqrt(aa), 1e-12) * fmax(sqrt(bb), 1e-12));
}

struct scored {
    double score;
    int64_t row;
};

/* Scores that differ by less than a rounding are ties, which go by row; only equal rows come that near here.
 */
static int better(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (fabs(x->score - y->score) > 1e-7)
        return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

static void scan(const float *index, const float *query, struct scored out[INDEX_ROWS])
{
    for (int64_t r = 0; r < INDEX_ROWS; r++)
        out[r] = (struct scored){cosine(index + r * HIDDEN, query), r};
    qsort(out, INDEX_ROWS, sizeof *out, better);
}

static void expect_cell(const struct ech_cells *cells, int64_t row, const char *text)
{
    size_t length = (size_t)(cells->offsets[row + 1] - cells->offsets[row]);
    if (length != strlen(text) || memcmp(cells->bytes + cells->offsets[row], text, length) != 0)
        fail_msg("row %lld: %.*s, expected %s", (long long)row, (int)length,
                 cells->bytes + cells->offsets[row], text);
}

/* "[...]" of the joined column: each hit's cell as JSON. */
static void joined(const int64_t *rows, int column, struct ech_str *out)
{
    struct ech_str cell;
    ech_str_init(&cell);
    ech_str_clear(out);
    ech_str_addc(out, '[');
    for (int k = 0; k < TOP_K && rows[k] >= 0; k++) {
        ech_str_clear(&cell);
        index_cell(rows[k], column, &cell);
        ech_str_adds(out, k ? "," : "");
        if (column == 0)
            ech_str_addf(out, "\"%s\"", cell.data);
        else if (column == 1)
            ech_str_adds(out, cell.data);
        else {
            ech_str_addc(out, '[');
            for (size_t i = 0; i < cell.length / 8; i++) {
                int64_t value;
                memcpy(&value, cell.data + 8 * i, 8);
                ech_str_addf(out, "%s%lld", i ? "," : "", (long long)value);
            }
            ech_str_addc(out, ']');
        }
    }
    ech_str_addc(out, ']');
    ech_str_fini(&cell);
}

/* One row of "out" against the scan for `query`; NULL: a bad row. */
static void check_row(int64_t row, const float *query, const float *index, const struct ech_cells *rows,
                      const struct ech_cells *scores, const struct ech_cells *errors)
{
    struct scored best[INDEX_ROWS];
    const int64_t *r = (const int64_t *)(const void *)rows->bytes + row * TOP_K;
    const float *s = (const float *)(const void *)scores->bytes + row * TOP_K;
    assert_int_equal(errors->offsets[row + 1] > errors->offsets[row], query == NULL);
    if (query)
        scan(index, query, best);
    for (int k = 0; k < TOP_K; k++) {
        if (!query) {
            assert_true(r[k] == -1 && isnan(s[k]));
            continue;
        }
        assert_int_equal(r[k], best[k].row);
        assert_true(fabs(s[k] - best[k].score) <= 1e-6);
    }
}

/* "out" holds the hits of `queries` (count, HIDDEN); row `bad` could not be read. */
static void check_output(const float *queries, int64_t count, int64_t bad)
{
    static const char *const names[] = {"hits.text", "hits.meta", "hits.id", "hits.some"};
    struct ech_dataset *ds = open_dataset("out"), *index_ds = open_dataset("index");
    struct ech_cells index = read_column(index_ds, "embedding"), rows = read_column(ds, "rows"),
                     scores = read_column(ds, "scores"), errors = read_column(ds, "errors");
    struct ech_str want;
    ech_str_init(&want);
    assert_int_equal(rows.rows, count);
    for (int64_t i = 0; i < count; i++)
        check_row(i, i == bad ? NULL : queries + i * HIDDEN, (const float *)(const void *)index.bytes, &rows,
                  &scores, &errors);
    for (int c = 0; c < 4; c++) {
        struct ech_cells cells = read_column(ds, names[c]);
        for (int64_t i = 0; i < count; i++) {
            joined((const int64_t *)(const void *)rows.bytes + i * TOP_K, c, &want);
            expect_cell(&cells, i, want.data);
        }
        ech_cells_fini(&cells);
    }
    ech_str_fini(&want);
    ech_cells_fini(&index);
    ech_cells_fini(&rows);
    ech_cells_fini(&scores);
    ech_cells_fini(&errors);
    ech_dataset_close(ds);
    ech_dataset_close(index_ds);
}

#define OPTIONS "options: {index: index, top_k: 7, join: [text, meta, id, some]"

static void texts(void **state)
{
    (void)state;
    prepare();
    run_job("kind: retrieve\nmodel: m\ninput: {dataset: queries}\noutput: {dataset: out}\n" OPTIONS "}\n"
            "resources: {threads: 3}\nbalance: {probe: false, lease_rows: 4, lease_rows_max: 4}\n");
    struct ech_dataset *ds = open_dataset("vectors");
    struct ech_cells vectors = read_column(ds, "embedding");
    check_output((const float *)(const void *)vectors.bytes, QUERIES, BAD);
    ech_cells_fini(&vectors);
    ech_dataset_close(ds);
}

/* Vectors as queries; that of the bad row is zeros: all rows tie, the first ones win. */
static void vectors(void **state)
{
    (void)state;
    prepare();
    run_job("kind: retrieve\ninput: {dataset: vectors, column: embedding}\noutput: {dataset: out}\n" OPTIONS
            "}\nbalance: {lease_rows: 3, lease_rows_max: 3}\n");
    struct ech_dataset *ds = open_dataset("vectors");
    struct ech_cells cells = read_column(ds, "embedding");
    check_output((const float *)(const void *)cells.bytes, QUERIES, -1);
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
}

static void queries_of_the_job(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    static const char text[] = "hello world \xc3\xa9";
    const uint64_t offsets[] = {0, 5, sizeof text - 1};
    const struct ech_engine_options options = {
        .model = "m", .backend = "auto", .threads = 1, .prefix = "a b "};
    struct ech_engine *engine;
    struct ech_batch *batch;
    prepare();
    run_job("kind: retrieve\nmodel: m\noutput: {dataset: out}\n" OPTIONS
            ", prefix: \"a b \", query: [\"hello\", \" world \xc3\xa9\"]}\nbalance: {probe: false}\n");
    must(ech_engine_open(&options, &engine, &err), &err);
    must(ech_engine_prepare(engine, (const unsigned char *)text, offsets, 2, &batch, &err), &err);
    must(ech_engine_submit(engine, batch, 0, &err), &err);
    ech_engine_step(engine, 30);
    struct ech_result *result = ech_engine_poll(engine, &err);
    assert_non_null(result);
    check_output(result->values, 2, -1);
    ech_result_destroy(result);
    ech_engine_close(engine);
}

static void fails(const char *yaml, int code, const char *says)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_remove_all("out", NULL), NULL);
    put_run(yaml);
    expect(run_attempt(1, NULL, &err), code, &err, says);
    assert_false(ech_path_exists("out"));
}

static void wrong_jobs(void **state)
{
    (void)state;
    prepare();
#define JOB(rest) "kind: retrieve\nmodel: m\noutput: {dataset: out}\n" rest
    fails(JOB("input: {dataset: queries}\noptions: {index: index, join: [txet]}\n"), ECH_CONFIG, "text");
    fails(JOB("input: {dataset: queries}\noptions: {index: index, join: [embedding]}\n"), ECH_CONFIG,
          "column embedding of");
    fails(JOB("input: {dataset: queries}\noptions: {index: index, column: id}\n"), ECH_CONFIG, "ints i64");
    fails(JOB("input: {dataset: queries}\noptions: {index: nowhere}\n"), ECH_NOINPUT, "nowhere");
    fails(JOB("input: {dataset: queries}\noptions: {index: index}\nmax_errors: 0\n"), ECH_DATA, "row 6: ");
    fails("kind: retrieve\ninput: {dataset: queries}\noutput: {dataset: out}\noptions: {index: index}\n",
          ECH_CONFIG, "model");
#undef JOB
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(texts),
    cmocka_unit_test(vectors),
    cmocka_unit_test(queries_of_the_job),
    cmocka_unit_test(wrong_jobs),
};

ECH_TEST_MAIN(tests)
