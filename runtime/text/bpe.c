/* Byte-pair encoding: see bpe.h. */
#include "text/bpe.h"

#include "base/mem.h"
#include "text/bytes.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

#include <stdio.h>
#include <string.h>

/* Up to SHORT symbols the best pair is searched for, beyond it comes from a heap. */
enum { SHORT = 40, CACHE_SLOTS = 1 << 14, CACHE_BYTES = 24, CACHE_IDS = 9 };

struct symbol {
    int32_t id;
    int32_t previous, next; /* -1: none; next -2: it was merged away */
};

struct candidate {
    uint32_t rank, at;
    int32_t id;
};

/* One cache line: a word as three overlapping words of memory. */
struct cached {
    uint64_t text[3];
    uint8_t bytes, count; /* bytes 0: the slot is free */
    int32_t ids[CACHE_IDS];
};

struct scratch {
    struct cached *cache;
    struct symbol *symbols;
    struct candidate *heap;
    size_t count, capacity, heap_count, heap_capacity;
    int32_t *ids; /* symbols of a short word */
    size_t ids_capacity;
};

static void close_model(void *model)
{
    struct ech_bpe *bpe = model;
    ech_vocab_fini(&bpe->byte_vocab);
    ech_free(bpe->pairs);
    ech_free(bpe->prefix);
    ech_free(bpe->suffix);
    ech_free(bpe);
}

static int fill_byte_vocab(struct ech_bpe *bpe, const struct ech_vocab *vocab, struct ech_err *err)
{
    int code = ECH_OK;
    unsigned char *bytes = NULL;
    size_t capacity = 0;
    for (size_t i = 0; code == ECH_OK && i < vocab->count; i++) {
        const struct ech_vocab_entry *e = &vocab->entries[i];
        code = ech_grow((void **)&bytes, &capacity, (size_t)e->bytes + 1, 1, err);
        if (code != ECH_OK)
            break;
        int64_t made = ech_bytes_of_letters((const unsigned char *)vocab->text + e->start, e->bytes, bytes);
        if (made > 0)
            code = ech_vocab_add(&bpe->byte_vocab, (const char *)bytes, (size_t)made, e->id, err);
    }
    ech_free(bytes);
    bpe->vocab = &bpe->byte_vocab;
    return code;
}

int ech_bpe_create(const struct ech_vocab *vocab, bool bytes, struct ech_bpe **out, struct ech_err *err)
{
    struct ech_bpe *bpe = ech_calloc(1, sizeof *bpe, err);
    if (!bpe)
        return ECH_UNAVAILABLE;
    bpe->vocab = vocab;
    bpe->bytes = bytes;
    bpe->unknown = -1;
    int code = bytes ? fill_byte_vocab(bpe, vocab, err) : ECH_OK;
    if (code == ECH_OK)
        *out = bpe;
    else
        close_model(bpe);
    return code;
}

static size_t slot_of(const struct ech_bpe *bpe, uint64_t key)
{
    uint64_t mixed = key * 0x9E3779B97F4A7C15u;
    return (size_t)(mixed >> 32) & (bpe->slots - 1);
}

static struct ech_bpe_pair *pair_at(const struct ech_bpe *bpe, uint64_t key)
{
    size_t slot = slot_of(bpe, key);
    while (bpe->pairs[slot].id >= 0 && bpe->pairs[slot].key != key)
        slot = (slot + 1) & (bpe->slots - 1);
    return &bpe->pairs[slot];
}

static uint64_t key_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static const struct ech_bpe_pair *find_pair(const struct ech_bpe *bpe, int32_t left, int32_t right)
{
    if (bpe->count == 0)
        return NULL;
    const struct ech_bpe_pair *pair = pair_at(bpe, key_of(left, right));
    return pair->id >= 0 ? pair : NULL;
}

static int widen(struct ech_bpe *bpe, struct ech_err *err)
{
    struct ech_bpe wider = *bpe;
    wider.slots = bpe->slots ? bpe->slots * 2 : 1024;
    wider.pairs = ech_calloc(wider.slots, sizeof *wider.pairs, err);
    if (!wider.pairs)
        return ECH_UNAVAILABLE;
    for (size_t i = 0; i < wider.slots; i++)
        wider.pairs[i].id = -1;
    for (size_t i = 0; i < bpe->slots; i++)
        if (bpe->pairs[i].id >= 0)
            *pair_at(&wider, bpe->pairs[i].key) = bpe->pairs[i];
    ech_free(bpe->pairs);
    *bpe = wider;
    return ECH_OK;
}

int ech_bpe_add(struct ech_bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t id,
                struct ech_err *err)
{
    int code = (bpe->count + 1) * 2 > bpe->slots ? widen(bpe, err) : ECH_OK;
    if (code != ECH_OK)
        return code;
    struct ech_bpe_pair *pair = pair_at(bpe, key_of(left, right));
    bpe->count += pair->id < 0;
    *pair = (struct ech_bpe_pair){.key = key_of(left, right), .rank = rank, .id = id};
    return ECH_OK;
}

void ech_bpe_prepare(struct ech_bpe *bpe)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        const char one = (char)byte;
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        bpe->byte_ids[byte] =
            bpe->bytes ? ech_vocab_find(bpe->vocab, &one, 1) : ech_vocab_find(bpe->vocab, name, 6);
    }
}

static int scratch_create(const void *model, void **out, struct ech_err *err)
{
    (void)model;
    struct scratch *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->cache = ech_alloc_aligned(CACHE_SLOTS * sizeof *s->cache, err);
    if (!s->cache) {
        ech_free(s);
        return ECH_UNAVAILABLE;
    }
    memset(s->cache, 0, CACHE_SLOTS * sizeof *s->cache);
    *out = s;
    return ECH_OK;
}

static void scratch_destroy(void *scratch)
{
    struct scratch *s = scratch;
    ech_free(s->cache);
    ech_free(s->symbols);
    ech_free(s->heap);
    ech_free(s->ids);
    ech_free(s);
}

/* Symbols of a word, before any merge. */
struct opening {
    const struct ech_bpe *bpe;
    struct scratch *s;
    bool waiting; /* an unknown token that more unknown characters may join */
};

static int add_symbol(struct scratch *s, int32_t id, struct ech_err *err)
{
    int code = ech_grow((void **)&s->ids, &s->ids_capacity, s->count + 1, sizeof *s->ids, err);
    if (code == ECH_OK)
        s->ids[s->count++] = id;
    return code;
}

static int flush_unknown(struct opening *o, struct ech_err *err)
{
    if (!o->waiting)
        return ECH_OK;
    o->waiting = false;
    return add_symbol(o->s, o->bpe->unknown, err);
}

/* All of a character's bytes have tokens: put them. */
static int fall_back(struct opening *o, const unsigned char *text, size_t bytes, bool *done,
                     struct ech_err *err)
{
    *done = false;
    for (size_t i = 0; i < bytes; i++)
        if (o->bpe->byte_ids[text[i]] < 0)
            return ECH_OK;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < bytes; i++)
        code = add_symbol(o->s, o->bpe->byte_ids[text[i]], err);
    *done = true;
    return code;
}

static int add_character(struct opening *o, const unsigned char *text, size_t bytes, struct ech_err *err)
{
    int32_t id = ech_vocab_find(o->bpe->vocab, text, bytes);
    bool done;
    int code = ECH_OK;
    if (id >= 0) {
        code = flush_unknown(o, err);
        return code == ECH_OK ? add_symbol(o->s, id, err) : code;
    }
    if (o->bpe->byte_fallback) {
        code = fall_back(o, text, bytes, &done, err);
        if (code != ECH_OK || done)
            return code;
    }
    if (o->bpe->unknown == ECH_BPE_UNKNOWN_MISSING)
        return ech_fail(err, ECH_DATA, "\"%.*s\" is not in the vocabulary, and neither is its unknown token",
                        (int)bytes, (const char *)text);
    if (o->bpe->unknown < 0 || (o->waiting && o->bpe->fuse_unknown))
        return ECH_OK;
    code = flush_unknown(o, err);
    o->waiting = true;
    return code;
}

/* A character between what is put round it: its prefix unless it is the first, its suffix if it is the last.
 */
static int add_dressed(struct opening *o, const unsigned char *text, size_t bytes, bool first, bool last,
                       struct ech_err *err)
{
    unsigned char dressed[ECH_BPE_AFFIX_MOST * 2 + 4];
    size_t made = 0;
    if (!first && o->bpe->prefix) {
        made = strlen(o->bpe->prefix);
        memcpy(dressed, o->bpe->prefix, made);
    }
    memcpy(dressed + made, text, bytes);
    made += bytes;
    if (last && o->bpe->suffix) {
        size_t more = strlen(o->bpe->suffix);
        memcpy(dressed + made, o->bpe->suffix, more);
        made += more;
    }
    return add_character(o, dressed, made, err);
}

static int open_word(const struct ech_bpe *bpe, struct scratch *s, const unsigned char *text, size_t bytes,
                     struct ech_err *err)
{
    struct opening o = {.bpe = bpe, .s = s};
    const unsigned char *p = text, *end = text + bytes;
    const bool dressed = bpe->prefix || bpe->suffix;
    int code = ECH_OK;
    s->count = 0;
    while (code == ECH_OK && p < end) {
        const unsigned char *start = p;
        ech_char_next(&p);
        if (dressed)
            code = add_dressed(&o, start, (size_t)(p - start), start == text, p == end, err);
        else
            code = add_character(&o, start, (size_t)(p - start), err);
    }
    return code == ECH_OK ? flush_unknown(&o, err) : code;
}

static int open_bytes(const struct ech_bpe *bpe, struct scratch *s, const unsigned char *text, size_t bytes,
                      struct ech_err *err)
{
    struct opening o = {.bpe = bpe, .s = s};
    int code = ech_grow((void **)&s->ids, &s->ids_capacity, bytes, sizeof *s->ids, err);
    s->count = 0;
    for (size_t i = 0; code == ECH_OK && i < bytes; i++) {
        int32_t id = bpe->byte_ids[text[i]];
        if (id < 0 || o.waiting)
            code = add_character(&o, text + i, 1, err);
        else
            s->ids[s->count++] = id;
    }
    return code == ECH_OK ? flush_unknown(&o, err) : code;
}

/* The lowest rank is searched for anew after each merge: for a few symbols nothing is faster. */
static void merge_short(const struct ech_bpe *bpe, struct scratch *s)
{
    const struct ech_bpe_pair *pairs[SHORT];
    int32_t *ids = s->ids;
    size_t count = s->count;
    for (size_t i = 0; i + 1 < count; i++)
        pairs[i] = find_pair(bpe, ids[i], ids[i + 1]);
    while (count > 1) {
        size_t best = count;
        uint32_t rank = UINT32_MAX;
        for (size_t i = 0; i + 1 < count; i++)
            if (pairs[i] && pairs[i]->rank < rank) {
                rank = pairs[i]->rank;
                best = i;
            }
        if (best == count)
            break;
        ids[best] = pairs[best]->id;
        memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof *ids);
        if (best + 2 < count)
            memmove(pairs + best + 1, pairs + best + 2, (count - best - 3) * sizeof *pairs);
        count--;
        if (best + 1 < count)
            pairs[best] = find_pair(bpe, ids[best], ids[best + 1]);
        if (best > 0)
            pairs[best - 1] = find_pair(bpe, ids[best - 1], ids[best]);
    }
    s->count = count;
}

static bool before(struct candidate a, struct candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(struct scratch *s, struct candidate c)
{
    size_t at = s->heap_count++;
    while (at > 0 && before(c, s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = c;
}

static struct candidate pop(struct scratch *s)
{
    struct candidate top = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0, count = s->heap_count;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s->heap[child], last))
            break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return top;
}

static void push_pair(const struct ech_bpe *bpe, struct scratch *s, int32_t left, int32_t right)
{
    const struct ech_bpe_pair *pair =
        left >= 0 && right >= 0 ? find_pair(bpe, s->symbols[left].id, s->symbols[right].id) : NULL;
    if (pair)
        push(s, (struct candidate){pair->rank, (uint32_t)left, pair->id});
}

/* Each merge leaves at most two new candidates and takes one symbol: 3 * count is room enough. */
static int merge_long(const struct ech_bpe *bpe, struct scratch *s, struct ech_err *err)
{
    size_t count = s->count, kept = 0;
    if (count > INT32_MAX / 4)
        return ech_fail(err, ECH_DATA, "a word of %zu characters is too long", count);
    int code = ech_grow((void **)&s->symbols, &s->capacity, count, sizeof *s->symbols, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&s->heap, &s->heap_capacity, 3 * count, sizeof *s->heap, err);
    if (code != ECH_OK)
        return code;
    s->heap_count = 0;
    for (size_t i = 0; i < count; i++)
        s->symbols[i] = (struct symbol){s->ids[i], (int32_t)i - 1, i + 1 < count ? (int32_t)i + 1 : -1};
    for (int32_t i = 0; i + 1 < (int32_t)count; i++)
        push_pair(bpe, s, i, i + 1);
    while (s->heap_count) {
        struct candidate c = pop(s);
        struct symbol *left = &s->symbols[c.at];
        if (left->next < 0) /* merged away, or the last one */
            continue;
        struct symbol *right = &s->symbols[left->next];
        const struct ech_bpe_pair *pair = find_pair(bpe, left->id, right->id);
        if (!pair || pair->id != c.id) /* one of the two has changed since */
            continue;
        left->id = c.id;
        left->next = right->next;
        right->next = -2;
        if (left->next >= 0)
            s->symbols[left->next].previous = (int32_t)c.at;
        push_pair(bpe, s, left->previous, (int32_t)c.at);
        push_pair(bpe, s, (int32_t)c.at, left->next);
    }
    for (int32_t i = 0; i >= 0; i = s->symbols[i].next)
        s->ids[kept++] = s->symbols[i].id;
    s->count = kept;
    return ECH_OK;
}

/* Ids of a word into s->ids. */
static int merge_word(const struct ech_bpe *bpe, struct scratch *s, const unsigned char *text, size_t bytes,
                      struct ech_err *err)
{
    if (bpe->ignore_merges) {
        int32_t id = ech_vocab_find(bpe->vocab, text, bytes);
        s->count = 0;
        if (id >= 0)
            return add_symbol(s, id, err);
    }
    int code = bpe->bytes ? open_bytes(bpe, s, text, bytes, err) : open_word(bpe, s, text, bytes, err);
    if (code != ECH_OK || s->count < 2)
        return code;
    if (s->count > SHORT || bpe->heap_always)
        return merge_long(bpe, s, err);
    merge_short(bpe, s);
    return ECH_OK;
}

static inline uint64_t load(const unsigned char *text, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, text, bytes);
    return value;
}

/* A word of 2 to 24 bytes as three numbers, which with its length say all of it. */
static inline void pack(const unsigned char *text, size_t bytes, uint64_t out[3])
{
    out[1] = 0;
    if (bytes >= 8) {
        out[0] = load(text, 8);
        out[2] = load(text + bytes - 8, 8);
        if (bytes > 16)
            out[1] = load(text + 8, 8);
    } else if (bytes >= 4) {
        out[0] = load(text, 4);
        out[2] = load(text + bytes - 4, 4);
    } else {
        out[0] = load(text, 2);
        out[2] = text[bytes - 1];
    }
}

static inline struct cached *cache_slot(struct scratch *s, const uint64_t key[3], size_t bytes)
{
    uint64_t h = (key[0] ^ bytes) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32 ^ key[1]) * 0xC2B2AE3D27D4EB4Fu;
    h = (h ^ h >> 29 ^ key[2]) * 0x165667B19E3779F9u;
    return &s->cache[h >> 50];
}

static int encode_word(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err)
{
    const struct ech_bpe *bpe = model;
    struct scratch *s = scratch;
    struct cached *slot = NULL;
    uint64_t key[3];
    if (bpe->bytes && bytes == 1 && bpe->byte_ids[*text] >= 0) {
        ech_sink_put(sink, bpe->byte_ids[*text]);
        return ECH_OK;
    }
    if (bytes >= 2 && bytes <= CACHE_BYTES) {
        pack(text, bytes, key);
        slot = cache_slot(s, key, bytes);
        if (slot->bytes == bytes && slot->text[0] == key[0] && slot->text[1] == key[1] &&
            slot->text[2] == key[2]) {
            ech_sink_put_many(sink, slot->ids, slot->count);
            return ECH_OK;
        }
    }
    int code = merge_word(bpe, s, text, bytes, err);
    if (code != ECH_OK)
        return code;
    if (slot && s->count > 0 && s->count <= CACHE_IDS) {
        memcpy(slot->text, key, sizeof key);
        slot->bytes = (uint8_t)bytes;
        slot->count = (uint8_t)s->count;
        memcpy(slot->ids, s->ids, s->count * sizeof *s->ids);
    }
    ech_sink_put_many(sink, s->ids, (int64_t)s->count);
    return ECH_OK;
}

const struct ech_model_ops ech_bpe_ops = {.kind = "BPE",
                                          .close = close_model,
                                          .scratch_create = scratch_create,
                                          .scratch_destroy = scratch_destroy,
                                          .encode_word = encode_word};
