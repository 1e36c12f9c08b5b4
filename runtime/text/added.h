/* Added tokens: strings that are found in the text before it is cut ("[SEP]", "<mask>"), leftmost and
 * longest first; some in the raw text, some in the normalised one. */
#ifndef ECH_TEXT_ADDED_H
#define ECH_TEXT_ADDED_H

#include "base/err.h"
#include "text/trie.h"

#include <stddef.h>
#include <stdint.h>

enum ech_added_where { ECH_ADDED_RAW = 0, ECH_ADDED_NORMAL = 1 };

struct ech_added_token {
    int32_t id;
    bool single_word, lstrip, rstrip, special;
};

struct ech_added {
    struct ech_trie trie; /* a root for each place; values are indices of `tokens` */
    struct ech_added_token *tokens;
    size_t count, capacity;
    bool first[2][256]; /* bytes that begin a token */
    bool any[2];
};

/* One walk over a text: zeroed but for the first three. */
struct ech_added_scan {
    const unsigned char *text;
    size_t bytes;
    bool literal;    /* special tokens are plain text */
    size_t from, at; /* end of the last match with the spaces that it took, and without */
    size_t start;    /* the match: the text before it is from what `from` was to `start` */
    int32_t id;
};

int ech_added_init(struct ech_added *added, struct ech_err *err);
void ech_added_fini(struct ech_added *added);
int ech_added_add(struct ech_added *added, enum ech_added_where where, const void *text, size_t bytes,
                  struct ech_added_token token, struct ech_err *err);
/* The next match into scan->start and id; scan->from moves behind it and *before is its old value (the text
 * between is *before to start, none where start is not larger). False: no more. */
bool ech_added_next(const struct ech_added *added, enum ech_added_where where, struct ech_added_scan *scan,
                    size_t *before);

#endif
