/* SentencePiece's BPE: see spbpe.h. Candidates wait in a binary heap; one whose parts have changed since is
 * passed over when its turn comes. Where no piece reaches over the beginning of a word, each word is merged
 * by itself, which gives the same pieces. */
#include "text/spbpe.h"

#include "base/mem.h"

#include <string.h>

enum { TEXT_MOST = 1 << 30, SPACE_BYTES = 3 };
enum { TAKEN_APART = 1, USED = 2 }; /* uses[] */

static bool is_space(const unsigned char *text, size_t bytes)
{
    return bytes >= SPACE_BYTES && memcmp(text, "\xE2\x96\x81", SPACE_BYTES) == 0;
}

/* Bytes up to the first place where a word begins: a space behind another character. */
static size_t word_bytes(const unsigned char *text, size_t bytes)
{
    size_t at = 0;
    while (is_space(text + at, bytes - at))
        at += SPACE_BYTES;
    while (at < bytes) {
        const unsigned char *next = memchr(text + at, 0xE2, bytes - at);
        if (!next)
            return bytes;
        at = (size_t)(next - text);
        if (at > 0 && is_space(next, bytes - at))
            return at;
        at++;
    }
    return bytes;
}

static bool inside_words(const struct ech_sp_vocab *v, const uint8_t *chosen)
{
    for (size_t id = 0; id < v->count; id++) {
        size_t bytes;
        const unsigned char *text = ech_sp_vocab_text(v, (int32_t)id, &bytes);
        if (chosen[id] && word_bytes(text, bytes) < bytes)
            return false;
    }
    return true;
}

int ech_spbpe_init(struct ech_spbpe *m, const struct ech_sp_vocab *v, const struct ech_sp_trie *user,
                   bool all_types, struct ech_err *err)
{
    *m = (struct ech_spbpe){.vocab = v, .user = user};
    m->uses = ech_calloc(v->count + 1, 1, err);
    if (!m->uses)
        return ECH_UNAVAILABLE;
    for (size_t id = 0; id < v->count; id++) {
        uint8_t type = v->types[id];
        bool used = all_types || type == ECH_VOCAB_NORMAL || type == ECH_VOCAB_USER_DEFINED;
        bool unused = !used && type == ECH_VOCAB_UNUSED;
        m->uses[id] = used ? USED : unused ? TAKEN_APART : 0;
        m->unused |= unused;
    }
    /* How an unused piece is taken apart depends on all of the text. */
    m->by_word = !m->unused && inside_words(v, m->uses);
    return ECH_OK;
}

void ech_spbpe_fini(struct ech_spbpe *m)
{
    ech_free(m->uses);
    memset(m, 0, sizeof *m);
}

void ech_spbpe_scratch_fini(struct ech_spbpe_scratch *s)
{
    ech_free(s->symbols);
    ech_free(s->heap);
    ech_free(s->splits);
    memset(s, 0, sizeof *s);
}

static uint64_t key_of(float score, int32_t left)
{
    uint32_t bits;
    score += 0.0F; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    bits = bits >> 31 ? bits : ~bits & 0x7FFFFFFF; /* ascending where scores descend */
    return (uint64_t)bits << 32 | (uint32_t)left;
}

static void sift_down(struct ech_spbpe_pair *heap, size_t count, size_t at)
{
    struct ech_spbpe_pair moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child + 1].key < heap[child].key;
        if (moved.key <= heap[child].key)
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static void sift_up(struct ech_spbpe_pair *heap, size_t at)
{
    struct ech_spbpe_pair moved = heap[at];
    while (at > 0 && moved.key < heap[(at - 1) / 2].key) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = moved;
}

/* A piece of the vocabulary that the symbol and the next one make, into *pair. */
static inline bool pair_of(const struct ech_spbpe *m, struct ech_spbpe_scratch *s, const unsigned char *text,
                           int32_t left, struct ech_spbpe_pair *pair)
{
    const struct ech_sp_vocab *v = m->vocab;
    const struct ech_spbpe_symbol *a = &s->symbols[left], *b = &s->symbols[a->next];
    size_t bytes = (size_t)a->bytes + b->bytes;
    if (a->frozen || b->frozen || bytes > v->longest)
        return false;
    int32_t id =
        ech_sp_vocab_find(v, text + a->start, bytes, ech_sp_hash_join(v, a->hash, b->hash, b->bytes));
    if (id < 0 || !m->uses[id])
        return false;
    if (m->uses[id] == TAKEN_APART)
        s->splits[id] = a->bytes;
    *pair = (struct ech_spbpe_pair){key_of(v->scores[id], left), id};
    return true;
}

static size_t char_bytes(const unsigned char *text, size_t bytes)
{
    size_t length = text[0] < 0xC0 ? 1 : text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;
    return length < bytes ? length : bytes;
}

/* Symbols of a stretch of the text, and the heap of their pairs. */
static int fill(const struct ech_spbpe *m, struct ech_spbpe_scratch *s, const unsigned char *text,
                size_t start, size_t end, struct ech_err *err)
{
    size_t most = end - start;
    int code = ech_grow((void **)&s->symbols, &s->symbols_capacity, most, sizeof *s->symbols, err);
    if (code == ECH_OK) /* each merge takes one symbol away and puts at most two pairs */
        code = ech_grow((void **)&s->heap, &s->heap_capacity, 3 * most, sizeof *s->heap, err);
    if (code != ECH_OK)
        return code;
    s->count = s->heap_count = 0;
    for (size_t at = start; at < end;) {
        int32_t value, here = (int32_t)s->count++;
        size_t bytes = 0;
        if (m->user && m->user->first[text[at]])
            bytes = ech_sp_trie_longest(m->user, text + at, end - at, &value);
        bool frozen = bytes > 0;
        if (!frozen)
            bytes = char_bytes(text + at, end - at);
        uint64_t hash = ech_sp_hash(text + at, bytes);
        s->symbols[here] = (struct ech_spbpe_symbol){.hash = hash,
                                                     .start = (uint32_t)at,
                                                     .bytes = (uint32_t)bytes,
                                                     .prev = here - 1,
                                                     .frozen = frozen};
        s->symbols[here].id =
            bytes > m->vocab->longest ? -1 : ech_sp_vocab_find(m->vocab, text + at, bytes, hash);
        at += bytes;
        s->symbols[here].next = at < end ? here + 1 : -1;
    }
    for (int32_t i = 0; s->symbols[i].next >= 0; i++)
        s->heap_count += pair_of(m, s, text, i, &s->heap[s->heap_count]);
    for (size_t i = s->heap_count / 2; i-- > 0;)
        sift_down(s->heap, s->heap_count, i);
    return ECH_OK;
}

static void push(const struct ech_spbpe *m, struct ech_spbpe_scratch *s, const unsigned char *text,
                 int32_t left)
{
    if (left >= 0 && s->symbols[left].next >= 0 && pair_of(m, s, text, left, &s->heap[s->heap_count]))
        sift_up(s->heap, s->heap_count++);
}

static void merge(const struct ech_spbpe *m, struct ech_spbpe_scratch *s, const unsigned char *text)
{
    const struct ech_sp_vocab *v = m->vocab;
    while (s->heap_count > 0) {
        struct ech_spbpe_pair top = s->heap[0];
        s->heap[0] = s->heap[--s->heap_count];
        if (s->heap_count > 1)
            sift_down(s->heap, s->heap_count, 0);
        int32_t left = (int32_t)(uint32_t)top.key;
        struct ech_spbpe_symbol *a = &s->symbols[left];
        if (a->bytes == 0 || a->next < 0)
            continue;
        struct ech_spbpe_symbol *b = &s->symbols[a->next];
        if (a->bytes + b->bytes != v->starts[top.id + 1] - v->starts[top.id])
            continue;
        a->hash = ech_sp_hash_join(v, a->hash, b->hash, b->bytes);
        a->bytes += b->bytes;
        a->next = b->next;
        a->id = top.id;
        b->bytes = 0;
        if (a->next >= 0)
            s->symbols[a->next].prev = left;
        push(m, s, text, a->prev);
        push(m, s, text, left);
    }
}

/* A piece, or the parts it was made of where it is not to be used. */
static int put(const struct ech_spbpe *m, const struct ech_spbpe_scratch *s, int32_t id,
               const unsigned char *text, size_t bytes, const struct ech_spbpe_out *out, struct ech_err *err)
{
    size_t split = id >= 0 && m->uses[id] == TAKEN_APART ? s->splits[id] : 0;
    if (split == 0)
        return out->piece(out->context, id >= 0 && m->uses[id] == USED ? id : -1, text, bytes, err);
    int code = put(m, s, ech_sp_vocab_id(m->vocab, text, split), text, split, out, err);
    if (code != ECH_OK)
        return code;
    text += split;
    bytes -= split;
    return put(m, s, ech_sp_vocab_id(m->vocab, text, bytes), text, bytes, out, err);
}

static int encode_stretch(const struct ech_spbpe *m, const unsigned char *text, size_t start, size_t end,
                          struct ech_spbpe_scratch *s, const struct ech_spbpe_out *out, struct ech_err *err)
{
    int code = fill(m, s, text, start, end, err);
    if (code != ECH_OK)
        return code;
    merge(m, s, text);
    for (int32_t i = 0; code == ECH_OK && i >= 0; i = s->symbols[i].next)
        code = put(m, s, s->symbols[i].id, text + s->symbols[i].start, s->symbols[i].bytes, out, err);
    return code;
}

/* A split that was noted for an earlier text does no harm: a piece that comes out merged was noted anew, and
 * a single character never is. */
static int prepare(const struct ech_spbpe *m, struct ech_spbpe_scratch *s, struct ech_err *err)
{
    if (!m->unused || s->splits)
        return ECH_OK;
    s->splits = ech_calloc(m->vocab->count, sizeof *s->splits, err);
    return s->splits ? ECH_OK : ECH_UNAVAILABLE;
}

int ech_spbpe_encode(const struct ech_spbpe *m, const unsigned char *text, size_t bytes,
                     struct ech_spbpe_scratch *s, const struct ech_spbpe_out *out, struct ech_err *err)
{
    if (bytes > TEXT_MOST)
        return ech_fail(err, ECH_DATA, "a text of %zu bytes, at most %d were expected", bytes, TEXT_MOST);
    int code = prepare(m, s, err);
    for (size_t at = 0; code == ECH_OK && at < bytes;) {
        size_t length = m->by_word ? word_bytes(text + at, bytes - at) : bytes;
        code = encode_stretch(m, text, at, at + length, s, out, err);
        at += length;
    }
    return code;
}
