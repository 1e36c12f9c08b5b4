/* runtime/data: the manifest. What is printed is parsed again; every flipped byte is noticed; hostile text is
 * refused with its place. */
#include "tests/harness.h"

#include "base/mem.h"
#include "data/manifest.h"

static void fill(struct ech_manifest *m)
{
    static const struct ech_column columns[] = {
        {.name = "text", .type = ECH_TEXT, .dtype = ECH_U8},
        {.name = "v", .type = ECH_TENSOR, .dtype = ECH_F16, .dim = 384},
    };
    *m = (struct ech_manifest){.generation = 2, .rows = 15, .uuid = {1, 2}};
    m->columns = ech_calloc(2, sizeof *m->columns, NULL);
    memcpy(m->columns, columns, sizeof columns);
    m->column_count = m->shard_count = 2;
    m->shards = ech_calloc(2, sizeof *m->shards, NULL);
    m->shards[0] = (struct ech_manifest_shard){"shard-00000.h5", 1, 0, 10, 100000};
    m->shards[1] = (struct ech_manifest_shard){"shard-00001.h5", 2, 10, 5, 50000};
    m->roots = ech_calloc(4, sizeof *m->roots, NULL);
    m->root_count = 4;
    for (uint64_t i = 0; i < 4; i++)
        m->roots[i] = (struct ech_hash){i, ~i};
    assert_int_equal(ech_manifest_add_provenance(m, "  who: me\n\n  note: |\n    two\n    lines", NULL),
                     ECH_OK);
}

static char *print(struct ech_manifest *m, size_t *bytes)
{
    struct ech_str s;
    struct ech_err err = ECH_ERR_NONE;
    ech_str_init(&s);
    if (ech_manifest_print(m, &s, &err) != ECH_OK)
        fail_msg("%s:%d:%d %s", err.file, err.line, err.column, err.text);
    *bytes = s.length;
    return ech_str_take(&s, NULL);
}

static void round_trip(void **state)
{
    (void)state;
    struct ech_manifest m, again;
    size_t bytes, bytes2;
    fill(&m);
    char *text = print(&m, &bytes);
    assert_int_equal(ech_manifest_parse("m", text, bytes, &again, NULL), ECH_OK);
    assert_int_equal(again.format, ECH_MANIFEST_FORMAT);
    assert_true(again.rows == 15 && again.generation == 2 && again.shard_count == 2 &&
                again.column_count == 2);
    assert_string_equal(again.columns[1].name, "v");
    assert_true(again.columns[1].dim == 384 && again.columns[1].dtype == ECH_F16);
    assert_memory_equal(again.roots, m.roots, 4 * sizeof *m.roots);
    assert_true(ech_hash_equal(again.identity, m.identity) && ech_hash_equal(again.uuid, m.uuid));
    assert_string_equal(again.provenance, m.provenance);
    char *text2 = print(&again, &bytes2);
    assert_string_equal(text, text2);
    ech_free(text2);
    /* The identity does not hear of provenance. */
    ech_free(again.provenance);
    again.provenance = NULL;
    text2 = print(&again, &bytes2);
    assert_true(bytes2 < bytes && ech_hash_equal(again.identity, m.identity));
    ech_free(text2);
    ech_free(text);
    ech_manifest_fini(&m);
    ech_manifest_fini(&again);
}

static void flips_and_cuts(void **state)
{
    (void)state;
    struct ech_manifest m, out;
    size_t bytes;
    fill(&m);
    char *text = print(&m, &bytes);
    for (size_t i = 0; i < bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct ech_err err = ECH_ERR_NONE;
            text[i] = (char)(text[i] ^ 1 << bit);
            if (ech_manifest_parse("m", text, bytes, &out, &err) == ECH_OK)
                fail_msg("bit %d of byte %zu changed and nobody noticed", bit, i);
            assert_int_equal(err.code, ECH_DATA);
            text[i] = (char)(text[i] ^ 1 << bit);
        }
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(ech_manifest_parse("m", text, i, &out, NULL), ECH_DATA);
    ech_free(text);
    ech_manifest_fini(&m);
}

#define HEAD "format: 1\nmin_reader: 1\nuuid: 00000000000000010000000000000002\ngeneration: 1\nrows: 3\n"
#define CODE "encoding: plain\nkeys: []\n"
#define COLS "columns:\n  - {name: t, type: text, dtype: u8, dim: 0}\n"
#define ROOT "roots: [00000000000000010000000000000002]"
#define ONE  "  - {file: shard-00000.h5, generation: 1, first_row: 0, rows: 3, bytes: 900, " ROOT "}\n"
#define TAIL "provenance: []\n"

/* `text` with the right hash behind it. */
static int parse_signed(const char *text, struct ech_err *err)
{
    struct ech_manifest m;
    struct ech_str s;
    char hex[ECH_HASH_HEX];
    ech_str_init(&s);
    ech_str_adds(&s, text);
    ech_str_addf(&s, "hash: %s\n", ech_hash_print(ech_hash_bytes(text, strlen(text)), hex));
    int code = ech_manifest_parse("m", s.data, s.length, &m, err);
    if (code == ECH_OK)
        ech_manifest_fini(&m);
    ech_str_fini(&s);
    return code;
}

static void hostile(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        int line;
    } cases[] = {
        {HEAD CODE COLS "shards:\n" ONE TAIL, NULL, 0},
        {HEAD CODE COLS "shards:\n" ONE "later_key: {a: [b, {c: d}]}\n" TAIL, NULL, 0},
        {"", "a manifest", 1},
        {"- 1\n", "a manifest was expected", 1},
        {"format: 1\n", "without 'min_reader'", 1},
        {"format: x\n", "format is 'x'", 1},
        {"format: 1\nmin_reader: 2\n", "use a newer version", 2},
        {"format: 1\nformat: 1\n", "'format' comes twice", 2},
        {"format: &a 1\nmin_reader: *a\n", "anchor", 1},
        {"format: 1\nmin_reader: *a\n", "alias", 2},
        {"format: !!int 1\n", "tag", 1},
        {"format: [1\n", "format was expected here", 1},
        {"format: \"1\n", "not YAML", 0},
        {"\tformat: 1\n", "not YAML", 1},
        {"format: 1\n--- \nformat: 1\n", "without", 1},
        {HEAD CODE COLS "shards:\n" ONE TAIL "hash: 00000000000000010000000000000002\n---\nmore: 1\n",
         "the end of the file was", 0},
        {HEAD "encoding: sealed\n", "'sealed' is not known", 6},
        {HEAD "encoding: plain\nkeys: [abc]\n", "has no keys", 7},
        {HEAD CODE "columns: []\nshards: []\n" TAIL, "without columns", 1},
        {HEAD CODE "shards: []\n" COLS TAIL, "the shards have 0", 1},
        {HEAD CODE "shards:\n  - {file: shard-00000.h5, generation: 1, first_row: 0, rows: 3, bytes: 9, "
                   "roots: []}\n" COLS TAIL,
         "columns before the shards", 9},
        {HEAD CODE "columns:\n  - {name: a/b, type: text, dtype: u8, dim: 0}\n", "not a name", 9},
        {HEAD CODE "columns:\n  - {name: t, type: blob, dtype: u8, dim: 0}\n", "'blob' is no type", 9},
        {HEAD CODE "columns:\n  - {name: t, type: text, dtype: f32, dim: 0}\n", "do not go together", 9},
        {HEAD CODE "columns:\n  - {name: t, type: text, dtype: u8}\n", "a column without 'dim'", 9},
        {HEAD CODE COLS "  - {name: t, type: text, dtype: u8, dim: 0}\n", "two columns have the name t", 10},
        {HEAD CODE COLS "shards:\n  - {file: ../../etc/passwd}\n", "shard-00000.h5 was expected", 11},
        {HEAD CODE COLS "shards:\n" ONE ONE TAIL, "shard-00001.h5 was expected", 12},
        {HEAD CODE COLS
         "shards:\n  - {file: shard-00000.h5, generation: 1, first_row: 1, rows: 2, bytes: 900, " ROOT
         "}\n" TAIL,
         "first_row does not follow", 11},
        {HEAD CODE COLS
         "shards:\n  - {file: shard-00000.h5, generation: 1, first_row: 0, rows: 3, bytes: 900, "
         "roots: []}\n" TAIL,
         "one root a column", 11},
        {HEAD CODE COLS
         "shards:\n  - {file: shard-00000.h5, generation: 1, first_row: 0, rows: 3, bytes: 900, "
         "roots: [00000000000000010000000000000002, 00000000000000010000000000000002]}\n" TAIL,
         "more roots", 11},
        {HEAD CODE COLS "shards:\n  - {file: shard-00000.h5, generation: 1, first_row: 0, rows: "
                        "9223372036854775807, bytes: 900, " ROOT "}\n" TAIL,
         "more rows than a file", 11},
        {HEAD CODE COLS
         "shards:\n  - {file: shard-00000.h5, generation: 2, first_row: 0, rows: 3, bytes: 900, " ROOT
         "}\n" TAIL,
         "newer than generation 1", 1},
        {HEAD CODE COLS "shards: []\n" TAIL, "rows is 3, the shards have 0", 1},
        {HEAD CODE COLS "shards:\n" ONE "x: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n" TAIL,
         "nested deeper", 12},
        {HEAD CODE COLS "shards:\n" ONE "x: {a: 1, a: 2}\n" TAIL, "'a' comes twice", 12},
        {HEAD CODE COLS "shards:\n" ONE "x: {[1]: 2}\n" TAIL, "a key must be plain text", 12},
        {HEAD CODE COLS "shards:\n" ONE "other: {provenance: 1}\n", "without 'provenance'", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_err err = ECH_ERR_NONE;
        int code = parse_signed(cases[i].text, &err);
        if ((code == ECH_OK) != (cases[i].says == NULL) ||
            (cases[i].says &&
             (!strstr(err.text, cases[i].says) || (cases[i].line && err.line != cases[i].line))))
            fail_msg("case %zu: code %d, line %d: %s", i, code, err.line, err.text);
        assert_true(code == ECH_OK || (code == ECH_DATA && strcmp(err.file, "m") == 0));
    }
}

static void large(void **state)
{
    (void)state;
    struct ech_manifest m;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_manifest_parse("m", "", (size_t)ECH_MANIFEST_BYTES_MOST + 1, &m, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "at most 67108864"));
    /* A million opening brackets end at the depth limit, not on the stack. */
    size_t bytes = 1 << 20;
    char *text = ech_calloc(bytes, 1, NULL);
    memset(text, '[', bytes);
    memcpy(text, "x: ", 3);
    assert_int_equal(ech_manifest_parse("m", text, bytes, &m, NULL), ECH_DATA);
    memset(text, 'a', bytes);
    assert_int_equal(ech_manifest_parse("m", text, bytes, &m, NULL), ECH_DATA);
    memset(text, 0, bytes);
    assert_int_equal(ech_manifest_parse("m", text, bytes, &m, NULL), ECH_DATA);
    ech_free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(round_trip),
    cmocka_unit_test(flips_and_cuts),
    cmocka_unit_test(hostile),
    cmocka_unit_test(large),
};

ECH_TEST_MAIN(tests)
