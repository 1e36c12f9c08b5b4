/* Speeds that are kept between runs, whatever the file holds; the spans of leases. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"
#include "job/probe.h"
#include "job/spans.h"
#include "job/speed_cache.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[512];

static const char *file(void)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/echelon/speeds/h.jsonl", folder);
    return path;
}

static void begin(void)
{
    char here[400];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(folder, sizeof folder, "%s/cache", here);
    assert_int_equal(ech_remove_all(folder, NULL), ECH_OK);
    setenv("XDG_CACHE_HOME", folder, 1);
}

static void holds(const char *text, size_t bytes)
{
    char *parent = ech_path_dir(file(), NULL);
    assert_int_equal(ech_mkdir_all(parent, NULL), ECH_OK);
    assert_int_equal(ech_write_file(file(), text, bytes, NULL), ECH_OK);
    ech_free(parent);
}

static void kept(void **state)
{
    (void)state;
    char why[ECH_SPEED_WHY];
    struct ech_probe in = {1234.5, 67.25, 8e9}, out = {0};
    begin();
    assert_false(ech_speed_cache_get("h", "a \"key\" | \xc3\xa9", &out, why));
    assert_string_equal(why, ""); /* nothing there is nothing wrong */
    assert_true(ech_speed_cache_put("h", "a \"key\" | \xc3\xa9", &in, NULL, why));
    assert_true(ech_speed_cache_get("h", "a \"key\" | \xc3\xa9", &out, why));
    assert_true(out.tokens_s == 1234.5 && out.few_tokens_s == 67.25 && out.weights_bytes_s == 8e9);
    assert_false(ech_speed_cache_get("h", "a \"key\"", &out, why));
    assert_false(ech_speed_cache_get("other", "a \"key\" | \xc3\xa9", &out, why));
    in.tokens_s = 2;
    assert_true(ech_speed_cache_put("h", "a \"key\" | \xc3\xa9", &in, NULL, why));
    assert_true(ech_speed_cache_get("h", "a \"key\" | \xc3\xa9", &out, why) && out.tokens_s == 2);
    assert_true(ech_speed_cache_put("h", "a \"key\" | \xc3\xa9", NULL, "it was slower", why));
    assert_false(ech_speed_cache_get("h", "a \"key\" | \xc3\xa9", &out, why));
    assert_string_equal(why, "");
    assert_true(ech_speed_cache_put("../h/x", "k", &in, NULL, why)); /* no way out of the folder */
    assert_true(ech_speed_cache_get("../h/x", "k", &out, why));
    char inside[600];
    snprintf(inside, sizeof inside, "%s/echelon/speeds/_.._h_x.jsonl", folder);
    assert_true(ech_path_exists(inside));
}

/* Each bad line is ignored with a reason that names it, and hides nothing that is good. */
static void hostile_lines(void **state)
{
    (void)state;
    static const char good[] = "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":7}\n";
    static const char *const bad[] = {"no JSON",
                                      "[]",
                                      "7",
                                      "{}",
                                      "{\"v\":2,\"key\":\"k\",\"tokens_per_s\":9}",
                                      "{\"v\":1,\"key\":7,\"tokens_per_s\":9}",
                                      "{\"v\":1,\"key\":\"k\"}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":-9}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":0}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":1e300}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":1e999}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":\"9\"}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":9,\"few_tokens_per_s\":-1}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":9,\"weights_bytes_per_s\":[]}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":9,\"tokens_per_s\":8}",
                                      "{\"v\":1,\"key\":\"k\",\"tokens_per_s\":9",
                                      "\xff\xfe",
                                      "{\"v\":1,\"key\":\"k\",\"forgotten\":3}"};
    char why[ECH_SPEED_WHY], text[512];
    struct ech_probe out;
    begin();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int order = 0; order < 2; order++) {
            out = (struct ech_probe){0};
            snprintf(text, sizeof text, "%s%s\n%s", order ? good : "", bad[i], order ? "" : good);
            holds(text, strlen(text));
            assert_true(ech_speed_cache_get("h", "k", &out, why));
            assert_true(out.tokens_s == 7);
            assert_non_null(strstr(why, order ? "line 2" : "line 1"));
            holds(bad[i], strlen(bad[i]));
            assert_false(ech_speed_cache_get("h", "k", &out, why));
            assert_true(why[0]);
        }
    holds("\0\0\0\n", 4);
    assert_false(ech_speed_cache_get("h", "k", &out, why));
    assert_true(why[0]);
}

/* What is no plain file, and what is too large. Nothing is waited for. */
static void hostile_files(void **state)
{
    (void)state;
    char why[ECH_SPEED_WHY];
    struct ech_probe in = {.tokens_s = 5}, out;
    begin();
    holds("", 0);
    assert_int_equal(unlink(file()), 0);
    assert_int_equal(mkfifo(file(), 0600), 0);
    assert_false(ech_speed_cache_get("h", "k", &out, why));
    assert_non_null(strstr(why, "not a plain file"));
    assert_false(ech_speed_cache_put("h", "k", &in, NULL, why));
    assert_true(why[0]);
    assert_int_equal(unlink(file()), 0);
    assert_int_equal(mkdir(file(), 0700), 0);
    assert_false(ech_speed_cache_get("h", "k", &out, why));
    assert_true(why[0]);
    assert_int_equal(rmdir(file()), 0);
    assert_int_equal(symlink("h.jsonl", file()), 0);
    assert_false(ech_speed_cache_get("h", "k", &out, why));
    assert_int_equal(unlink(file()), 0);
    char *large = calloc(1, (1 << 20) + 1);
    holds(large, (1 << 20) + 1);
    free(large);
    assert_false(ech_speed_cache_get("h", "k", &out, why));
    assert_non_null(strstr(why, "larger than"));
    assert_true(ech_speed_cache_put("h", "k", &in, NULL, why)); /* begun anew */
    assert_true(ech_speed_cache_get("h", "k", &out, why) && out.tokens_s == 5);
    assert_string_equal(why, "");
    assert_true(ech_file_size(file(), NULL) < 300);
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    assert_false(ech_speed_cache_put("h", "k", &in, NULL, why));
    assert_non_null(strstr(why, "/proc/nowhere"));
    assert_false(ech_speed_cache_get("h", "k", &out, why));
}

static void stays_small(void **state)
{
    (void)state;
    char why[ECH_SPEED_WHY], key[64];
    struct ech_probe in = {.tokens_s = 5}, out;
    begin();
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        assert_true(ech_speed_cache_put("h", key, &in, NULL, why));
        assert_true(ech_file_size(file(), NULL) < (256 << 10) + 512);
    }
    assert_true(ech_speed_cache_get("h", key, &out, why));
    /* behind a line that a crash cut off, too */
    holds("{\"v\":1,\"ke", 10);
    assert_true(ech_speed_cache_put("h", "k", &in, NULL, why));
    assert_true(ech_speed_cache_get("h", "k", &out, why));
    assert_non_null(strstr(why, "line 1"));
}

/* --- the probe around it --- */

struct ech_stream {
    int probes;
    double speed;
};

static int fake_probe(struct ech_stream *s, double tokens, double seconds, struct ech_probe *out,
                      struct ech_err *err)
{
    (void)tokens, (void)seconds, (void)err;
    s->probes++;
    *out = (struct ech_probe){.tokens_s = s->speed, .few_tokens_s = 1, .weights_bytes_s = 2};
    return ECH_OK;
}

static void fake_shape(const struct ech_stream *s, char *out, size_t bytes)
{
    (void)s;
    snprintf(out, bytes, "a shape");
}

static const char *fake_text(const struct ech_stream *s)
{
    (void)s;
    return "text";
}

static void measured_once(void **state)
{
    (void)state;
    static const struct ech_kind_ops kind = {.name = "fake",
                                             .probe = fake_probe,
                                             .shape = fake_shape,
                                             .backend = fake_text,
                                             .precision = fake_text,
                                             .numerics = fake_text};
    struct ech_stream s = {.speed = 1000};
    struct ech_probe_ask ask = {
        .kind = &kind, .stream = &s, .host = "h", .threads = 2, .places = 1, .tokens_a_row = 20};
    struct ech_probe out;
    bool cached;
    begin();
    assert_false(ech_probe_known(&ask, &out));
    assert_int_equal(ech_probe_get(&ask, &out, &cached, NULL), ECH_OK);
    assert_true(!cached && s.probes == 1 && out.tokens_s == 1000);
    s.speed = 3000;
    assert_int_equal(ech_probe_get(&ask, &out, &cached, NULL), ECH_OK);
    assert_true(cached && s.probes == 1 && out.tokens_s == 1000 && out.few_tokens_s == 1);
    assert_true(ech_probe_known(&ask, &out));
    ask.tokens_a_row = 20.5; /* rows of about as many tokens */
    assert_true(ech_probe_known(&ask, &out));
    struct ech_probe_ask others[] = {ask, ask, ask, ask, ask};
    others[0].threads = 1;
    others[1].places = 2;
    others[2].place = 1;
    others[3].tokens_a_row = 40;
    others[4].host = "other";
    for (int i = 0; i < 5; i++)
        assert_false(ech_probe_known(&others[i], &out));
    /* What a run saw: within the factor, too short to tell, beyond it. */
    assert_int_equal(ech_probe_get(&ask, &out, &cached, NULL), ECH_OK);
    ech_probe_seen(&ask, &out, 10 * 1400, 10);
    ech_probe_seen(&ask, &out, 10 * 700, 10);
    ech_probe_seen(&ask, &out, 0.9 * 5000, 0.9);
    assert_true(ech_probe_known(&ask, &out));
    ech_probe_seen(&ask, &out, 10 * 600, 10);
    assert_false(ech_probe_known(&ask, &out));
    assert_int_equal(ech_probe_get(&ask, &out, &cached, NULL), ECH_OK);
    assert_true(!cached && s.probes == 2 && out.tokens_s == 3000);
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1); /* no cache is no error */
    assert_int_equal(ech_probe_get(&ask, &out, &cached, NULL), ECH_OK);
    assert_true(!cached && s.probes == 3);
}

/* --- spans --- */

static void told(struct ech_spans *s, double now, const char *expected)
{
    struct ech_str out;
    ech_str_init(&out);
    ech_spans_tell(s, now, &out);
    assert_string_equal(out.length ? out.data : "", expected);
    ech_str_fini(&out);
}

static void spans_follow_one_another(void **state)
{
    (void)state;
    struct ech_spans s = {0};
    told(&s, 5, "");
    ech_spans_claim(&s, 100, false, 10);
    ech_spans_claim(&s, 200, false, 10.5);
    ech_spans_claim(&s, 300, true, 11);
    ech_spans_done(&s, 200, 20, 12); /* in another order than they were claimed */
    ech_spans_done(&s, 100, 10, 13);
    told(&s, 14, "{\"spans\":[[3500,2000,20,1,0],[2000,1000,10,1,0]]");
    told(&s, 14, "");
    ech_spans_claim(&s, 400, false, 20); /* idle before */
    ech_spans_done(&s, 300, 5, 21);
    ech_spans_done(&s, 400, 6, 22);
    told(&s, 22, "{\"spans\":[[9000,1000,5,1,1],[1000,0,6,1,0]]");
    for (int i = 0; i < 100; i++) { /* more than are told: the last are one */
        ech_spans_claim(&s, 1000 + i, false, 30 + i * 0.01);
        ech_spans_done(&s, 1000 + i, 2, 30 + (i + 1) * 0.01);
    }
    assert_true(s.told_count == ECH_SPANS_TOLD &&
                s.told[ECH_SPANS_TOLD - 1].leases == 100 - ECH_SPANS_TOLD + 1);
    for (int i = 0; i < 200; i++) /* leases that never end are forgotten */
        ech_spans_claim(&s, 5000 + i, false, 40);
    assert_int_equal(s.open_count, ECH_SPANS_OPEN);
    ech_spans_done(&s, 5199, 1, 41);
    assert_int_equal(s.open_count, ECH_SPANS_OPEN - 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(kept),          cmocka_unit_test(hostile_lines),
    cmocka_unit_test(hostile_files), cmocka_unit_test(stays_small),
    cmocka_unit_test(measured_once), cmocka_unit_test(spans_follow_one_another),
};
ECH_TEST_MAIN(tests)
