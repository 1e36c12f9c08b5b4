/* Frames of special tokens: see post.h. */
#include "text/post.h"

#include <string.h>

void ech_post_init(struct ech_post *post)
{
    *post = (struct ech_post){
        .single = {.parts = {{ECH_POST_FIRST, 0, 0}}, .count = 1},
        .pair = {.parts = {{ECH_POST_FIRST, 0, 0}, {ECH_POST_SECOND, 0, 1}}, .count = 2},
    };
}

int ech_post_add(struct ech_post_list *list, struct ech_post_part part, struct ech_err *err)
{
    if (list->count >= ECH_POST_MOST)
        return ech_fail(err, ECH_DATA, "the post-processor puts more than %d parts", ECH_POST_MOST);
    list->parts[list->count++] = part;
    return ECH_OK;
}

int64_t ech_post_tokens(const struct ech_post_list *list)
{
    int64_t tokens = 0;
    for (int i = 0; i < list->count; i++)
        tokens += list->parts[i].kind == ECH_POST_TOKEN;
    return tokens;
}
