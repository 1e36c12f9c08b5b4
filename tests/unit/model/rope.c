/* runtime/model/rope: the frequencies of every scaling, in both spellings, are those of the reference
 * implementation (rope_known.h); what cannot be read is refused by name. */
#include "tests/unit/model/fixture.h"

#include "base/json.h"
#include "model/rope.h"
#include "tests/unit/model/rope_known.h"

#include <math.h>

static int read_rope(const char *text, int64_t context, struct ech_rope *out, struct ech_err *err)
{
    json_t *config;
    struct ech_rope_defaults of = {.head_dim = KNOWN_DIM, .context = context, .base = 10000, .part = 1};
    must(ech_json_parse("config.json", text, strlen(text), &config, err), err);
    int code = ech_rope_read(config, "config.json", &of, out, err);
    json_decref(config);
    return code;
}

/* Position 1 turns by the frequency itself, the radius is the scale. */
static void compare(size_t i, const char *text)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_rope r;
    float cosines[KNOWN_DIM / 2], sines[KNOWN_DIM / 2], far[2][KNOWN_DIM / 2];
    must(read_rope(text, known_rope[i].context, &r, &err), &err);
    assert_int_equal(r.dim, KNOWN_DIM);
    ech_rope_row(&r, 1, known_rope[i].length, cosines, sines);
    ech_rope_row(&r, 37, known_rope[i].length, far[0], far[1]);
    for (int k = 0; k < KNOWN_DIM / 2; k++) {
        double want = known_rope[i].frequency[k], scale = known_rope[i].scale;
        double got = atan2((double)sines[k], (double)cosines[k]);
        double radius = hypot((double)sines[k], (double)cosines[k]);
        if (!(fabs(got / want - 1) < 1e-6 && fabs(radius / scale - 1) < 1e-6))
            fail_msg("%s, length %lld, pair %d: %.9g x %.9g, %.9g x %.9g was expected", known_rope[i].name,
                     (long long)known_rope[i].length, k, got, radius, want, scale);
        assert_true(fabs((double)far[0][k] - scale * cos(37 * want)) < 2e-5);
        assert_true(fabs((double)far[1][k] - scale * sin(37 * want)) < 2e-5);
    }
}

static void scalings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known_rope / sizeof *known_rope; i++) {
        compare(i, known_rope[i].config);
        compare(i, known_rope[i].older);
    }
}

/* Settings by layer type; a share of a head; a base under another name. */
static void places(void **state)
{
    (void)state;
    static const char both[] =
        "{\"rope_parameters\":{\"sliding_attention\":{\"rope_type\":\"default\","
        "\"rope_theta\":100},\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8,"
        "\"rope_theta\":10000}},\"rotary_emb_base\":100,\"rotary_pct\":0.5}";
    struct ech_err err = ECH_ERR_NONE;
    struct ech_rope r;
    json_t *config;
    struct ech_rope_defaults of = {.head_dim = 16, .context = 64, .base = 7, .part = 1};
    must(ech_json_parse("c", both, strlen(both), &config, &err), &err);
    of.layer_type = "sliding_attention";
    must(ech_rope_read(config, "c", &of, &r, &err), &err);
    assert_true(r.base == 100 && fabsf(r.frequency[4] - 0.1f) < 1e-6f);
    of.layer_type = "full_attention";
    must(ech_rope_read(config, "c", &of, &r, &err), &err);
    assert_true(r.base == 10000 && fabsf(r.frequency[4] - 0.01f / 8) < 1e-8f);
    json_object_del(config, "rope_parameters");
    of.base_key = "rotary_emb_base";
    of.part_key = "rotary_pct";
    must(ech_rope_read(config, "c", &of, &r, &err), &err);
    assert_true(r.dim == 8 && r.base == 100);
    of.part_key = of.base_key = NULL;
    must(ech_rope_read(config, "c", &of, &r, &err), &err);
    assert_true(r.dim == 16 && r.base == 7 && !r.interleaved && r.original == 0);
    json_decref(config);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } bad[] = {
        {"{\"rope_parameters\":{\"rope_type\":\"proportional\"}}",
         "rotary scaling \"proportional\" is not supported (known: linear"},
        {"{\"rope_scaling\":{\"type\":7}}", "type"},
        {"{\"rope_scaling\":{\"type\":\"linear\"}}", "has no \"factor\""},
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", "\"factor\" is 0"},
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":\"2\"}}", "factor"},
        {"{\"rope_theta\":-1}", "\"rope_theta\" is -1"},
        {"{\"partial_rotary_factor\":0.2}", "3 elements of a head of 16 turn"},
        {"{\"partial_rotary_factor\":2}", "32 elements of a head of 16"},
        {"{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":64}}",
         "high_freq_factor 4 is not above low_freq_factor 4"},
        {"{\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4}}",
         "original_max_position_embeddings"},
        {"{\"rope_scaling\":{\"type\":\"longrope\",\"original_max_position_embeddings\":64,"
         "\"short_factor\":[1,2],\"long_factor\":[1,2]}}",
         "\"short_factor\" has 2 numbers, 8 were expected"},
        {"{\"rope_scaling\":{\"type\":\"longrope\",\"original_max_position_embeddings\":64,"
         "\"short_factor\":[1,1,1,1,1,1,1,0],\"long_factor\":[1,1,1,1,1,1,1,1]}}",
         "\"short_factor\" has 0"},
        {"{\"rope_scaling\":{\"type\":\"yarn\",\"factor\":-4}}", "\"factor\" is -4"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_rope r;
        expect(read_rope(bad[i].config, 128, &r, &err), ECH_DATA, &err, bad[i].says);
    }
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(scalings), cmocka_unit_test(places),
                                          cmocka_unit_test(refused)};
ECH_TEST_MAIN(tests)
