/* Oniguruma's dialect in PCRE2's words: white space, word characters and the boundary are spelled out, since
 * the two libraries draw their lines differently; see regex.h. */
#include "text/regex.h"

#include <string.h>

#define SPACES                                                                                               \
    "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{" \
    "3000}"
#define NO_SPACES                                                                                            \
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"          \
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"
#define WORDS    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define BOUNDARY "(?:(?<=[" WORDS "])(?![" WORDS "])|(?<![" WORDS "])(?=[" WORDS "]))"
#define INSIDE   "(?:(?<=[" WORDS "])(?=[" WORDS "])|(?<![" WORDS "])(?![" WORDS "]))"

/* What an escaped letter becomes outside and inside of a class; NULL: not supported there. */
static const struct {
    char letter;
    const char *outside, *inside;
} escapes[] = {
    {'s', "[" SPACES "]", SPACES},
    {'S', "[^" SPACES "]", NO_SPACES},
    {'w', "[" WORDS "]", WORDS},
    {'W', "[^" WORDS "]", NULL},
    {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},
    {'h', "[0-9a-fA-F]", "0-9a-fA-F"},
    {'H', "[^0-9a-fA-F]", NULL},
    {'b', BOUNDARY, "\\x{8}"},
    {'B', INSIDE, NULL},
    {'A', "\\A", NULL},
    {'z', "\\z", NULL},
    {'Z', "\\Z", NULL},
    {'n', "\\n", "\\n"},
    {'r', "\\r", "\\r"},
    {'t', "\\t", "\\t"},
    {'f', "\\f", "\\f"},
    {'v', "\\x{B}", "\\x{B}"},
    {'a', "\\a", "\\a"},
    {'e', "\\e", "\\e"},
};

struct reading {
    const char *pattern, *p;
    struct ech_str *out;
    bool in_class;
};

static int refuse(const struct reading *r, const char *what, size_t bytes, struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "the regular expression \"%.200s\" uses \"%.*s\", which is not supported",
                    r->pattern, (int)bytes, what);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* \p{..}, \x.., \uXXXX: with their arguments as they are. */
static int read_argument(struct reading *r, struct ech_err *err)
{
    const char *start = r->p, *end;
    char letter = start[1];
    if (letter == 'u') {
        if (strspn(start + 2, "0123456789abcdefABCDEF") < 4)
            return refuse(r, start, 2, err);
        ech_str_addf(r->out, "\\x{%.4s}", start + 2);
        r->p = start + 6;
        return ECH_OK;
    }
    if (start[2] == '{' && (end = strchr(start, '}'))) {
        ech_str_add(r->out, start, (size_t)(end + 1 - start));
        r->p = end + 1;
        return ECH_OK;
    }
    if (letter == 'x' && strspn(start + 2, "0123456789abcdefABCDEF") >= 1) {
        size_t digits = strspn(start + 2, "0123456789abcdefABCDEF");
        ech_str_addf(r->out, "\\x{%.*s}", digits > 2 ? 2 : (int)digits, start + 2);
        r->p = start + 2 + (digits > 2 ? 2 : digits);
        return ECH_OK;
    }
    return refuse(r, start, 2, err);
}

static int read_escape(struct reading *r, struct ech_err *err)
{
    char letter = r->p[1];
    if (letter == 'p' || letter == 'P' || letter == 'x' || letter == 'u')
        return read_argument(r, err);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (escapes[i].letter != letter)
            continue;
        const char *text = r->in_class ? escapes[i].inside : escapes[i].outside;
        if (!text)
            break;
        ech_str_adds(r->out, text);
        r->p += 2;
        return ECH_OK;
    }
    if (is_letter(letter) || letter == '\0')
        return refuse(r, r->p, letter ? 2 : 1, err);
    ech_str_add(r->out, r->p, 2); /* a sign, or a group's number; of a longer character its first byte */
    r->p += 2;
    return ECH_OK;
}

/* One step inside of a class; the closing bracket leaves it. */
static int read_in_class(struct reading *r, struct ech_err *err)
{
    const char *end;
    if (r->p[0] == '[' && r->p[1] == ':' && (end = strstr(r->p, ":]"))) {
        ech_str_add(r->out, r->p, (size_t)(end + 2 - r->p));
        r->p = end + 2;
        return ECH_OK;
    }
    if (r->p[0] == '[')
        return refuse(r, "[..[..]..]", 10, err);
    if (r->p[0] == '&' && r->p[1] == '&')
        return refuse(r, "&&", 2, err);
    if (r->p[0] == ']')
        r->in_class = false;
    ech_str_addc(r->out, *r->p++);
    return ECH_OK;
}

static void open_class(struct reading *r)
{
    r->in_class = true;
    ech_str_addc(r->out, *r->p++);
    if (*r->p == '^')
        ech_str_addc(r->out, *r->p++);
    if (*r->p == ']') { /* the first one is a character */
        ech_str_adds(r->out, "\\]");
        r->p++;
    }
}

/* One step outside. Groups with options: "m" means another thing there. */
static int read_outside(struct reading *r, struct ech_err *err)
{
    if (r->p[0] == '[') {
        open_class(r);
        return ECH_OK;
    }
    if (r->p[0] == '(' && r->p[1] == '?') {
        size_t letters = strspn(r->p + 2, "abcdefghijklmnopqrstuvwxyz-");
        if (r->p[2] != 'P' && memchr(r->p + 2, 'm', letters))
            return refuse(r, r->p, letters + 2, err);
    }
    if (r->p[0] == '}' && r->p[1] == '+')
        return refuse(r, "{..}+", 5, err); /* there: repeated, here: possessive */
    ech_str_addc(r->out, *r->p++);
    return ECH_OK;
}

int ech_regex_translate(const char *pattern, struct ech_str *out, struct ech_err *err)
{
    struct reading r = {.pattern = pattern, .p = pattern, .out = out};
    ech_str_add(out, "", 0); /* of an empty pattern, too, there is a text */
    int code = ECH_OK;
    while (code == ECH_OK && *r.p) {
        if (*r.p == '\\')
            code = read_escape(&r, err);
        else
            code = r.in_class ? read_in_class(&r, err) : read_outside(&r, err);
    }
    return code == ECH_OK ? ech_str_check(out, err) : code;
}
