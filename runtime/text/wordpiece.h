/* WordPiece: words are cut at white space and punctuation, then taken greedily from the vocabulary, longest
 * entry first; what has no cover is one unknown token. */
#ifndef ECH_TEXT_WORDPIECE_H
#define ECH_TEXT_WORDPIECE_H

#include "base/err.h"
#include "text/trie.h"

#include <stddef.h>
#include <stdint.h>

struct ech_wordpiece {
    struct ech_trie trie; /* root 0: as written; root 1: continuations, without their prefix */
    char *prefix;         /* "##" */
    int32_t unknown;
    int64_t max_chars; /* a longer word is unknown */
};

/* Where ids go: at most `limit` are kept, all are counted; unless `count_all`, work may stop beyond it. */
struct ech_id_sink {
    int32_t *ids;
    int64_t limit, found;
    bool count_all;
};

static inline void ech_sink_put(struct ech_id_sink *sink, int32_t id)
{
    if (sink->found < sink->limit)
        sink->ids[sink->found] = id;
    sink->found++;
}

static inline bool ech_sink_full(const struct ech_id_sink *sink)
{
    return !sink->count_all && sink->found > sink->limit;
}

int ech_wordpiece_init(struct ech_wordpiece *pieces, const char *prefix, struct ech_err *err);
void ech_wordpiece_fini(struct ech_wordpiece *pieces);
int ech_wordpiece_add(struct ech_wordpiece *pieces, const char *token, size_t bytes, int32_t id,
                      struct ech_err *err);
/* Cut normalised text (valid UTF-8) and put its ids. */
void ech_wordpiece_encode(const struct ech_wordpiece *pieces, const unsigned char *text, size_t bytes,
                          struct ech_id_sink *sink);

#endif
