/* runtime/text: the scanners cut as the regular expressions do that they stand for, and regular expressions
 * mean what the reference means by them. */
#include "tests/harness.h"

#include "base/mem.h"
#include "text/regex.h"
#include "text/scan.h"
#include "text/unicode.h"

static void must(int code, const struct ech_err *err)
{
    if (code != ECH_OK)
        fail_msg("status %d: %s", code, err->text);
}

#define MODERN(numbers)                                                                                      \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                    \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const char *const patterns[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    MODERN("\\p{N}{1,3}"),
    MODERN("\\p{N}"),
};

static const char *const parts[] = {
    "a",
    "B",
    "z",
    "1",
    "23",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\n ",
    "'",
    "'s",
    "'S",
    "'ll",
    "'Re",
    "'v",
    "'\xC5\xBF",
    "\xC5\xBF",
    "!",
    ".",
    "_",
    "-",
    "$",
    "\xC3\xA9",
    "\xC2\xA0",
    "\xE3\x80\x80",
    "\xE4\xB8\xAD",
    "\xCC\x81",
    "\xC2\xBD",
    "\xF0\x9F\xA6\x99",
    "\xD9\xA3",
    "\v",
    "\x01",
    "\xC2\x85",
    "\xE1\xA0\x8E",
    "'d",
    "'m",
    "ss",
    "\xE2\x80\xA8",
};

static void check(const struct ech_regex *regex, ech_scan_fn scan, const char *text, size_t bytes)
{
    static struct ech_regex_scratch *scratch;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_regex_walk walk = {.text = (const unsigned char *)text, .bytes = bytes};
    size_t at = 0;
    bool found;
    while (at < bytes) {
        size_t length = scan(walk.text + at, bytes - at);
        must(ech_regex_next(regex, &scratch, &walk, &found, &err), &err);
        if (!found || walk.start != at || walk.end != at + length)
            fail_msg("\"%.60s\" at %zu: %zu bytes, %zu expected", text, at, length, walk.end - walk.start);
        at += length;
    }
    ech_regex_scratch_destroy(scratch);
    scratch = NULL;
}

static void scanners(void **state)
{
    (void)state;
    srand(4);
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_regex *regex;
        ech_scan_fn scan = ech_scan_find(patterns[p]);
        assert_non_null(scan);
        must(ech_regex_create(patterns[p], &regex, &err), &err);
        for (int round = 0; round < 20000; round++) {
            char text[256] = "";
            for (int n = 1 + rand() % 12; n > 0; n--)
                strcat(text, parts[(size_t)rand() % (sizeof parts / sizeof *parts)]);
            check(regex, scan, text, strlen(text));
        }
        ech_regex_destroy(regex);
    }
    assert_null(ech_scan_find("a"));
}

/* Code points that both libraries know: PCRE2 may be older or newer than utf8proc. */
static void scanner_characters(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_regex *assigned, *regex;
    struct ech_regex_scratch *scratch = NULL;
    must(ech_regex_create("\\P{Cn}", &assigned, &err), &err);
    must(ech_regex_create(patterns[2], &regex, &err), &err);
    for (int32_t c = 1; c < 0x110000; c++) {
        unsigned char text[32] = "a";
        bool found;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        size_t bytes = 1 + ech_char_put(c, text + 1);
        struct ech_regex_walk walk = {.text = text + 1, .bytes = bytes - 1};
        must(ech_regex_next(assigned, &scratch, &walk, &found, &err), &err);
        if (!found)
            continue;
        text[bytes++] = '1';
        check(regex, ech_scan_llama3, (const char *)text, bytes);
    }
    ech_regex_scratch_destroy(scratch);
    ech_regex_destroy(assigned);
    ech_regex_destroy(regex);
}

/* Where a search for the first match finds it in the text. */
static const struct {
    const char *pattern, *text;
    int start, end; /* -1: no match */
} cases[] = {
    {"\\s", "a\xE1\xA0\x8E", -1, -1}, /* U+180E is no white space any more */
    {"[\\S]+", "\xE1\xA0\x8E", 0, 3},
    {"\\s", "a\xC2\x85", 1, 3},
    {"\\w+", "-\xE0\xA4\x95\xE0\xA4\xBF-", 1, 7}, /* marks are of a word */
    {"\\bb",
     "a\xCC\x81"
     "b b",
     5, 6},
    {"\\h+", "xyz0aF", 3, 6},
    {"^b", "a\nb", 2, 3}, /* lines, without asking */
    {"a.", "a\nab", 2, 4},
    {"\\x41\\x{42}\\u0043", "ABC", 0, 3},
    {"[\\w.]+", "  a.b", 2, 5},
    {"[]a]+", "x]a", 1, 3},
    {"[[:digit:]]", "a1", 1, 2},
    {"(?i:k)", "\xE2\x84\xAA", 0, 3},
    {"(?<=a)b", "bab", 2, 3},
    {"\\d", "\xD9\xA3", 0, 2},
};

static void dialect(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_regex *regex;
        struct ech_regex_scratch *scratch = NULL;
        struct ech_regex_walk walk = {.text = (const unsigned char *)cases[i].text,
                                      .bytes = strlen(cases[i].text)};
        bool found;
        must(ech_regex_create(cases[i].pattern, &regex, &err), &err);
        must(ech_regex_next(regex, &scratch, &walk, &found, &err), &err);
        if (found != (cases[i].start >= 0) ||
            (found && ((int)walk.start != cases[i].start || (int)walk.end != cases[i].end)))
            fail_msg("%s: %d %zu-%zu", cases[i].pattern, found, walk.start, walk.end);
        ech_regex_scratch_destroy(scratch);
        ech_regex_destroy(regex);
    }
}

/* A pattern that backtracks without end is stopped. */
static void runaway(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_regex *regex;
    struct ech_regex_scratch *scratch = NULL;
    char text[64];
    memset(text, 'a', sizeof text);
    text[63] = 'b';
    struct ech_regex_walk walk = {.text = (const unsigned char *)text, .bytes = sizeof text};
    bool found;
    must(ech_regex_create("(a+)+$", &regex, &err), &err);
    int code = ech_regex_next(regex, &scratch, &walk, &found, &err);
    assert_int_equal(code, ECH_DATA);
    assert_non_null(strstr(err.text, "beyond its limit"));
    ech_regex_scratch_destroy(scratch);
    ech_regex_destroy(regex);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(scanners),
    cmocka_unit_test(scanner_characters),
    cmocka_unit_test(dialect),
    cmocka_unit_test(runaway),
};
ECH_TEST_MAIN(tests)
