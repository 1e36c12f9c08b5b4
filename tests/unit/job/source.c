/* Where a job's rows come from: columns, templates, lists of texts; sizes are those of what is read. */
#include "tests/unit/job/fixture.h"

#include "config/kinds/classify.h"
#include "job/source.h"

enum { ROWS = 40 };

static const struct ech_column columns[] = {
    {.name = "title", .type = ECH_TEXT, .dtype = ECH_U8},
    {.name = "text", .type = ECH_TEXT, .dtype = ECH_U8},
    {.name = "meta", .type = ECH_JSON, .dtype = ECH_U8},
    {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1},
    {.name = "vector", .type = ECH_TENSOR, .dtype = ECH_F32, .dim = 3},
    {.name = "half", .type = ECH_TENSOR, .dtype = ECH_F16, .dim = 3},
};
enum { TITLE, TEXT, META, ID, VECTOR, HALF };

static void cell(int64_t row, int column, struct ech_str *out)
{
    float vector[3] = {(float)row, 0.5f, -1};
    if (column == TITLE)
        ech_str_addf(out, "title %d", (int)row);
    else if (column == TEXT)
        for (int64_t i = 0; i < row % 5; i++)
            ech_str_adds(out, i % 2 ? "\xc3\xa9{}" : "long text ");
    else if (column == META)
        ech_str_addf(out, "{\"row\": %d}", (int)row);
    else if (column == ID)
        ech_str_add(out, &row, sizeof row);
    else
        ech_str_add(out, vector, column == VECTOR ? 12 : 6);
}

static struct ech_dataset *dataset(void)
{
    put_dataset("in", &(struct table){columns, 6, ROWS, 700, cell});
    return open_dataset("in");
}

static int open_source(const struct ech_dataset *ds, const char *column, const char *template,
                       struct ech_source **out, struct ech_err *err)
{
    struct ech_job job = {
        .input = {.column = (char *)(uintptr_t)column, .template_ = (char *)(uintptr_t) template}};
    return ech_source_open(&job, ds, NULL, out, err);
}

/* "$0" and so on in `shape` stand for the cells of a row. */
static void expect_rows(const struct ech_source *source, const char *shape)
{
    static const int64_t ranges[][2] = {{0, ROWS}, {0, 1}, {ROWS - 1, 1}, {7, 20}, {5, 0}};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_cells cells = {0};
    struct ech_str want;
    ech_str_init(&want);
    assert_int_equal(ech_source_rows(source), ROWS);
    for (size_t r = 0; r < 5; r++) {
        int64_t first = ranges[r][0], count = ranges[r][1];
        must(ech_source_read(source, first, count, &cells, &err), &err);
        assert_int_equal(cells.rows, count);
        for (int64_t i = 0; i < count; i++) {
            ech_str_clear(&want);
            for (const char *p = shape; *p; p++)
                if (*p == '$')
                    cell(first + i, *++p - '0', &want);
                else
                    ech_str_addc(&want, *p);
            assert_int_equal(cells.offsets[i + 1] - cells.offsets[i], want.length);
            if (want.length)
                assert_memory_equal(cells.bytes + cells.offsets[i], want.data, want.length);
        }
        if (count == ROWS)
            assert_int_equal(ech_source_bytes(source), cells.offsets[count]);
    }
    ech_str_fini(&want);
    ech_cells_fini(&cells);
}

static void templates(void **state)
{
    (void)state;
    static const struct {
        const char *template, *shape;
    } cases[] = {
        {"{title} {text}", "$0 $1"},
        {"{text}", "$1"},
        {"{text}{text}{title}", "$1$1$0"},
        {"{{{title}}}", "{$0}"},
        {"{{}}{meta}", "{}$2"},
        {"{{title}} is {title}", "{title} is $0"},
        {"\xe2\x82\xac{title}\n", "\xe2\x82\xac$0\n"},
    };
    struct ech_err err = ECH_ERR_NONE;
    struct ech_dataset *ds = dataset();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ech_source *source;
        must(open_source(ds, "text", cases[i].template, &source, &err), &err);
        assert_int_equal(ech_source_column(source)->type, ECH_TEXT);
        expect_rows(source, cases[i].shape);
        ech_source_close(source);
    }
    ech_dataset_close(ds);
}

static void wrong_templates_and_columns(void **state)
{
    (void)state;
    static const struct {
        const char *column, *template, *says;
    } cases[] = {
        {"text", "{titel} {text}", "title"},
        {"text", "x {title", "input.template: the { at character 3 has no }"},
        {"text", "{{{", "input.template: the { at character 3 has no }"},
        {"text", "{}", "input.template"},
        {"text", "{ title }", "input.template"},
        {"text", "{id}", "column id of in is ints, text is expected"},
        {"text", "{vector}", "column vector of in is tensor"},
        {"text", "", "input.template: it names no column"},
        {"text", "all literal", "input.template: it names no column"},
        {"text", "a}b {title}", "input.template: the } at character 2 has no {"},
        {"txet", NULL, "text"},
        {"id", NULL, "input.column: column id of in is ints, text is expected"},
        {"half", NULL, "input.column: column half of in is tensor"},
    };
    struct ech_dataset *ds = dataset();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_source *source = NULL;
        int code = open_source(ds, cases[i].column, cases[i].template, &source, &err);
        expect(code, ECH_CONFIG, &err, cases[i].says);
        assert_null(source);
    }
    ech_dataset_close(ds);
}

static void plain_columns(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shape;
        int column;
    } cases[] = {{"text", "$1", TEXT}, {"meta", "$2", META}, {"vector", "$4", VECTOR}};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_dataset *ds = dataset();
    for (size_t i = 0; i < 3; i++) {
        struct ech_source *source;
        must(open_source(ds, cases[i].name, NULL, &source, &err), &err);
        assert_string_equal(ech_source_column(source)->name, cases[i].name);
        assert_int_equal(ech_source_column(source)->dim, columns[cases[i].column].dim);
        expect_rows(source, cases[i].shape);
        ech_source_close(source);
    }
    ech_dataset_close(ds);
}

static int open_pairs(const struct ech_dataset *ds, const char *template, const char *pair,
                      struct ech_source **out, struct ech_err *err)
{
    struct ech_classify_options options = {.pair = (char *)(uintptr_t)pair};
    struct ech_job job = {.kind = ech_kind_find("classify"),
                          .options = &options,
                          .input = {.column = "title", .template_ = (char *)(uintptr_t) template}};
    return ech_source_open(&job, ds, NULL, out, err);
}

/* Both texts behind the length of the first. */
static void pairs(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_cells cells = {0};
    struct ech_dataset *ds = dataset();
    struct ech_source *source;
    for (int with = 0; with < 2; with++) {
        must(open_pairs(ds, with ? "<{title}>" : NULL, "text", &source, &err), &err);
        assert_true(ech_source_paired(source));
        must(ech_source_read(source, 0, ROWS, &cells, &err), &err);
        assert_int_equal(cells.rows, ROWS);
        assert_int_equal(ech_source_bytes(source), cells.offsets[ROWS]);
        for (int64_t row = 0; row < ROWS; row++) {
            struct ech_str first, second;
            ech_str_init(&first);
            ech_str_init(&second);
            ech_str_adds(&first, with ? "<" : "");
            cell(row, TITLE, &first);
            ech_str_adds(&first, with ? ">" : "");
            cell(row, TEXT, &second);
            const unsigned char *at = cells.bytes + cells.offsets[row];
            assert_int_equal(cells.offsets[row + 1] - cells.offsets[row], 8 + first.length + second.length);
            assert_int_equal(at[0], first.length);
            assert_memory_equal(at + 1, "\0\0\0\0\0\0", 7);
            assert_memory_equal(at + 8, first.data, first.length);
            if (second.length)
                assert_memory_equal(at + 8 + first.length, second.data, second.length);
            ech_str_fini(&first);
            ech_str_fini(&second);
        }
        ech_source_close(source);
    }
    ech_cells_fini(&cells);
    must(open_pairs(ds, NULL, NULL, &source, &err), &err);
    assert_false(ech_source_paired(source));
    ech_source_close(source);
    expect(open_pairs(ds, NULL, "txt", &source, &err), ECH_CONFIG, &err, "options.pair: ");
    ech_err_clear(&err);
    expect(open_pairs(ds, NULL, "id", &source, &err), ECH_CONFIG, &err, "column id of in is ints, text is");
    ech_dataset_close(ds);
}

static void texts_of_the_job(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char *items[] = {(char[]){"draw a graph"}, (char[]){""}, (char[]){"\xc3\xa9"}};
    struct ech_list texts = {.items = items, .count = 3};
    struct ech_job job = {0};
    struct ech_source *source;
    struct ech_cells cells = {0};
    must(ech_source_open(&job, NULL, &texts, &source, &err), &err);
    assert_int_equal(ech_source_rows(source), 3);
    assert_int_equal(ech_source_bytes(source), 14);
    for (int64_t first = 0; first < 3; first++)
        for (int64_t count = 0; first + count <= 3; count++) {
            must(ech_source_read(source, first, count, &cells, &err), &err);
            assert_int_equal(cells.rows, count);
            for (int64_t i = 0; i < count; i++) {
                size_t length = (size_t)(cells.offsets[i + 1] - cells.offsets[i]);
                assert_int_equal(length, strlen(items[first + i]));
                assert_true(!length || !memcmp(cells.bytes + cells.offsets[i], items[first + i], length));
            }
        }
    ech_cells_fini(&cells);
    ech_source_close(source);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(templates),        cmocka_unit_test(wrong_templates_and_columns),
    cmocka_unit_test(plain_columns),    cmocka_unit_test(pairs),
    cmocka_unit_test(texts_of_the_job),
};

ECH_TEST_MAIN(tests)
