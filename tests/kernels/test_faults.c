/* The tests tested: a backend that is ref_exact but for one fault must not pass the cases. */
#include <math.h>
#include <string.h>

#include "support.h"

enum fault {
    NONE,
    BEYOND,   /* a store behind the last row */
    GAP,      /* a store behind each row, where there is a gap */
    INPUT,    /* x is changed */
    LOST_NAN, /* NaN becomes 0 */
    LOST_INF, /* an infinity becomes the largest float */
    WRONG,    /* an element is 1 % off */
    LAST_BIT, /* an element is one unit off */
    BATCH,    /* one row alone is another than among others */
    PLACE,    /* the first row is another than elsewhere */
    NOTHING,  /* the last row is not written */
    REFUSED,  /* a single row is not supported */
    FAULTS
};

static enum fault fault;
static const struct ech_ops *sound;

/* Element (0, 0) or (row, 0) of y, one unit further from zero. */
static void nudge(const struct ech_linear_args *a, int64_t row)
{
    float *y = (float *)a->y + row * a->ldy;
    *y = nextafterf(*y, *y < 0 ? -INFINITY : INFINITY);
}

static void lose(const struct ech_linear_args *a)
{
    for (int64_t r = 0; r < a->m; r++)
        for (int64_t j = 0; j < a->n; j++) {
            float *y = (float *)a->y + r * a->ldy + j;
            if (fault == LOST_NAN && isnan(*y))
                *y = 0;
            if (fault == LOST_INF && isinf(*y))
                *y = copysignf(3e38f, *y);
        }
}

static void spoil(const struct ech_linear_args *a)
{
    float *y = a->y;
    switch (fault) {
    case BEYOND:
        y[a->m * a->ldy] = 1;
        break;
    case GAP:
        if (a->ldy > a->n)
            y[a->n] = 1;
        break;
    case INPUT:
        if (a->k)
            memcpy((char *)a->x, &(float){7.5f}, sizeof(float)); /* what a backend may not do */
        break;
    case LOST_NAN:
    case LOST_INF:
        lose(a);
        break;
    case WRONG:
        y[0] *= 1.01f;
        break;
    case LAST_BIT:
        nudge(a, a->m - 1);
        break;
    case BATCH:
        if (a->m == 1)
            nudge(a, 0);
        break;
    case PLACE:
        nudge(a, 0);
        break;
    default:
        break;
    }
}

static int linear(struct ech_queue *queue, const struct ech_linear_args *args)
{
    struct ech_linear_args a = *args;
    if (fault == REFUSED && a.m == 1)
        return ECH_OP_UNSUPPORTED;
    a.m -= fault == NOTHING && a.m > 1;
    int rc = sound->linear(queue, &a);
    if (!rc && a.m > 0 && a.n > 0)
        spoil(&a);
    return rc;
}

/* Its products of f32 alone, as a class of its own where the bits are not to be compared with ref_exact's. */
static int provoke(enum fault which, const char *class)
{
    struct ech_ops faulty = *sound;
    memset(faulty.numerics, 0, sizeof faulty.numerics);
    faulty.name = "faulty";
    faulty.numerics[ECH_FMT_F32] = class;
    faulty.linear = linear;
    faulty.convert = NULL, faulty.norm = NULL, faulty.attention = NULL, faulty.embed = NULL;
    faulty.pool = NULL, faulty.gate = NULL, faulty.rotary = NULL, faulty.topk = NULL;
    faulty.activate = NULL, faulty.softmax = NULL, faulty.log_softmax = NULL;
    fault = which;
    failures_provoked(true);
    run_cases(&faulty, false);
    return failures_provoked(false);
}

void test_faults(void)
{
    sound = named("ref_exact");
    CHECK(provoke(NONE, sound->numerics[ECH_FMT_F32]) == 0, "a sound backend does not pass");
    for (int f = BEYOND; f < FAULTS; f++) {
        CHECK(provoke((enum fault)f, sound->numerics[ECH_FMT_F32]) > 0, "fault %d passes", f);
        bool bits = f == LAST_BIT; /* is what tells a class from another */
        CHECK(bits || provoke((enum fault)f, "another") > 0, "fault %d passes in a class of its own", f);
    }
}
