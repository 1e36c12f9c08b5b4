/* runtime/model/sampling: what may be drawn and how often, against a plain reference; the counter-based
 * numbers against published ones. */
#include "tests/harness.h"

#include "model/sampling.h"

#include <math.h>

enum { VOCAB = 40, DRAWS = 20000 };

static unsigned seed_now;
static double next_number(void) /* in [-1, 1) */
{
    seed_now = seed_now * 1664525u + 1013904223u;
    return (double)(seed_now >> 8) / 8388608.0 - 1;
}

static int64_t below(int64_t most)
{
    return (int64_t)((next_number() + 1) / 2 * (double)most);
}

static struct ech_sampler *sampler(void)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sampler *s;
    assert_int_equal(ech_sampler_create(VOCAB, &s, &err), ECH_OK);
    return s;
}

/* --- the reference: probabilities after each rule, the plainest way --- */

static void to_probabilities(double *p)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < VOCAB; i++)
        most = fmax(most, p[i]);
    for (int i = 0; i < VOCAB; i++)
        sum += p[i] = exp(p[i] - most);
    for (int i = 0; i < VOCAB; i++)
        p[i] /= sum;
}

/* How many are before i: likelier, or as likely with a lower index. */
static int rank_of(const double *p, int i, double *mass)
{
    int rank = 0;
    *mass = 0;
    for (int j = 0; j < VOCAB; j++)
        if (p[j] > p[i] || (p[j] == p[i] && j < i)) {
            rank++;
            *mass += p[j];
        }
    return rank;
}

static void scale_to_one(double *p)
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += p[i];
    for (int i = 0; i < VOCAB; i++)
        p[i] /= sum;
}

static void keep(double *p, const bool *kept)
{
    for (int i = 0; i < VOCAB; i++)
        p[i] = kept[i] ? p[i] : 0;
    scale_to_one(p);
}

static void reference(const float *logits, const struct ech_sampling *o, const int32_t *seen, int seen_count,
                      double *p)
{
    bool kept[VOCAB], there[VOCAB] = {false};
    double mass, most = 0;
    for (int i = 0; i < seen_count; i++)
        there[seen[i]] = true;
    for (int i = 0; i < VOCAB; i++) {
        double by = there[i] ? o->repetition_penalty : 1, l = (double)logits[i];
        p[i] = (l > 0 ? l / by : l * by) / o->temperature;
    }
    to_probabilities(p);
    for (int i = 0; i < VOCAB; i++)
        kept[i] = o->top_k == 0 || rank_of(p, i, &mass) < o->top_k;
    keep(p, kept);
    for (int i = 0; i < VOCAB; i++) {
        int rank = rank_of(p, i, &mass);
        kept[i] = o->top_p >= 1 || rank == 0 || mass < o->top_p;
    }
    keep(p, kept);
    for (int i = 0; i < VOCAB; i++)
        most = fmax(most, p[i]);
    for (int i = 0; i < VOCAB; i++)
        kept[i] = p[i] >= o->min_p * most;
    keep(p, kept);
}

static const struct ech_sampling cases[] = {
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
    {.temperature = 0.3, .top_p = 1, .repetition_penalty = 1},
    {.temperature = 3, .top_p = 1, .repetition_penalty = 1},
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .top_k = 1},
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .top_k = 7},
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .top_k = VOCAB + 5},
    {.temperature = 1, .top_p = 0.9, .repetition_penalty = 1},
    {.temperature = 1, .top_p = 0.37, .repetition_penalty = 1},
    {.temperature = 1, .top_p = 0, .repetition_penalty = 1},
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .min_p = 0.2},
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .min_p = 1},
    {.temperature = 1, .top_p = 1, .repetition_penalty = 1.7},
    {.temperature = 1.4, .top_p = 1, .repetition_penalty = 0.6},
    {.temperature = 1.5, .top_p = 0.8, .repetition_penalty = 1.2, .top_k = 12, .min_p = 0.05, .seed = 99},
    {.temperature = 0.7,
     .top_p = 0.95,
     .repetition_penalty = 1.1,
     .top_k = 20,
     .min_p = 0.1,
     .seed = 1ull << 40},
};

/* Nothing else is ever drawn, and each as often as it should be: within 5 standard deviations. */
static void compare(struct ech_sampler *s, const struct ech_sampling *o, const float *logits, size_t number)
{
    static const int32_t seen[] = {3, 3, 17, 5, 39};
    double p[VOCAB];
    int64_t counts[VOCAB] = {0};
    reference(logits, o, seen, 5, p);
    for (uint64_t i = 0; i < DRAWS; i++) {
        int32_t id = ech_sampler_draw(s, logits, o, seen, 5, number, i);
        assert_in_range(id, 0, VOCAB - 1);
        counts[id]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        double want = p[i] * DRAWS, room = 5 * sqrt(want * (1 - p[i])) + 1e-9;
        if (p[i] == 0 ? counts[i] != 0 : !(fabs((double)counts[i] - want) <= room + 1))
            fail_msg("case %zu: token %d was drawn %lld times, %.1f +- %.1f was expected", number, i,
                     (long long)counts[i], want, room);
    }
}

static void distributions(void **state)
{
    (void)state;
    struct ech_sampler *s = sampler();
    float logits[VOCAB];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct ech_err err = ECH_ERR_NONE;
        seed_now = (unsigned)c;
        for (int i = 0; i < VOCAB; i++)
            logits[i] = (float)(3 * next_number());
        assert_int_equal(ech_sampling_check(&cases[c], &err), ECH_OK);
        compare(s, &cases[c], logits, c);
        /* Equal values, where the lower index goes first. */
        for (int i = 0; i < VOCAB; i++)
            logits[i] = (float)(i % 4);
        compare(s, &cases[c], logits, c + 100);
    }
    ech_sampler_destroy(s);
}

/* Which tokens are left is exact at the edges that frequencies cannot see. */
static void edges(void **state)
{
    (void)state;
    struct ech_sampler *s = sampler();
    float logits[VOCAB];
    struct ech_sampling o = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -INFINITY;
    assert_int_equal(ech_sampler_draw(s, logits, &o, NULL, 0, 0, 0), -1);
    logits[9] = -300; /* the only one there is, however unlikely it looks */
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(ech_sampler_draw(s, logits, &o, NULL, 0, 0, i), 9);
    logits[30] = NAN;
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(ech_sampler_draw(s, logits, &o, NULL, 0, 0, i), 9);
    logits[20] = INFINITY;
    assert_int_equal(ech_sampler_draw(s, logits, &o, NULL, 0, 0, 0), 20);
    for (int i = 0; i < VOCAB; i++)
        logits[i] = NAN;
    assert_int_equal(ech_sampler_draw(s, logits, &o, NULL, 0, 0, 0), -1);
    /* Temperature 0: the best after the penalty, the lower index first, the other rules aside. */
    o = ECH_SAMPLING_GREEDY;
    o.repetition_penalty = 2;
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i == 7 || i == 8 ? 3 : 1;
    static const int32_t seen[] = {7, -1, VOCAB}; /* what is outside of the vocabulary is passed over */
    assert_int_equal(ech_sampler_draw(s, logits, &o, NULL, 0, 0, 0), 7);
    assert_int_equal(ech_sampler_draw(s, logits, &o, seen, 3, 0, 0), 8);
    logits[7] = logits[8] = -1; /* below zero a penalty makes it smaller, too */
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i == 7 ? -1.0f : i == 8 ? -1.5f : -9.0f;
    assert_int_equal(ech_sampler_draw(s, logits, &o, seen, 3, 0, 0), 8);
    ech_sampler_destroy(s);
}

/* A token follows from seed, row and position; not from what was drawn before. */
static void counters(void **state)
{
    (void)state;
    struct ech_sampler *s = sampler(), *other = sampler();
    float logits[VOCAB];
    struct ech_sampling o = {.temperature = 2, .top_p = 1, .repetition_penalty = 1, .seed = 5};
    int32_t first[200];
    int same_row = 0, same_seed = 0;
    seed_now = 3;
    for (int i = 0; i < VOCAB; i++)
        logits[i] = (float)next_number();
    for (uint64_t i = 0; i < 200; i++)
        first[i] = ech_sampler_draw(s, logits, &o, NULL, 0, 1, i);
    for (uint64_t i = 200; i-- > 0;)
        assert_int_equal(ech_sampler_draw(other, logits, &o, NULL, 0, 1, i), first[i]);
    for (uint64_t i = 0; i < 200; i++)
        same_row += ech_sampler_draw(s, logits, &o, NULL, 0, 2, i) == first[i];
    o.seed = 6;
    for (uint64_t i = 0; i < 200; i++)
        same_seed += ech_sampler_draw(s, logits, &o, NULL, 0, 1, i) == first[i];
    assert_in_range(same_row, 0, 40); /* chance has about 8 of 200 alike */
    assert_in_range(same_seed, 0, 40);
    ech_sampler_destroy(s);
    ech_sampler_destroy(other);
}

/* Known answers of Philox 4x32-10 (Salmon and others 2011, the vectors of its library): counter, key, the
 * first two words that come out. */
static void known_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t position, row, seed;
        uint64_t out;
    } known[] = {
        {0, 0, 0, 0x6627e8d5e169c58dull},
        {~0ull, ~0ull, ~0ull, 0x408f276d41c83b0eull},
        {0x85a308d3243f6a88ull, 0x0370734413198a2eull, 0x299f31d0a4093822ull, 0xd16cfe0994fdccebull}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double want = (double)(known[i].out >> 11) / 9007199254740992.0;
        assert_true(ech_uniform(known[i].seed, known[i].row, known[i].position) == want);
    }
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = ech_uniform(1, 2, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 5 * sqrt(1.0 / 12 / 100000));
}

static void probabilities(void **state)
{
    (void)state;
    float logits[VOCAB];
    double p[VOCAB], sum = 0;
    seed_now = 8;
    for (int i = 0; i < VOCAB; i++)
        p[i] = (double)(logits[i] = (float)(1000 + 20 * next_number())); /* exp alone would overflow */
    to_probabilities(p);
    for (int i = 0; i < VOCAB; i++) {
        double got = ech_log_probability(logits, VOCAB, i);
        sum += exp(got);
        assert_true(fabs(got - log(p[i])) < 1e-9);
    }
    assert_true(fabs(sum - 1) < 1e-12);
    assert_int_equal(ech_argmax(logits, 0), -1);
}

/* The first of the largest, whatever stands around it; a NaN is never it. */
static void best_of_many(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static float logits[MANY];
    static const float levels[] = {-INFINITY, -3, -0.0f, 0, 1, 2, NAN, INFINITY};
    seed_now = 9;
    for (int round = 0; round < 400; round++) {
        int64_t count = 1 + below(MANY), best = -1;
        int kinds = 1 + round % 8;
        for (int64_t i = 0; i < count; i++)
            logits[i] = below(1000) ? levels[0] : levels[below(kinds)];
        for (int64_t i = 0; i < count; i++)
            if (logits[i] > (best < 0 ? -INFINITY : logits[best]))
                best = i;
        assert_int_equal(ech_argmax(logits, count), best);
    }
}

static void limits(void **state)
{
    (void)state;
    static const struct {
        struct ech_sampling o;
        const char *says;
    } bad[] = {
        {{.temperature = -0.1, .top_p = 1, .repetition_penalty = 1}, "temperature is -0.1"},
        {{.temperature = NAN, .top_p = 1, .repetition_penalty = 1}, "temperature is nan"},
        {{.temperature = INFINITY, .top_p = 1, .repetition_penalty = 1}, "temperature is inf"},
        {{.top_k = -1, .top_p = 1, .repetition_penalty = 1}, "top_k is -1"},
        {{.top_p = 1.01, .repetition_penalty = 1}, "top_p is 1.01"},
        {{.top_p = 1, .min_p = -0.5, .repetition_penalty = 1}, "min_p is -0.5"},
        {{.top_p = 1, .repetition_penalty = 0}, "repetition_penalty is 0, 0.001 to 1000 was expected"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(ech_sampling_check(&bad[i].o, &err), ECH_CONFIG);
        if (!strstr(err.text, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, bad[i].says);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(distributions), cmocka_unit_test(edges),         cmocka_unit_test(counters),
    cmocka_unit_test(known_numbers), cmocka_unit_test(probabilities), cmocka_unit_test(limits),
    cmocka_unit_test(best_of_many),
};
ECH_TEST_MAIN(tests)
