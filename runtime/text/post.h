/* What stands round a text or a pair: the post-processor, as two lists of parts. */
#ifndef ECH_TEXT_POST_H
#define ECH_TEXT_POST_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { ECH_POST_MOST = 32 };
enum ech_post_kind { ECH_POST_TOKEN, ECH_POST_FIRST, ECH_POST_SECOND };

struct ech_post_part {
    enum ech_post_kind kind;
    int32_t id; /* of a token */
    uint8_t type;
};

struct ech_post_list {
    struct ech_post_part parts[ECH_POST_MOST];
    int count;
};

/* By default a single text alone (type 0), a pair one after the other (types 0 and 1). */
struct ech_post {
    struct ech_post_list single, pair;
};

void ech_post_init(struct ech_post *post);
/* ECH_DATA beyond ECH_POST_MOST. */
int ech_post_add(struct ech_post_list *list, struct ech_post_part part, struct ech_err *err);
/* Special tokens in it. */
int64_t ech_post_tokens(const struct ech_post_list *list);

#endif
