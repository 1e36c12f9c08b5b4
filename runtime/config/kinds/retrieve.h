/* Options of kind retrieve: for each query the top k rows of a vector dataset. */
#ifndef ECH_CONFIG_KINDS_RETRIEVE_H
#define ECH_CONFIG_KINDS_RETRIEVE_H

#include "config/kinds/embed.h"

struct ech_retrieve_options {
    struct ech_embed_options encode; /* how query texts become vectors: the same option names as embed */
    char *index;                     /* dataset of vectors (path), required */
    char *column;                    /* its tensor column, "embedding" */
    int64_t top_k;                   /* 10 */
    int metric;                      /* choice: cosine dot */
    struct ech_list join;            /* columns of the index dataset copied for each hit */
    struct ech_list query;           /* query texts, instead of input.dataset */
};

#endif
