/* Shortlists (tests/fuzz/make_models.py writes them): the words of a sentence, and lies, each refused by
 * place. */
#include "tests/unit/model/fixture.h"

#include "model/shortlist.h"

enum { SOURCES = 3, TARGETS = 70 };

static const char *made(const char *name)
{
    static char path[1024];
    const char *source = getenv("ECH_SOURCE");
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/shortlist/%s", source ? source : ".", name);
    return path;
}

static const struct {
    const char *file, *says;
} lies[] = {
    {"falling", "offset 2 is 1, 2 to 3 was expected"},
    {"beyond", "offset 3 is 4, 2 to 3 was expected"},
    {"foreign-word", "id 1 is 70, the model has 70 words"},
    {"no-first", "begins with 0 words"},
    {"huge-first", "begins with 9223372036854775808 words"},
    {"two-words", "is of 2 source words"},
    {"many-ids", "says 4 offsets and 4611686018427387904 ids, which is not its 88 bytes"},
    {"magic", "is no binary shortlist of Marian's"},
    {"head", "is no binary shortlist of Marian's"},
    {"short", "which is not its 87 bytes"},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct ech_shortlist *s;
        struct ech_err err = ECH_ERR_NONE;
        expect(ech_shortlist_open(made(lies[i].file), SOURCES, TARGETS, &s, &err), ECH_DATA, &err,
               lies[i].says);
    }
    struct ech_shortlist *s;
    struct ech_err err = ECH_ERR_NONE;
    expect(ech_shortlist_open("none.bin", SOURCES, TARGETS, &s, &err), ECH_NOINPUT, &err, "none.bin");
}

static void same_words(struct ech_shortlist *s, const int32_t *ids, int64_t count, const int32_t *want,
                       int64_t want_count)
{
    struct ech_err err = ECH_ERR_NONE;
    int32_t *found = NULL;
    int64_t n = 0;
    must(ech_shortlist_words(s, ids, count, &found, &n, &err), &err);
    assert_int_equal(n, want_count);
    assert_memory_equal(found, want, (size_t)n * sizeof *found);
    ech_free(found);
}

/* The first four, then the lists, ascending, filled up from 4 to a multiple of 8; nothing stays for the next.
 */
static void words(void **state)
{
    (void)state;
    struct ech_shortlist *s;
    struct ech_err err = ECH_ERR_NONE;
    static const int32_t both[] = {0, 1, 2, 3, 8, 9, 33, 69}, one[] = {0, 1, 2, 3, 4, 5, 6, 9},
                         none[] = {0, 1, 2, 3, 4, 5, 6, 7};
    must(ech_shortlist_open(made("three"), SOURCES, TARGETS, &s, &err), &err);
    same_words(s, (const int32_t[]){2, 0, 2}, 3, both, 8);
    same_words(s, (const int32_t[]){0}, 1, one, 8);
    same_words(s, (const int32_t[]){1, -1, 3, 1000000}, 4, none, 8);
    same_words(s, NULL, 0, none, 8);
    ech_shortlist_close(s);
    int32_t all[TARGETS];
    for (int i = 0; i < TARGETS; i++)
        all[i] = i;
    must(ech_shortlist_open(made("all"), SOURCES, TARGETS, &s, &err), &err);
    same_words(s, (const int32_t[]){0, 1}, 2, all, TARGETS); /* no multiple of 8, but there are no more */
    ech_shortlist_close(s);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(words)};
ECH_TEST_MAIN(tests)
