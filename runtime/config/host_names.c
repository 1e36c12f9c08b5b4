/* Host patterns: see cluster.h. A name is what a host may be called, so it is never an option of the program
 * that it is passed to. */
#include "config/cluster.h"

#include "base/mem.h"
#include "base/num.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MOST = 63, DIGITS_MOST = 9 };

void ech_host_names_fini(struct ech_list *hosts)
{
    for (int i = 0; i < hosts->count; i++)
        ech_free(hosts->items[i]);
    ech_free(hosts->items);
    *hosts = (struct ech_list){0};
}

static bool is_host(const char *name)
{
    if (!isalnum((unsigned char)name[0]))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
            return false;
    return true;
}

static int add(struct ech_list *out, const char *name, struct ech_err *err)
{
    if (strlen(name) > NAME_MOST || !is_host(name))
        return ech_fail(err, ECH_CONFIG,
                        "\"%.80s\" is not a host's name (letters, digits, \"-\", \"_\", \".\")", name);
    if (out->count >= ECH_CLUSTER_NODES)
        return ech_fail(err, ECH_CONFIG, "more than %d hosts", ECH_CLUSTER_NODES);
    if ((out->count & (out->count + 1)) == 0) { /* room for the next power of two, and the NULL */
        char **items = ech_realloc(out->items, (size_t)out->count * 2 + 3, sizeof *items, err);
        if (!items)
            return ECH_UNAVAILABLE;
        out->items = items;
    }
    out->items[out->count] = ech_strdup(name, err);
    if (!out->items[out->count])
        return ECH_UNAVAILABLE;
    out->items[++out->count] = NULL;
    return ECH_OK;
}

/* "01-16" or "7" -> from, to, width. */
static bool parse_range(const char *text, size_t length, int64_t *from, int64_t *to, int *width)
{
    char first[DIGITS_MOST + 1], last[DIGITS_MOST + 1];
    const char *dash = memchr(text, '-', length);
    size_t a = dash ? (size_t)(dash - text) : length, b = dash ? length - a - 1 : length;
    if (a == 0 || b == 0 || a > DIGITS_MOST || b > DIGITS_MOST)
        return false;
    snprintf(first, sizeof first, "%.*s", (int)a, text);
    snprintf(last, sizeof last, "%.*s", (int)b, dash ? dash + 1 : text);
    *width = (int)a;
    return strspn(first, "0123456789") == a && strspn(last, "0123456789") == b &&
           ech_parse_int(first, from) && ech_parse_int(last, to) && *from <= *to;
}

static int expand_one(const char *text, size_t length, int depth, struct ech_list *out, struct ech_err *err);

/* text[open] is "[": each number of the list in its place, then what follows is expanded. */
static int expand_list(const char *text, size_t length, size_t open, size_t close, int depth,
                       struct ech_list *out, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t at = open + 1; code == ECH_OK && at < close;) {
        int64_t from, to;
        int width;
        const char *comma = memchr(text + at, ',', close - at);
        size_t end = comma ? (size_t)(comma - text) : close;
        if (!parse_range(text + at, end - at, &from, &to, &width))
            return ech_fail(err, ECH_CONFIG, "\"%.*s\" is not a range of numbers (01-16)", (int)(end - at),
                            text + at);
        for (int64_t n = from; code == ECH_OK && n <= to; n++) {
            char name[512];
            int size = snprintf(name, sizeof name, "%.*s%0*lld%.*s", (int)open, text, width, (long long)n,
                                (int)(length - close - 1), text + close + 1);
            code = size < 0 || (size_t)size >= sizeof name
                       ? ech_fail(err, ECH_CONFIG, "the pattern \"%.60s...\" is too long", text)
                       : expand_one(name, (size_t)size, depth + 1, out, err);
        }
        at = end + 1;
    }
    return code;
}

static int expand_one(const char *text, size_t length, int depth, struct ech_list *out, struct ech_err *err)
{
    const char *open = memchr(text, '[', length);
    const char *close = open ? memchr(open, ']', length - (size_t)(open - text)) : NULL;
    char name[NAME_MOST + 24];
    if (open && (!close || close == open + 1 || depth >= 3))
        return ech_fail(err, ECH_CONFIG, "\"%.*s\": [01-16] was expected, at most three times",
                        (int)(length < 80 ? length : 80), text);
    if (open)
        return expand_list(text, length, (size_t)(open - text), (size_t)(close - text), depth, out, err);
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    return add(out, name, err);
}

int ech_host_names_expand(const char *pattern, struct ech_list *out, struct ech_err *err)
{
    size_t start = 0, at = 0;
    for (bool inside = false;; at++) {
        char c = pattern[at];
        inside = c == '[' || (inside && c != ']');
        if (c && (c != ',' || inside))
            continue;
        size_t from = start + strspn(pattern + start, " ");
        size_t end = at;
        while (end > from && pattern[end - 1] == ' ')
            end--;
        if (end <= from)
            return ech_fail(err, ECH_CONFIG, "\"%.80s\": a host's name is missing", pattern);
        int code = expand_one(pattern + from, end - from, 0, out, err);
        if (code != ECH_OK || !c)
            return code;
        start = at + 1;
    }
}
