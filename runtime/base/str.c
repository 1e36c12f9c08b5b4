/* Strings: see str.h. */
#include "base/str.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ech_str_init(struct ech_str *s)
{
    *s = (struct ech_str){0};
}

void ech_str_fini(struct ech_str *s)
{
    ech_free(s->data);
    ech_str_init(s);
}

void ech_str_clear(struct ech_str *s)
{
    s->length = 0;
    s->failed = false;
    if (s->data)
        s->data[0] = '\0';
}

static bool reserve(struct ech_str *s, size_t more)
{
    size_t need;
    if (s->failed || __builtin_add_overflow(s->length, more, &need) || need == SIZE_MAX ||
        ech_grow((void **)&s->data, &s->capacity, need + 1, 1, NULL) != ECH_OK)
        s->failed = true;
    return !s->failed;
}

void ech_str_add(struct ech_str *s, const void *bytes, size_t count)
{
    if (!reserve(s, count))
        return;
    if (count)
        memcpy(s->data + s->length, bytes, count);
    s->length += count;
    s->data[s->length] = '\0';
}

void ech_str_addc(struct ech_str *s, char c)
{
    ech_str_add(s, &c, 1);
}

void ech_str_adds(struct ech_str *s, const char *text)
{
    ech_str_add(s, text, strlen(text));
}

void ech_str_addf(struct ech_str *s, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        s->failed = true;
    else if (reserve(s, (size_t)length)) {
        vsnprintf(s->data + s->length, (size_t)length + 1, fmt, again);
        s->length += (size_t)length;
    }
    va_end(again);
}

int ech_str_check(const struct ech_str *s, struct ech_err *err)
{
    return s->failed ? ech_fail(err, ECH_UNAVAILABLE, "out of memory: a text of %zu bytes could not grow",
                                s->length)
                     : ECH_OK;
}

char *ech_str_take(struct ech_str *s, struct ech_err *err)
{
    ech_str_add(s, "", 0);
    char *data = NULL;
    if (ech_str_check(s, err) == ECH_OK) {
        data = s->data;
        s->data = NULL;
    }
    ech_str_fini(s);
    return data;
}

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

int ech_edit_distance(const char *a, const char *b)
{
    enum { MOST = 63 };
    int row[3][MOST + 1];
    int la = (int)strnlen(a, MOST), lb = (int)strnlen(b, MOST);
    for (int j = 0; j <= lb; j++)
        row[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return row[la % 3][lb];
}

const char *ech_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    int least = (int)strlen(word) / 3 + 1;
    for (; *names; names++) {
        int distance = ech_edit_distance(word, *names);
        if (distance <= least && (!best || distance < least)) {
            best = *names;
            least = distance;
        }
    }
    return best;
}

/* Length of the valid sequence at p (1 to 4), 0 where invalid. Table 3-7 of the Unicode standard. */
static int sequence(const unsigned char *p, const unsigned char *end)
{
    static const struct {
        unsigned char first, last, low, high;
        int length;
    } table[] = {{0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
                 {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
                 {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    if (*p < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (*p < table[i].first || *p > table[i].last)
            continue;
        if (end - p < table[i].length || p[1] < table[i].low || p[1] > table[i].high)
            return 0;
        for (int k = 2; k < table[i].length; k++)
            if ((p[k] & 0xC0) != 0x80)
                return 0;
        return table[i].length;
    }
    return 0;
}

int64_t ech_utf8_invalid_at(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes;
    while (p < end) {
        int length = sequence(p, end);
        if (length == 0)
            return (const char *)p - text;
        p += length;
    }
    return -1;
}
