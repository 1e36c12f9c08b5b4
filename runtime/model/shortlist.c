/* Lexical shortlists: see shortlist.h. */
#include "model/shortlist.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/cursor.h"

#include <string.h>

enum { HEAD = 48, BITS = 64, MULTIPLE = 8 };
static const uint64_t magic = 0xf11a48d5013417f5;
static const size_t file_most = (size_t)1 << 30;

struct ech_shortlist {
    int64_t first, words; /* always there; of the target */
    int64_t sources;
    uint64_t *offsets; /* sources + 1 */
    uint32_t *ids;
    uint64_t *seen; /* a bit a word, zero between calls */
};

struct head {
    uint64_t first, best, offsets, ids;
};

/* Sizes that fit the file, to the byte. */
static int read_head(const char *path, const unsigned char *data, size_t bytes, struct head *h,
                     struct ech_err *err)
{
    if (bytes < HEAD || ech_little(data, 8) != magic)
        return ech_fail(err, ECH_DATA, "%s is no binary shortlist of Marian's", path);
    *h = (struct head){ech_little(data + 16, 8), ech_little(data + 24, 8), ech_little(data + 32, 8),
                       ech_little(data + 40, 8)};
    uint64_t room = bytes - HEAD;
    if (h->offsets < 1 || h->offsets > room / 8 || h->ids > (room - 8 * h->offsets) / 4 ||
        8 * h->offsets + 4 * h->ids != room)
        return ech_fail(err, ECH_DATA, "%s says %llu offsets and %llu ids, which is not its %zu bytes", path,
                        (unsigned long long)h->offsets, (unsigned long long)h->ids, bytes);
    return ECH_OK;
}

static int read_offsets(const char *path, const unsigned char *at, const struct head *h,
                        struct ech_shortlist *s, struct ech_err *err)
{
    uint64_t before = 0;
    for (uint64_t i = 0; i < h->offsets; i++) {
        s->offsets[i] = ech_little(at + 8 * i, 8);
        if (s->offsets[i] < before || s->offsets[i] > h->ids)
            return ech_fail(err, ECH_DATA, "%s: offset %llu is %llu, %llu to %llu was expected", path,
                            (unsigned long long)i, (unsigned long long)s->offsets[i],
                            (unsigned long long)before, (unsigned long long)h->ids);
        before = s->offsets[i];
    }
    return ECH_OK;
}

static int read_ids(const char *path, const unsigned char *at, const struct head *h, struct ech_shortlist *s,
                    struct ech_err *err)
{
    for (uint64_t i = 0; i < h->ids; i++) {
        s->ids[i] = (uint32_t)ech_little(at + 4 * i, 4);
        if (s->ids[i] >= (uint64_t)s->words)
            return ech_fail(err, ECH_DATA, "%s: id %llu is %lu, the model has %lld words", path,
                            (unsigned long long)i, (unsigned long)s->ids[i], (long long)s->words);
    }
    return ECH_OK;
}

static int fill(const char *path, const unsigned char *data, const struct head *h, int64_t source_words,
                struct ech_shortlist *s, struct ech_err *err)
{
    s->sources = (int64_t)h->offsets - 1;
    if (s->sources != source_words || h->first < 1 || h->first > (uint64_t)s->words)
        return ech_fail(err, ECH_DATA,
                        "%s is of %lld source words and begins with %llu words; the model reads %lld and "
                        "writes %lld",
                        path, (long long)s->sources, (unsigned long long)h->first, (long long)source_words,
                        (long long)s->words);
    s->first = (int64_t)h->first;
    s->offsets = ech_calloc((size_t)h->offsets, sizeof *s->offsets, err);
    s->ids = ech_calloc((size_t)h->ids + 1, sizeof *s->ids, err);
    s->seen = ech_calloc((size_t)s->words / BITS + 1, sizeof *s->seen, err);
    if (!s->offsets || !s->ids || !s->seen)
        return ECH_UNAVAILABLE;
    int code = read_offsets(path, data + HEAD, h, s, err);
    return code == ECH_OK ? read_ids(path, data + HEAD + 8 * h->offsets, h, s, err) : code;
}

int ech_shortlist_parse(const char *path, const void *data, size_t bytes, int64_t source_words,
                        int64_t target_words, struct ech_shortlist **out, struct ech_err *err)
{
    struct head head = {0};
    int code = read_head(path, data, bytes, &head, err);
    if (code != ECH_OK)
        return code;
    struct ech_shortlist *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->words = target_words;
    code = fill(path, data, &head, source_words, s, err);
    if (code == ECH_OK)
        *out = s;
    else
        ech_shortlist_close(s);
    return code;
}

int ech_shortlist_open(const char *path, int64_t source_words, int64_t target_words,
                       struct ech_shortlist **out, struct ech_err *err)
{
    char *data = NULL;
    size_t bytes = 0;
    int code = ech_read_file(path, file_most, &data, &bytes, err);
    if (code == ECH_OK)
        code = ech_shortlist_parse(path, data, bytes, source_words, target_words, out, err);
    ech_free(data);
    return code;
}

void ech_shortlist_close(struct ech_shortlist *s)
{
    if (!s)
        return;
    ech_free(s->offsets);
    ech_free(s->ids);
    ech_free(s->seen);
    ech_free(s);
}

/* 1 where the word was not there yet. */
static int see(struct ech_shortlist *s, int64_t word)
{
    uint64_t bit = (uint64_t)1 << word % BITS, *at = &s->seen[word / BITS];
    int fresh = !(*at & bit);
    *at |= bit;
    return fresh;
}

static int64_t see_all(struct ech_shortlist *s, const int32_t *ids, int64_t count)
{
    int64_t found = s->first;
    for (int64_t i = 0; i < s->first; i++)
        see(s, i);
    for (int64_t i = 0; i < count; i++)
        if (ids[i] >= 0 && ids[i] < s->sources)
            for (uint64_t at = s->offsets[ids[i]]; at < s->offsets[ids[i] + 1]; at++)
                found += see(s, s->ids[at]);
    for (int64_t word = s->first; found % MULTIPLE && word < s->words; word++)
        found += see(s, word);
    return found;
}

/* The words that were seen, ascending; the bits are zero again. */
static void list(struct ech_shortlist *s, int32_t *out)
{
    for (int64_t i = 0; i <= s->words / BITS; i++) {
        for (uint64_t left = s->seen[i]; left; left &= left - 1)
            *out++ = (int32_t)(i * BITS + __builtin_ctzll(left));
        s->seen[i] = 0;
    }
}

int ech_shortlist_words(struct ech_shortlist *s, const int32_t *ids, int64_t count, int32_t **out,
                        int64_t *out_count, struct ech_err *err)
{
    int64_t found = see_all(s, ids, count);
    int32_t *words = ech_calloc((size_t)found, sizeof *words, err);
    if (!words) {
        memset(s->seen, 0, ((size_t)s->words / BITS + 1) * sizeof *s->seen);
        return ECH_UNAVAILABLE;
    }
    list(s, words);
    *out = words;
    *out_count = found;
    return ECH_OK;
}
