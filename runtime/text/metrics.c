/* BLEU and chrF: see metrics.h. Both count n-grams of a row of units (tokens of 13a, characters): an n-gram
 * is the bytes from its first unit to its last, and a multiset of them is a sorted array of hashes. */
#include "text/metrics.h"

#include "base/mem.h"
#include "text/unicode.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A line cut into units: unit i is bytes [start[i], end[i]) of text. */
struct units {
    char *text;
    size_t capacity, bytes;
    size_t *start, *end;
    size_t count, start_capacity, end_capacity;
};

struct grams {
    XXH128_hash_t *keys;
    size_t count, capacity;
};

enum { KINDS = 2 }; /* tokens, characters */

struct ech_metrics {
    int64_t lines;
    struct ech_bleu bleu;
    struct ech_chrf chrf;
    struct units hypothesis[KINDS], *references; /* scratch */
    int references_count;
    struct grams hypothesis_grams, *reference_grams;
};

/* --- cutting --- */

static bool is_space(int32_t c)
{
    return (c >= 0x1C && c <= 0x1F) || (ech_char_class(c) & ECH_CHAR_SPACE);
}

/* Python's str.split: the words between white space, each followed by one `gap` (0: none). */
static size_t squeeze(const char *in, size_t bytes, char gap, char *out)
{
    const unsigned char *p = (const unsigned char *)in, *end = p + bytes;
    size_t n = 0;
    bool wants_gap = false;
    while (p < end) {
        const unsigned char *from = p;
        if (is_space(ech_char_next(&p))) {
            wants_gap = n > 0;
            continue;
        }
        if (wants_gap && gap)
            out[n++] = gap;
        wants_gap = false;
        memcpy(out + n, from, (size_t)(p - from));
        n += (size_t)(p - from);
    }
    return n;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* mteval-v13a's marks that always stand alone: ASCII punctuation but . , - ' and the space itself. */
static bool stands_alone(char c)
{
    return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/' ||
           (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/* The four substitutions, each over the whole line as a regular expression would: from left to right, what
 * one match took is not looked at again. `out` has room for three times the bytes of `in`. */
static size_t set_apart(const char *in, size_t bytes, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        bool alone = stands_alone(in[i]);
        if (alone)
            out[n++] = ' ';
        out[n++] = in[i];
        if (alone)
            out[n++] = ' ';
    }
    return n;
}

enum rule { STOP_AFTER_NO_DIGIT, STOP_BEFORE_NO_DIGIT, DASH_AFTER_DIGIT };

static bool matches(enum rule rule, char a, char b)
{
    switch (rule) {
    case STOP_AFTER_NO_DIGIT:
        return !is_digit(a) && (b == '.' || b == ',');
    case STOP_BEFORE_NO_DIGIT:
        return (a == '.' || a == ',') && !is_digit(b);
    case DASH_AFTER_DIGIT:
    default:
        return is_digit(a) && b == '-';
    }
}

static size_t set_pairs_apart(enum rule rule, const char *in, size_t bytes, char *out)
{
    size_t n = 0, i = 0;
    while (i < bytes) {
        if (i + 1 >= bytes || !matches(rule, in[i], in[i + 1])) {
            out[n++] = in[i++];
            continue;
        }
        if (rule == STOP_BEFORE_NO_DIGIT)
            out[n++] = ' ';
        out[n++] = in[i];
        out[n++] = ' ';
        out[n++] = in[i + 1];
        if (rule != STOP_BEFORE_NO_DIGIT)
            out[n++] = ' ';
        i += 2;
    }
    return n;
}

/* Replace every `what` by `with`, which is not longer, in place. */
static size_t replace(char *text, size_t bytes, const char *what, const char *with)
{
    size_t length = strlen(what), put = strlen(with), n = 0, i = 0;
    while (i < bytes) {
        if (bytes - i >= length && memcmp(text + i, what, length) == 0) {
            memcpy(text + n, with, put);
            n += put;
            i += length;
        } else {
            text[n++] = text[i++];
        }
    }
    return n;
}

static size_t unescape(char *text, size_t bytes)
{
    static const char *const pairs[][2] = {{"<skipped>", ""}, {"-\n", ""},   {"\n", " "},  {"&quot;", "\""},
                                           {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        bytes = replace(text, bytes, pairs[i][0], pairs[i][1]);
    return bytes;
}

int ech_tokenize_13a(struct ech_line line, char **out, size_t *capacity, size_t *bytes, struct ech_err *err)
{
    /* Set apart, a byte becomes at most three; each later rule adds at most one to each byte. */
    size_t room = (line.bytes + 2) * 3 * 2;
    char *from = ech_calloc(room, 1, err);
    int code = from ? ech_grow((void **)out, capacity, room, 1, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        char *to = *out;
        from[0] = ' ';
        if (line.bytes)
            memcpy(from + 1, line.text, line.bytes);
        size_t n = 1 + unescape(from + 1, line.bytes);
        from[n++] = ' ';
        n = set_apart(from, n, to);
        n = set_pairs_apart(STOP_AFTER_NO_DIGIT, to, n, from);
        n = set_pairs_apart(STOP_BEFORE_NO_DIGIT, from, n, to);
        n = set_pairs_apart(DASH_AFTER_DIGIT, to, n, from);
        *bytes = squeeze(from, n, ' ', to);
    }
    ech_free(from);
    return code;
}

static int add_unit(struct units *u, size_t start, size_t end, struct ech_err *err)
{
    if (ech_grow((void **)&u->start, &u->start_capacity, u->count + 1, sizeof *u->start, err) != ECH_OK ||
        ech_grow((void **)&u->end, &u->end_capacity, u->count + 1, sizeof *u->end, err) != ECH_OK)
        return ECH_UNAVAILABLE;
    u->start[u->count] = start;
    u->end[u->count++] = end;
    return ECH_OK;
}

static int cut_tokens(struct units *u, struct ech_line line, struct ech_err *err)
{
    u->count = 0;
    int code = ech_tokenize_13a(line, &u->text, &u->capacity, &u->bytes, err);
    for (size_t i = 0; code == ECH_OK && i < u->bytes;) {
        const char *space = memchr(u->text + i, ' ', u->bytes - i);
        size_t end = space ? (size_t)(space - u->text) : u->bytes;
        code = add_unit(u, i, end, err);
        i = end + 1;
    }
    return code;
}

static int cut_characters(struct units *u, struct ech_line line, struct ech_err *err)
{
    u->count = 0;
    int code = ech_grow((void **)&u->text, &u->capacity, line.bytes + 1, 1, err);
    if (code != ECH_OK)
        return code;
    u->bytes = squeeze(line.text, line.bytes, 0, u->text);
    const unsigned char *base = (const unsigned char *)u->text, *p = base;
    while (code == ECH_OK && p < base + u->bytes) {
        size_t start = (size_t)(p - base);
        ech_char_next(&p);
        code = add_unit(u, start, (size_t)(p - base), err);
    }
    return code;
}

static int cut_line(struct units kinds[KINDS], struct ech_line line, struct ech_err *err)
{
    int code = cut_tokens(&kinds[0], line, err);
    return code == ECH_OK ? cut_characters(&kinds[1], line, err) : code;
}

/* --- counting --- */

static int by_key(const void *a, const void *b)
{
    return XXH128_cmp(a, b);
}

static int count_grams(struct grams *g, const struct units *u, int order, struct ech_err *err)
{
    size_t n = (size_t)order;
    g->count = u->count >= n ? u->count - n + 1 : 0;
    int code = ech_grow((void **)&g->keys, &g->capacity, g->count + 1, sizeof *g->keys, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < g->count; i++)
        g->keys[i] = XXH3_128bits(u->text + u->start[i], u->end[i + n - 1] - u->start[i]);
    qsort(g->keys, g->count, sizeof *g->keys, by_key);
    return ECH_OK;
}

/* How often `key` stands in g from *at on; *at moves behind it. */
static int64_t run_of(const struct grams *g, const XXH128_hash_t *key, size_t *at)
{
    int64_t found = 0;
    while (*at < g->count && XXH128_cmp(&g->keys[*at], key) < 0)
        ++*at;
    for (; *at < g->count && XXH128_cmp(&g->keys[*at], key) == 0; ++*at)
        found++;
    return found;
}

/* Of the n-grams of `h`, those that some reference has as often. */
static int64_t clipped(const struct grams *h, const struct grams *references, int count)
{
    int64_t matches = 0;
    size_t at[ECH_REFERENCES_MOST] = {0};
    for (size_t i = 0; i < h->count;) {
        XXH128_hash_t key = h->keys[i];
        int64_t mine = run_of(h, &key, &i), most = 0;
        for (int r = 0; r < count; r++) {
            int64_t theirs = run_of(&references[r], &key, &at[r]);
            most = theirs > most ? theirs : most;
        }
        matches += mine < most ? mine : most;
    }
    return matches;
}

static int add_bleu(struct ech_metrics *m, int references, struct ech_err *err)
{
    const struct units *hypothesis = &m->hypothesis[0];
    int64_t length = (int64_t)hypothesis->count, closest = -1;
    for (int r = 0; r < references; r++) {
        int64_t theirs = (int64_t)m->references[r * KINDS].count;
        int64_t far = llabs(theirs - length), best = llabs(closest - length);
        if (closest < 0 || far < best || (far == best && theirs < closest))
            closest = theirs;
    }
    m->bleu.hypothesis_tokens += length;
    m->bleu.reference_tokens += closest;
    for (int n = 0; n < ECH_BLEU_ORDER; n++) {
        int code = count_grams(&m->hypothesis_grams, hypothesis, n + 1, err);
        for (int r = 0; code == ECH_OK && r < references; r++)
            code = count_grams(&m->reference_grams[r], &m->references[r * KINDS], n + 1, err);
        if (code != ECH_OK)
            return code;
        m->bleu.total[n] += (int64_t)m->hypothesis_grams.count;
        m->bleu.correct[n] += clipped(&m->hypothesis_grams, m->reference_grams, references);
    }
    return ECH_OK;
}

static double chrf_score(const struct ech_chrf *c)
{
    enum { BETA_SQUARE = 4 };
    double precision = 0, recall = 0;
    int orders = 0;
    for (int n = 0; n < ECH_CHRF_ORDER; n++) {
        if (c->hypothesis[n] == 0 || c->reference[n] == 0)
            continue;
        precision += (double)c->matches[n] / (double)c->hypothesis[n];
        recall += (double)c->matches[n] / (double)c->reference[n];
        orders++;
    }
    if (!(precision + recall > 0))
        return 0;
    precision /= orders;
    recall /= orders;
    return 100 * ((1 + BETA_SQUARE) * precision * recall) / (BETA_SQUARE * precision + recall);
}

/* Of several references the one that scores best on this line. */
static int add_chrf(struct ech_metrics *m, int references, struct ech_err *err)
{
    struct ech_chrf best = {.score = -1};
    for (int r = 0; r < references; r++) {
        struct ech_chrf line = {0};
        for (int n = 0; n < ECH_CHRF_ORDER; n++) {
            int code = count_grams(&m->hypothesis_grams, &m->hypothesis[1], n + 1, err);
            if (code == ECH_OK)
                code = count_grams(&m->reference_grams[0], &m->references[r * KINDS + 1], n + 1, err);
            if (code != ECH_OK)
                return code;
            line.reference[n] = (int64_t)m->reference_grams[0].count;
            /* What no reference is there for counts nowhere. */
            line.hypothesis[n] = line.reference[n] ? (int64_t)m->hypothesis_grams.count : 0;
            line.matches[n] = clipped(&m->hypothesis_grams, m->reference_grams, 1);
        }
        line.score = chrf_score(&line);
        if (line.score > best.score)
            best = line;
    }
    for (int n = 0; n < ECH_CHRF_ORDER; n++) {
        m->chrf.hypothesis[n] += best.hypothesis[n];
        m->chrf.reference[n] += best.reference[n];
        m->chrf.matches[n] += best.matches[n];
    }
    return ECH_OK;
}

/* --- the object --- */

int ech_metrics_create(struct ech_metrics **out, struct ech_err *err)
{
    struct ech_metrics *m = ech_calloc(1, sizeof *m, err);
    if (!m)
        return ECH_UNAVAILABLE;
    m->references = ech_calloc(ECH_REFERENCES_MOST * KINDS, sizeof *m->references, err);
    m->reference_grams = ech_calloc(ECH_REFERENCES_MOST, sizeof *m->reference_grams, err);
    if (!m->references || !m->reference_grams) {
        ech_metrics_destroy(m);
        return ECH_UNAVAILABLE;
    }
    *out = m;
    return ECH_OK;
}

static void units_fini(struct units *u)
{
    ech_free(u->text);
    ech_free(u->start);
    ech_free(u->end);
}

void ech_metrics_destroy(struct ech_metrics *m)
{
    if (!m)
        return;
    for (int k = 0; k < KINDS; k++)
        units_fini(&m->hypothesis[k]);
    for (int i = 0; m->references && i < ECH_REFERENCES_MOST * KINDS; i++)
        units_fini(&m->references[i]);
    for (int r = 0; m->reference_grams && r < ECH_REFERENCES_MOST; r++)
        ech_free(m->reference_grams[r].keys);
    ech_free(m->hypothesis_grams.keys);
    ech_free(m->references);
    ech_free(m->reference_grams);
    ech_free(m);
}

int ech_metrics_add(struct ech_metrics *m, struct ech_line hypothesis, const struct ech_line *references,
                    int count, struct ech_err *err)
{
    if (count < 1 || count > ECH_REFERENCES_MOST)
        return ech_fail(err, ECH_USAGE, "%d references of a line, 1 to %d were expected", count,
                        ECH_REFERENCES_MOST);
    int code = cut_line(m->hypothesis, hypothesis, err);
    for (int r = 0; code == ECH_OK && r < count; r++)
        code = cut_line(&m->references[r * KINDS], references[r], err);
    if (code == ECH_OK)
        code = add_bleu(m, count, err);
    if (code == ECH_OK)
        code = add_chrf(m, count, err);
    m->lines += code == ECH_OK;
    return code;
}

int64_t ech_metrics_lines(const struct ech_metrics *m)
{
    return m->lines;
}

struct ech_bleu ech_metrics_bleu(const struct ech_metrics *m)
{
    struct ech_bleu b = m->bleu;
    double smooth = 1, logs = 0;
    bool any = false, scored = true;
    for (int n = 0; n < ECH_BLEU_ORDER; n++)
        any = any || b.correct[n] > 0;
    for (int n = 0; any && n < ECH_BLEU_ORDER && b.total[n] > 0; n++) {
        if (b.correct[n] == 0)
            smooth *= 2; /* an order without a match counts as a half, a quarter, ... of one */
        b.precision[n] = b.correct[n] ? 100.0 * (double)b.correct[n] / (double)b.total[n]
                                      : 100.0 / (smooth * (double)b.total[n]);
    }
    for (int n = 0; n < ECH_BLEU_ORDER; n++) {
        scored = scored && b.precision[n] > 0;
        logs += b.precision[n] > 0 ? log(b.precision[n]) : 0;
    }
    b.brevity = 1;
    if (b.hypothesis_tokens < b.reference_tokens)
        b.brevity =
            b.hypothesis_tokens > 0 ? exp(1 - (double)b.reference_tokens / (double)b.hypothesis_tokens) : 0;
    b.score = scored ? b.brevity * exp(logs / ECH_BLEU_ORDER) : 0;
    return b;
}

struct ech_chrf ech_metrics_chrf(const struct ech_metrics *m)
{
    struct ech_chrf c = m->chrf;
    c.score = chrf_score(&c);
    return c;
}
