/* Scanners: see scan.h. */
#include "text/scan.h"

#include "text/unicode.h"

#include <string.h>

enum { L = ECH_CHAR_LETTER, N = ECH_CHAR_NUMBER, S = ECH_CHAR_SPACE };

#define AFTER_WORDS(numbers)                                                                                 \
    "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| "                                                            \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const char ech_scan_gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const struct {
    const char *pattern;
    ech_scan_fn scan;
} known[] = {
    {ech_scan_gpt2_pattern, ech_scan_gpt2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", ech_scan_gpt2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|" AFTER_WORDS("\\p{N}{1,3}"), ech_scan_llama3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|" AFTER_WORDS("\\p{N}"), ech_scan_qwen2},
};

ech_scan_fn ech_scan_find(const char *pattern)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].pattern, pattern) == 0)
            return known[i].scan;
    return NULL;
}

/* Class of the character at `at`, its length in *length. */
static inline unsigned class_at(const unsigned char *text, size_t at, size_t *length)
{
    if (text[at] < 0x80) {
        *length = 1;
        return ech_ascii_class[text[at]] & (L | N | S);
    }
    const unsigned char *p = text + at;
    unsigned class = ech_char_class(ech_char_next(&p));
    *length = (size_t)(p - (text + at));
    return class & (L | N | S);
}

/* End of the run of characters of this class (0: of none of the three) from `at` on. */
static inline size_t run_of(unsigned class, const unsigned char *text, size_t bytes, size_t at)
{
    size_t length;
    while (at < bytes && class_at(text, at, &length) == class)
        at += length;
    return at;
}

/* White space at the front, and not behind it white space: all but its last character, or the only one. */
static size_t spaces(const unsigned char *text, size_t bytes)
{
    size_t end = run_of(S, text, bytes, 0), last = end;
    if (end == bytes)
        return end;
    do
        last--;
    while ((text[last] & 0xC0) == 0x80);
    return last ? last : end;
}

/* Bytes of a contraction ("'s") at the front, whose first byte is the apostrophe; 0: none. */
static size_t contraction(const unsigned char *text, size_t bytes, unsigned char fold)
{
    if (bytes < 2)
        return 0;
    unsigned char a = text[1] | fold, b = bytes > 2 ? text[2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    if (fold && bytes > 2 && text[1] == 0xC5 && text[2] == 0xBF) /* the long s is an s, too */
        return 3;
    return 0;
}

size_t ech_scan_gpt2(const unsigned char *text, size_t bytes)
{
    size_t length, next;
    unsigned class = class_at(text, 0, &length);
    if (text[0] == '\'') {
        size_t found = contraction(text, bytes, 0);
        if (found)
            return found;
    }
    if (class != S)
        return run_of(class, text, bytes, length);
    if (text[0] == ' ' && bytes > 1 && (class = class_at(text, 1, &next)) != S)
        return run_of(class, text, bytes, 1 + next);
    return spaces(text, bytes);
}

/* White space: up to its last line break if it has one. */
static size_t lines(const unsigned char *text, size_t bytes)
{
    size_t end = run_of(S, text, bytes, 0), last = end;
    while (last > 0 && text[last - 1] != '\n' && text[last - 1] != '\r')
        last--;
    return last ? last : spaces(text, bytes);
}

static size_t others(const unsigned char *text, size_t bytes, size_t at)
{
    at = run_of(0, text, bytes, at);
    while (at < bytes && (text[at] == '\r' || text[at] == '\n'))
        at++;
    return at;
}

static size_t numbers(const unsigned char *text, size_t bytes, size_t at, int most)
{
    size_t length;
    for (int i = 1; i < most && at < bytes && class_at(text, at, &length) == N; i++)
        at += length;
    return at;
}

static inline size_t modern(const unsigned char *text, size_t bytes, int digits)
{
    size_t length, next = 0;
    unsigned class = class_at(text, 0, &length), behind = 0;
    if (text[0] == '\'') {
        size_t found = contraction(text, bytes, 0x20);
        if (found)
            return found;
    }
    if (class == L)
        return run_of(L, text, bytes, length);
    if (class == N)
        return numbers(text, bytes, length, digits);
    bool more = length < bytes;
    if (more)
        behind = class_at(text, length, &next);
    if (more && behind == L && text[0] != '\r' && text[0] != '\n')
        return run_of(L, text, bytes, length + next);
    if (class == 0)
        return others(text, bytes, length);
    if (text[0] == ' ' && more && behind == 0)
        return others(text, bytes, length + next);
    return lines(text, bytes);
}

size_t ech_scan_llama3(const unsigned char *text, size_t bytes)
{
    return modern(text, bytes, 3);
}

size_t ech_scan_qwen2(const unsigned char *text, size_t bytes)
{
    return modern(text, bytes, 1);
}
