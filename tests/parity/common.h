/* What the parity tests share: every backend that runs here, one batch through an engine. */
#ifndef ECH_TESTS_PARITY_COMMON_H
#define ECH_TESTS_PARITY_COMMON_H

#include "tests/harness.h"
#include "tests/parity/npy.h"

#include "kernels/ops.h"
#include "model/engine.h"

#include <math.h>

static inline void must(int code, const struct ech_err *err)
{
    if (code != ECH_OK)
        fail_msg("status %d: %s", code, err->text);
}

/* Names of the f32 backends that run on this machine; the oracle `ref` is checked by the kernels' own tests.
 */
static inline int backends(const char *names[8])
{
    int count = 0;
    for (const struct ech_ops *const *ops = ech_ops_all(); *ops; ops++)
        if (strcmp((*ops)->name, "ref") != 0 && !(*ops)->available())
            names[count++] = (*ops)->name;
    assert_true(count >= 1 && count <= 8);
    return count;
}

static inline struct ech_engine *open_engine(const struct ech_engine_options *options)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_engine *engine = NULL;
    must(ech_engine_open(options, &engine, &err), &err);
    return engine;
}

static inline struct ech_result *run_batch(struct ech_engine *engine, struct ech_batch *batch)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_engine_submit(engine, batch, 7, &err), &err);
    ech_engine_step(engine, 600);
    struct ech_result *result = ech_engine_poll(engine, &err);
    must(err.code, &err);
    assert_non_null(result);
    assert_int_equal(result->tag, 7);
    return result;
}

/* Largest |a - b|; NaN counts as infinite. */
static inline double distance(const float *a, const float *b, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= most))
            most = d == d ? d : INFINITY;
    }
    return most;
}

#endif
