/* Every case of kernels/bench/cases.h on one backend: against ref (NaN and infinity first, then the error),
 * against ref_exact bit by bit where the class is the same, rows alone and in another order, a team of two.
 * A backend may do less than ref_exact: what it passes over is counted and said. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bench/trial.h"
#include "support.h"

struct run {
    const struct ech_ops *ops, *ref, *exact;
    const struct ech_case *c;
    int64_t cases, unsupported, without_ref, without_exact;
    bool aloud, wrong;
    bool shown[ECH_CASE_OPS][ECH_FORMATS];
};

__attribute__((format(printf, 2, 3))) static void wrong(struct run *r, const char *fmt, ...)
{
    char what[256], text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->wrong = true;
    fail("%s: %s: %s", r->ops->name, ech_case_describe(r->c, what, sizeof what), text);
}

/* --- comparisons --- */

/* sum (got - want)^2 / sum want^2. What is rounded or quantised on the way in is so in ref too. */
static double bound_of(const struct ech_case *c)
{
    static const double type[ECH_ATYPES] = {[ECH_A_BF16] = 1e-5, [ECH_A_Q8] = 2e-4, [ECH_A_F16] = 2e-7};
    static const double format[ECH_FORMATS] = {
        [ECH_FMT_F32] = 1e-12,   [ECH_FMT_BF16] = 1e-5,       [ECH_FMT_INT8] = 1e-4,
        [ECH_FMT_INT4] = 5e-3,   [ECH_FMT_BF16_F32] = 1e-5,   [ECH_FMT_F16] = 2e-6,
        [ECH_FMT_BLOCK] = 1e-12, [ECH_FMT_BLOCK_INT8] = 1e-10};
    switch (c->op) {
    case ECH_CASE_LINEAR:
        return format[c->format] + type[c->y_type];
    case ECH_CASE_ATTENTION:
        return (c->format == ECH_FMT_F32 ? 1e-11 : c->format == ECH_FMT_BF16 ? 5e-5 : 5e-6) + type[c->y_type];
    case ECH_CASE_CONVERT:
        return 1e-12 + type[c->x_type == ECH_A_F32 ? c->y_type : c->x_type];
    case ECH_CASE_NORM:
        return 1e-10 + type[c->y_type];
    case ECH_CASE_TOPK:
        return 0;
    default:
        return 1e-11;
    }
}

/* The integers say NaN or infinite where the floats say which. */
static bool loose(const struct ech_case *c, const struct ech_values *v)
{
    return v->type == ECH_A_Q8 || c->format == ECH_FMT_INT8 || c->format == ECH_FMT_INT4 ||
           c->format == ECH_FMT_BLOCK_INT8 || c->x_type == ECH_A_Q8;
}

static bool same_kind(double x, double y, bool is_loose)
{
    if (isfinite(x) || isfinite(y))
        return isfinite(x) && isfinite(y);
    return is_loose || (isnan(x) ? isnan(y) : x == y);
}

static bool kinds_agree(struct run *r, const struct ech_values *got, const struct ech_values *want)
{
    bool is_loose = loose(r->c, got);
    for (int64_t i = 0; i < got->rows; i++)
        for (int64_t j = 0; j < got->cols; j++) {
            double x = ech_values_at(got, i, j), y = ech_values_at(want, i, j);
            if (!same_kind(x, y, is_loose)) {
                wrong(r, "%s (%lld, %lld) is %g, ref gives %g", got->name, (long long)i, (long long)j, x, y);
                return false;
            }
        }
    return true;
}

static void errors_small(struct run *r, const struct ech_values *got, const struct ech_values *want)
{
    double error = 0, norm = 0, most = -1, bound = bound_of(r->c);
    int64_t row = 0, col = 0;
    for (int64_t i = 0; i < got->rows; i++)
        for (int64_t j = 0; j < got->cols; j++) {
            double x = ech_values_at(got, i, j), y = ech_values_at(want, i, j);
            if (!isfinite(y))
                continue;
            error += (x - y) * (x - y);
            norm += y * y;
            if (fabs(x - y) > most) {
                most = fabs(x - y);
                row = i, col = j;
            }
        }
    if (!(error <= bound * norm + 1e-30))
        wrong(r, "normalised error %.3g, bound %.3g; worst %s (%lld, %lld): %.9g, ref gives %.9g",
              norm > 0 ? error / norm : error, bound, got->name, (long long)row, (long long)col,
              ech_values_at(got, row, col), ech_values_at(want, row, col));
}

static size_t element_of(const struct ech_values *v)
{
    return v->type == ECH_ATYPES ? 4 : ech_atype_bytes((enum ech_atype)v->type);
}

/* Row `i` of got and row `j` of want hold the same bits; any NaN equals any NaN. */
static bool row_equal(const struct ech_values *got, int64_t i, const struct ech_values *want, int64_t j,
                      int64_t *col)
{
    size_t element = element_of(got), bytes = (size_t)got->cols * element;
    const unsigned char *a = got->raw + (size_t)i * bytes, *b = want->raw + (size_t)j * bytes;
    *col = -1;
    if (got->type == ECH_A_Q8) {
        if (!bits_equal(got->scale[i], want->scale[j]))
            return false;
        if (!isfinite(got->scale[i]))
            return true;
    }
    for (*col = 0; *col < got->cols; (*col)++)
        if (memcmp(a + (size_t)*col * element, b + (size_t)*col * element, element) != 0 &&
            !(got->type < ECH_ATYPES && isnan(ech_values_at(got, i, *col)) &&
              isnan(ech_values_at(want, j, *col))))
            return false;
    return true;
}

static void rows_equal(struct run *r, const struct ech_outcome *got, const struct ech_outcome *want,
                       const int64_t *from, const char *than)
{
    for (int v = 0; v < got->count; v++)
        for (int64_t i = 0, col; i < got->values[v].rows; i++) {
            const struct ech_values *a = &got->values[v], *b = &want->values[v];
            int64_t j = from ? from[i] : i;
            if (row_equal(a, i, b, j, &col))
                continue;
            if (col < 0)
                wrong(r, "scale of row %lld of %s is %.9g, %s %.9g (row %lld)", (long long)i, a->name,
                      (double)a->scale[i], than, (double)b->scale[j], (long long)j);
            else
                wrong(r, "bits of %s (%lld, %lld): %.9g, %s %.9g (row %lld)", a->name, (long long)i,
                      (long long)col, ech_values_at(a, i, col), than, ech_values_at(b, j, col), (long long)j);
            return;
        }
}

/* --- runs --- */

/* One call on `ops`; the guard zones are looked at. false: no outcome. */
static bool call(struct run *r, const struct ech_ops *ops, const struct ech_trial_options *o,
                 struct ech_outcome *out, int *status)
{
    char why[256] = "";
    struct ech_trial *t = NULL;
    *status = ech_trial_open(ops, r->c, o, &t, why);
    if (!*status)
        *status = ech_trial_run(t);
    if (!*status)
        *status = ech_trial_finish(t, out, why);
    ech_trial_close(t);
    if (*status && *status != ECH_OP_UNSUPPORTED)
        wrong(r, "%s gave status %d %s", ops->name, *status, why);
    else if (why[0] && !*status)
        wrong(r, "%s: %s", ops->name, why);
    return !*status;
}

static bool by_sequences(const struct ech_case *c)
{
    return c->op == ECH_CASE_ATTENTION || c->op == ECH_CASE_POOL;
}

/* Which row of the whole result each row of the picked one is; pooling has a row for each sequence. */
static int64_t *rows_of(const struct ech_case *c, const struct ech_trial_options *o)
{
    int64_t n = 0, *rows = calloc((size_t)(ech_case_rows(c) * 4 + o->picked + 1), sizeof *rows);
    if (!rows)
        abort();
    for (int64_t p = 0; p < o->picked; p++) {
        int64_t first = 0;
        if (c->op != ECH_CASE_ATTENTION) {
            rows[n++] = o->pick[p];
            continue;
        }
        for (int64_t s = 0; s < o->pick[p]; s++)
            first += ech_case_length(c, s);
        for (int64_t i = 0; i < ech_case_length(c, o->pick[p]); i++)
            rows[n++] = first + i;
    }
    return rows;
}

static void check_picked(struct run *r, const struct ech_outcome *whole, const int64_t *pick, int64_t picked)
{
    struct ech_trial_options o = {.pick = pick, .picked = picked};
    struct ech_outcome some = {.count = 0};
    int status;
    if (!call(r, r->ops, &o, &some, &status)) {
        if (status == ECH_OP_UNSUPPORTED)
            wrong(r, "%lld of its rows alone are not supported, all together are", (long long)picked);
        return;
    }
    int64_t *rows = rows_of(r->c, &o);
    rows_equal(r, &some, whole, rows, picked == 1 ? "alone; among its neighbours" : "moved; at its place");
    free(rows);
    ech_outcome_fini(&some);
}

/* The last row, the first and one in the middle alone; all four picks together, out of order. */
static void check_moved(struct run *r, const struct ech_outcome *whole)
{
    int64_t n = by_sequences(r->c) ? r->c->sequences : r->c->rows;
    if (n < 2)
        return;
    const int64_t pick[] = {n - 1, n / 2, 0, n / 3};
    check_picked(r, whole, pick, 4);
    for (int i = 0; i < 3; i++)
        check_picked(r, whole, &pick[i], 1);
}

static void check_team(struct run *r, const struct ech_outcome *whole)
{
    const struct ech_trial_options two = {.threads = 2};
    struct ech_outcome team = {.count = 0};
    int status;
    if ((r->c->op != ECH_CASE_LINEAR && r->c->op != ECH_CASE_ATTENTION) || r->ops->device)
        return;
    if (call(r, r->ops, &two, &team, &status))
        rows_equal(r, &team, whole, NULL, "by two threads; by one");
    ech_outcome_fini(&team);
}

static const char *class_of(const struct ech_ops *ops, const struct ech_case *c)
{
    return ops->numerics[c->op == ECH_CASE_LINEAR || c->op == ECH_CASE_ATTENTION ? c->format : ECH_FMT_F32];
}

static bool equal_class(const struct ech_ops *a, const struct ech_ops *b, const struct ech_case *c)
{
    const char *x = class_of(a, c), *y = class_of(b, c);
    return x && y && strcmp(x, y) == 0;
}

static void check_against(struct run *r, const struct ech_outcome *got)
{
    const struct ech_trial_options one = {.threads = 1};
    struct ech_outcome want = {.count = 0};
    int status;
    if (r->ops != r->ref && call(r, r->ref, &one, &want, &status)) {
        for (int v = 0; v < got->count; v++)
            if (kinds_agree(r, &got->values[v], &want.values[v]))
                errors_small(r, &got->values[v], &want.values[v]);
        ech_outcome_fini(&want);
    } else if (r->ops != r->ref) {
        r->without_ref++;
    }
    if (r->ops == r->exact || !equal_class(r->ops, r->exact, r->c))
        return;
    if (call(r, r->exact, &one, &want, &status))
        rows_equal(r, got, &want, NULL, "ref_exact gives");
    else
        r->without_exact++;
    ech_outcome_fini(&want);
}

static bool visit(const struct ech_case *c, void *context)
{
    struct run *r = context;
    const struct ech_trial_options one = {.threads = 1};
    struct ech_outcome got = {.count = 0};
    int status;
    r->c = c;
    if (call(r, r->ops, &one, &got, &status)) {
        r->cases++;
        check_against(r, &got);
        check_moved(r, &got);
        check_team(r, &got);
    } else if (status == ECH_OP_UNSUPPORTED) {
        if (r->aloud && !r->shown[c->op][c->format]) {
            char what[256];
            printf("%s does not do: %s%s\n", r->ops->name, ech_case_describe(c, what, sizeof what),
                   " (the first of its kind)");
        }
        r->shown[c->op][c->format] = true;
        r->unsupported++;
    }
    ech_outcome_fini(&got);
    return r->aloud || !r->wrong;
}

int64_t run_cases(const struct ech_ops *ops, bool aloud)
{
    char why[256] = "";
    struct run r = {.ops = ops, .ref = ech_ops_find("ref", why), .exact = ech_ops_find("ref_exact", why)};
    r.aloud = aloud;
    ech_cases_each(visit, &r);
    if (!aloud)
        return r.cases;
    printf("%s: %lld cases ran; not supported: %lld; without an answer of ref: %lld, of ref_exact: %lld\n",
           ops->name, (long long)r.cases, (long long)r.unsupported, (long long)r.without_ref,
           (long long)r.without_exact);
    return r.cases;
}

int test_cases(const char *backend)
{
    char why[256] = "";
    const struct ech_ops *ops = ech_ops_find(backend, why);
    if (!ops) {
        printf("SKIP %s: %s\n", backend, why);
        return 77;
    }
    CHECK(run_cases(ops, true) > 0, "%s ran no case", backend);
    return 0;
}
