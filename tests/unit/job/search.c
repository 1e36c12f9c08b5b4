/* Exact search against a scan in double: the same hits, ties by row, rows that are not numbers left out; the
 * same bits for any number of threads, any batch, any backend of one numerics class. */
#include "tests/unit/job/fixture.h"

#include "job/search.h"

#include <math.h>

enum { QUERIES = 300, ROWS_MOST = 3000, DIM_MOST = 384 };

static float vectors[ROWS_MOST][DIM_MOST], queries[QUERIES * DIM_MOST];
static double exact[QUERIES][ROWS_MOST];
static int64_t dim, rows;

static void cell(int64_t row, int column, struct ech_str *out)
{
    (void)column;
    ech_str_add(out, vectors[row], (size_t)dim * sizeof(float));
}

static uint32_t seed;
static uint32_t next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Small whole numbers have exact products and many ties; fractions have neither. */
static float value(bool whole)
{
    return whole ? (float)(next() % 5) - 2 : (float)next() / 8388608.0f - 1;
}

/* Duplicates, rows of zeros, rows with a NaN. */
static void make_vectors(bool whole)
{
    seed = 7;
    for (int64_t r = 0; r < rows; r++) {
        int64_t twin = r % 5 == 4 ? next() % r : r;
        for (int64_t i = 0; i < dim; i++)
            vectors[r][i] = twin < r ? vectors[twin][i] : r % 11 == 3 ? 0 : value(whole);
        if (r % 17 == 9)
            vectors[r][r % dim] = NAN;
    }
    for (int64_t i = 0; i < QUERIES * dim; i++)
        queries[i] = value(whole);
    for (int64_t i = 0; i < dim; i++) {
        queries[dim + i] = 0;
        queries[2 * dim + i] = NAN;
    }
}

static double norm(const float *x)
{
    double sum = 0;
    for (int64_t i = 0; i < dim; i++)
        sum += (double)x[i] * x[i];
    return fmax(sqrt(sum), 1e-12);
}

static void make_exact(bool cosine, int64_t count)
{
    for (int64_t q = 0; q < count; q++) {
        double length = cosine ? norm(queries + q * dim) : 1;
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0;
            for (int64_t i = 0; i < dim; i++)
                sum += (double)vectors[r][i] * queries[q * dim + i];
            exact[q][r] = cosine ? sum / (length * norm(vectors[r])) : sum;
        }
    }
}

static int64_t numbers_in(int64_t q)
{
    int64_t count = 0;
    for (int64_t r = 0; r < rows; r++)
        count += !isnan(exact[q][r]);
    return count;
}

/* Sorted, each within `slack` of the scan's score, and no row that was left out is better. */
static void check_query(int64_t q, const struct ech_hit *hits, int64_t top_k, double slack)
{
    static bool hit[ROWS_MOST];
    int64_t found = numbers_in(q) < top_k ? numbers_in(q) : top_k;
    memset(hit, 0, sizeof hit);
    for (int64_t k = 0; k < top_k; k++) {
        int64_t r = hits[k].row;
        if (k >= found) {
            assert_true(r == -1 && isnan(hits[k].score));
            continue;
        }
        assert_true(r >= 0 && r < rows && !hit[r]);
        hit[r] = true;
        assert_true(fabs(hits[k].score - exact[q][r]) <= slack);
        if (k > 0)
            assert_true(hits[k - 1].score > hits[k].score ||
                        (hits[k - 1].score == hits[k].score && hits[k - 1].row < r));
    }
    if (found == 0 || found < top_k)
        return;
    struct ech_hit last = hits[found - 1];
    for (int64_t r = 0; r < rows; r++) {
        bool twin = memcmp(vectors[r], vectors[last.row], (size_t)dim * sizeof(float)) == 0;
        if (!hit[r] && (twin || (slack == 0 && exact[q][r] == last.score)))
            assert_true(r > last.row);
        else if (!hit[r])
            assert_false(exact[q][r] > last.score + slack);
    }
}

/* Batches that a worker has completed. */
static _Atomic int completed;

static int note_batch(void *context, struct ech_hits *hits, struct ech_err *e)
{
    (void)e;
    assert_true(context == &completed && hits->note == &completed);
    completed++;
    return ECH_OK;
}

static struct ech_search *open_search(const struct ech_dataset *ds, const char *backend, int threads,
                                      int64_t top_k, bool cosine)
{
    char why[256];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_search *s = NULL;
    struct ech_search_options o = {.index = ds,
                                   .ops = ech_ops_find(backend, why),
                                   .threads = threads,
                                   .top_k = top_k,
                                   .cosine = cosine,
                                   .complete = note_batch,
                                   .context = &completed};
    assert_non_null(o.ops);
    must(ech_search_open(&o, &s, &err), &err);
    return s;
}

static void submit(struct ech_search *s, int64_t tag, const float *from, int64_t count)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_search_batch batch = {.tag = tag, .count = count, .queries = from, .note = &completed};
    must(ech_search_submit(s, &batch, &err), &err);
}

static struct ech_hits *next_hits(struct ech_search *s)
{
    struct ech_hits *h = ech_search_poll(s, 30);
    assert_non_null(h);
    assert_true(completed > 0);
    must(h->err.code, &h->err);
    return h;
}

/* All `count` queries in batches of many sizes, all in flight at once; hits[q] in one array. */
static void look_up(struct ech_search *s, int64_t count, int64_t top_k, struct ech_hit *hits)
{
    static const int64_t sizes[] = {1, 0, 4, 300, 2, 7};
    int batches = 0;
    for (int64_t q = 0, n; q < count; q += n) {
        n = sizes[batches++ % 6];
        n = n < count - q ? n : count - q;
        submit(s, q, queries + q * dim, n);
    }
    for (; batches > 0; batches--) {
        struct ech_hits *h = next_hits(s);
        memcpy(hits + h->tag * top_k, h->hits, (size_t)(h->queries * top_k) * sizeof *hits);
        ech_hits_destroy(h);
    }
    assert_null(ech_search_poll(s, 0));
}

static bool same_hits(const struct ech_hit *a, const struct ech_hit *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (a[i].row != b[i].row || memcmp(&a[i].score, &b[i].score, sizeof(float)) != 0)
            return false;
    return true;
}

static void check_metric(const struct ech_dataset *ds, bool whole, bool cosine, int64_t count, int64_t top_k)
{
    static const struct {
        const char *backend;
        int threads;
    } ways[] = {{"auto", 1}, {"auto", 3}, {"auto", 8}, {"ref_exact", 2}};
    static struct ech_hit hits[QUERIES * 64], others[QUERIES * 64];
    char why[256];
    double slack = whole && !cosine ? 0 : 2e-6 * (cosine ? 1 : (double)dim);
    make_exact(cosine, count);
    for (int w = 0; w < 4; w++) {
        struct ech_search *s = open_search(ds, ways[w].backend, ways[w].threads, top_k, cosine);
        look_up(s, count, top_k, w ? others : hits);
        ech_search_close(s);
        bool one_class = strcmp(ech_ops_find("auto", why)->numerics[0],
                                ech_ops_find(ways[w].backend, why)->numerics[0]) == 0;
        if (w && one_class)
            assert_true(same_hits(hits, others, count * top_k));
    }
    for (int64_t q = 0; q < count; q++)
        check_query(q, hits + q * top_k, top_k, slack);
}

static void check_dim(int64_t width, int64_t count)
{
    static const int64_t sizes[] = {0, 1, 1023, 1024, 1025, 3000};
    dim = width;
    struct ech_column column = {.name = "v", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = dim};
    for (int i = 0; i < 12; i++) {
        bool whole = i % 2;
        rows = sizes[i / 2];
        make_vectors(whole);
        must(ech_remove_all("in", NULL), NULL);
        put_dataset("in", &(struct table){&column, 1, rows, 1 << 20, cell});
        struct ech_dataset *ds = open_dataset("in");
        check_metric(ds, whole, false, count, 10);
        check_metric(ds, whole, true, count, rows < 2 ? 3 : 64);
        ech_dataset_close(ds);
    }
}

static void one_number_wide(void **state)
{
    (void)state;
    check_dim(1, 300);
}

static void three_wide(void **state)
{
    (void)state;
    check_dim(3, 300);
}

static void as_wide_as_a_model(void **state)
{
    (void)state;
    check_dim(384, 5);
}

static void a_cancel_drops_what_has_not_begun(void **state)
{
    (void)state;
    enum { BATCHES = 60 };
    dim = 384;
    rows = ROWS_MOST;
    make_vectors(false);
    struct ech_column column = {.name = "v", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = dim};
    put_dataset("in", &(struct table){&column, 1, rows, 1 << 20, cell});
    struct ech_dataset *ds = open_dataset("in");
    struct ech_search *s = open_search(ds, "auto", 3, 5, false);
    for (int round = 0; round < 3; round++) {
        for (int64_t b = 0; b < BATCHES; b++)
            submit(s, b, queries + b * dim, 1);
        if (round)
            ech_hits_destroy(next_hits(s));
        ech_search_cancel(s);
        int ended = round > 0;
        for (struct ech_hits *h; (h = ech_search_poll(s, 30)) != NULL; ended++)
            ech_hits_destroy(h);
        assert_true(ended < BATCHES);
        submit(s, 99, queries, 1);
        struct ech_hits *h = next_hits(s);
        assert_int_equal(h->tag, 99);
        make_exact(false, 1);
        check_query(0, h->hits, 5, 1e-3);
        ech_hits_destroy(h);
    }
    for (int64_t b = 0; b < BATCHES; b++)
        submit(s, b, queries + b * dim, 1);
    ech_search_close(s); /* with all of it in flight */
    ech_dataset_close(ds);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_number_wide),
    cmocka_unit_test(three_wide),
    cmocka_unit_test(as_wide_as_a_model),
    cmocka_unit_test(a_cancel_drops_what_has_not_begun),
};

ECH_TEST_MAIN(tests)
