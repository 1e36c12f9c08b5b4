/* Unigram: see unigram.h. One pass from left to right; a place keeps its best way only, and only a strictly
 * better one takes its place, so that of equals the one that begins first wins, as in the references. */
#include "text/unigram.h"

#include "base/mem.h"

#include <string.h>

enum { TEXT_MOST = 1 << 30 };

void ech_unigram_fini(struct ech_unigram *m)
{
    ech_sp_trie_fini(&m->trie);
    ech_free(m->scores);
    memset(m, 0, sizeof *m);
}

static size_t char_bytes(unsigned char lead)
{
    static const uint8_t lengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    return lengths[lead >> 4];
}

static inline void offer(struct ech_unigram_place *place, double score, size_t start, int32_t id, bool narrow)
{
    if (narrow)
        score = (double)(float)score;
    if (place->other < 0 || score > place->score)
        *place = (struct ech_unigram_place){score, (int32_t)start, id};
}

/* All pieces that begin at `at`; whether one of them is exactly the character there. */
static inline bool offer_pieces(const struct ech_unigram *m, const unsigned char *text, size_t bytes,
                                size_t at, size_t character, struct ech_unigram_place *places, bool narrow)
{
    const struct ech_sp_node *nodes = m->trie.nodes;
    double before = places[at].score;
    bool single = false;
    uint32_t node = 0;
    for (size_t i = at; i < bytes && ech_sp_trie_step(nodes, &node, text[i]); i++) {
        int32_t id = nodes[node].value;
        if (id < 0)
            continue;
        offer(&places[i + 1], m->scores[id] + before, at, id, narrow);
        single |= i + 1 == at + character;
    }
    return single;
}

static inline void forward(const struct ech_unigram *m, const unsigned char *text, size_t bytes,
                           struct ech_unigram_place *places, bool narrow)
{
    for (size_t at = 0; at < bytes;) {
        size_t character = char_bytes(text[at]);
        if (character > bytes - at)
            character = bytes - at;
        if (!offer_pieces(m, text, bytes, at, character, places, narrow))
            offer(&places[at + character], m->unknown_score + places[at].score, at, m->unknown, narrow);
        at += character;
    }
}

/* Turn the links round: each place then says where its piece ends. */
static void turn(struct ech_unigram_place *places, size_t bytes)
{
    struct ech_unigram_place last = places[bytes];
    for (size_t end = bytes; end > 0;) {
        size_t start = (size_t)last.other;
        struct ech_unigram_place before = places[start];
        places[start].other = (int32_t)end;
        places[start].id = last.id;
        last = before;
        end = start;
    }
}

int ech_unigram_best(const struct ech_unigram *m, const unsigned char *text, size_t bytes,
                     struct ech_unigram_scratch *scratch, struct ech_err *err)
{
    if (bytes > TEXT_MOST)
        return ech_fail(err, ECH_DATA, "a text of %zu bytes, at most %d were expected", bytes, TEXT_MOST);
    int code =
        ech_grow((void **)&scratch->places, &scratch->capacity, bytes + 1, sizeof *scratch->places, err);
    if (code != ECH_OK)
        return code;
    struct ech_unigram_place *places = scratch->places;
    for (size_t i = 0; i <= bytes; i++)
        places[i] = (struct ech_unigram_place){.other = -1};
    if (m->narrow)
        forward(m, text, bytes, places, true);
    else
        forward(m, text, bytes, places, false);
    turn(places, bytes);
    return ECH_OK;
}
