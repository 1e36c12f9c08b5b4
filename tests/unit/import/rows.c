/* Cutting files into rows: whatever the number of ranks, their rows together are those of one rank. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/rows.h"
#include "data/source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { FILES_MAX = 4 };

static void write_text(const char *path, const char *text, size_t bytes)
{
    assert_int_equal(ech_write_file(path, text, bytes, NULL), ECH_OK);
}

static bool odd_quotes(const char *text, int64_t bytes)
{
    bool odd = false;
    for (int64_t i = 0; i < bytes; i++)
        odd ^= text[i] == '"';
    return odd;
}

/* All rows of one rank of `size`, each as "[file:first:text]". */
static void collect(const struct ech_source_file *files, const struct ech_str *texts, int count, int rank,
                    int size, bool quotes, struct ech_str *out)
{
    struct ech_piece pieces[FILES_MAX];
    struct ech_rows *rows;
    struct ech_row row;
    bool more = true;
    struct ech_err err = ECH_ERR_NONE;
    int found = ech_source_split(files, count, rank, size, pieces);
    for (int p = 0; p < found; p++)
        pieces[p].odd = quotes && files[pieces[p].file].codec == ECH_PLAIN &&
                        odd_quotes(texts[pieces[p].file].data, pieces[p].begin);
    const struct ech_rows_source source = {files, pieces, found, quotes, 1 << 20};
    assert_int_equal(ech_rows_open(&source, &rows, &err), ECH_OK);
    for (;;) {
        assert_int_equal(ech_rows_next(rows, &row, &more, &err), ECH_OK);
        if (!more)
            break;
        ech_str_addf(out, "[%d:%lld:%d:", row.file, (long long)row.offset, row.first);
        ech_str_add(out, row.text, row.bytes);
        ech_str_addc(out, ']');
    }
    ech_rows_close(rows);
}

static void compare_ranks(const struct ech_source_file *files, const struct ech_str *texts, int count,
                          bool quotes)
{
    struct ech_str one = {0};
    collect(files, texts, count, 0, 1, quotes, &one);
    for (int size = 2; size <= 9; size++) {
        struct ech_str many = {0};
        for (int rank = 0; rank < size; rank++)
            collect(files, texts, count, rank, size, quotes, &many);
        if (many.length != one.length || (one.length && memcmp(many.data, one.data, one.length) != 0))
            fail_msg("%d ranks:\n%s\none:\n%s", size, many.data, one.data);
        ech_str_fini(&many);
    }
    ech_str_fini(&one);
}

/* A file of random pieces whose quotes are as RFC 4180 wants them. */
static void random_text(struct ech_str *out, bool quotes)
{
    static const char *const pieces[] = {"a",    "bc,d",           "\n",       "\r\n",
                                         "\n\n", "long long text", "\xC3\xA9", ","};
    static const char *const quoted[] = {"\"x\"", "\"a\nb\"", "\"\"", "\"\"\"\n\"\"\"", "\"\r\n\n\"\n"};
    ech_str_adds(out, rand() % 4 == 0 ? "\xEF\xBB\xBF" : "");
    for (int n = rand() % 12; n > 0; n--)
        ech_str_adds(out, quotes && rand() % 2 ? quoted[rand() % 5] : pieces[rand() % 8]);
}

static void any_ranks(void **state)
{
    (void)state;
    static const char *const names[FILES_MAX] = {"a", "b", "c", "d"};
    srand(3);
    for (int round = 0; round < 150; round++) {
        struct ech_source_file files[FILES_MAX];
        struct ech_str texts[FILES_MAX] = {{0}};
        int count = 1 + rand() % FILES_MAX;
        bool quotes = rand() % 2;
        for (int f = 0; f < count; f++) {
            random_text(&texts[f], quotes);
            write_text(names[f], texts[f].data, texts[f].length);
            files[f] = (struct ech_source_file){names[f], ECH_PLAIN, (int64_t)texts[f].length};
        }
        compare_ranks(files, texts, count, quotes);
        for (int f = 0; f < count; f++)
            ech_str_fini(&texts[f]);
    }
}

/* Rows around the size of the window, and larger. */
static void large_rows(void **state)
{
    (void)state;
    struct ech_str text = {0};
    for (int n = 0; n < 9; n++) {
        size_t bytes = (size_t)((256 << 10) - 4 + n);
        for (size_t i = 0; i < bytes; i++)
            ech_str_addc(&text, (char)('a' + n));
        ech_str_adds(&text, n % 2 ? "\r\n" : "\n");
    }
    write_text("big", text.data, text.length);
    struct ech_source_file file = {"big", ECH_PLAIN, (int64_t)text.length};
    compare_ranks(&file, &text, 1, false);
    ech_str_fini(&text);
}

static void row_limit(void **state)
{
    (void)state;
    struct ech_source_file file = {"long", ECH_PLAIN, 0};
    struct ech_piece piece = {0, 0, INT64_MAX, false};
    struct ech_rows *rows;
    struct ech_row row;
    bool more;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str text = {0};
    ech_str_adds(&text, "one\n\"two\n");
    for (int i = 0; i < 1000000; i++)
        ech_str_addc(&text, 'x');
    write_text("long", text.data, text.length);
    const struct ech_rows_source source = {&file, &piece, 1, true, 500000};
    assert_int_equal(ech_rows_open(&source, &rows, &err), ECH_OK);
    assert_int_equal(ech_rows_next(rows, &row, &more, &err), ECH_OK);
    assert_int_equal(ech_rows_next(rows, &row, &more, &err), ECH_DATA);
    assert_string_equal(err.file, "long");
    assert_int_equal(err.line, 2);
    assert_non_null(strstr(err.text, "quote not closed"));
    ech_rows_close(rows);
    ech_str_fini(&text);
}

static void pack(const char *path, enum ech_codec codec, const char *text, size_t bytes, int members)
{
    int fd;
    assert_int_equal(ech_open(path, O_WRONLY | O_CREAT | O_TRUNC, &fd, NULL), ECH_OK);
    for (int m = 0; m < members; m++) {
        struct ech_pack *p;
        size_t from = bytes * (size_t)m / (size_t)members, to = bytes * (size_t)(m + 1) / (size_t)members;
        assert_int_equal(ech_pack_open(fd, path, codec, &p, NULL), ECH_OK);
        assert_int_equal(ech_pack_write(p, text + from, to - from, NULL), ECH_OK);
        assert_int_equal(ech_pack_finish(p, NULL), ECH_OK);
        ech_pack_close(p);
    }
    close(fd);
}

/* Reads a packed file in odd pieces; returns the code of the first read that fails. */
static int unpack(const char *path, struct ech_str *out, struct ech_err *err)
{
    enum ech_codec codec;
    int64_t bytes;
    struct ech_stream *s;
    char piece[1013];
    size_t got = sizeof piece;
    assert_int_equal(ech_codec_detect(path, &codec, &bytes, err), ECH_OK);
    int code = ech_stream_open(path, codec, 0, &s, err);
    while (code == ECH_OK && got == sizeof piece) {
        code = ech_stream_read(s, piece, sizeof piece, &got, err);
        if (code == ECH_OK)
            ech_str_add(out, piece, got);
    }
    ech_stream_close(s);
    return code;
}

static void packed_files(void **state)
{
    (void)state;
    struct ech_str text = {0};
    srand(1);
    for (int i = 0; i < 60000; i++)
        ech_str_addf(&text, "row %d %d\n", i, rand());
    for (int codec = ECH_GZIP; codec <= ECH_ZSTD; codec++)
        for (int members = 1; members <= 3; members++) {
            struct ech_str back = {0};
            struct ech_err err = ECH_ERR_NONE;
            pack("packed", (enum ech_codec)codec, text.data, text.length, members);
            assert_int_equal(unpack("packed", &back, &err), ECH_OK);
            assert_int_equal(back.length, text.length);
            assert_memory_equal(back.data, text.data, text.length);
            int64_t whole = ech_file_size("packed", NULL);
            assert_int_equal(truncate("packed", whole - 3), 0); /* cut off */
            assert_int_equal(unpack("packed", &back, &err), ECH_DATA);
            assert_non_null(strstr(err.text, "ends in the middle"));
            pack("packed", (enum ech_codec)codec, text.data, text.length, members);
            int fd;
            assert_int_equal(ech_open("packed", O_WRONLY, &fd, NULL), ECH_OK);
            assert_int_equal(ech_pwrite_all(fd, "packed", "damaged!", 8, whole / 2, NULL), ECH_OK);
            close(fd);
            ech_err_clear(&err);
            ech_str_clear(&back);
            assert_int_equal(unpack("packed", &back, &err), ECH_DATA);
            assert_string_equal(err.file, "packed");
            ech_str_fini(&back);
        }
    /* one rank holds a packed file, the others what is beside it */
    pack("packed", ECH_GZIP, text.data, text.length, 1);
    struct ech_str texts[3] = {{0}};
    ech_str_adds(&texts[0], "x\ny");
    ech_str_adds(&texts[2], "u\nv\n");
    write_text("first", texts[0].data, texts[0].length);
    write_text("last", texts[2].data, texts[2].length);
    struct ech_source_file files[] = {
        {"first", ECH_PLAIN, 3}, {"packed", ECH_GZIP, ech_file_size("packed", NULL)}, {"last", ECH_PLAIN, 4}};
    compare_ranks(files, texts, 3, false);
    ech_str_fini(&texts[0]);
    ech_str_fini(&texts[2]);
    ech_str_fini(&text);
}

static void sources(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    enum ech_codec codec;
    int64_t bytes;
    assert_int_equal(ech_codec_detect("nowhere", &codec, &bytes, &err), ECH_NOINPUT);
    ech_err_clear(&err);
    assert_int_equal(ech_codec_detect(".", &codec, &bytes, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "not a regular file"));
    write_text("utf16",
               "\xFF\xFE"
               "a\0",
               4);
    struct ech_source_file file = {"utf16", ECH_PLAIN, 4};
    struct ech_piece piece = {0, 0, 4, false};
    struct ech_rows *rows;
    struct ech_row row;
    bool more;
    ech_err_clear(&err);
    const struct ech_rows_source source = {&file, &piece, 1, false, 100};
    assert_int_equal(ech_rows_open(&source, &rows, &err), ECH_OK);
    assert_int_equal(ech_rows_next(rows, &row, &more, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "UTF-16"));
    ech_rows_close(rows);
    int line, column;
    write_text("lines",
               "\xEF\xBB\xBF"
               "ab\n\ncd",
               9);
    struct ech_source_file lines = {"lines", ECH_PLAIN, 9};
    ech_source_place(&lines, 4, &line, &column);
    assert_true(line == 1 && column == 2);
    ech_source_place(&lines, 8, &line, &column);
    assert_true(line == 3 && column == 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(any_ranks),    cmocka_unit_test(large_rows), cmocka_unit_test(row_limit),
    cmocka_unit_test(packed_files), cmocka_unit_test(sources),
};
ECH_TEST_MAIN(tests)
