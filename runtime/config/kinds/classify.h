/* Options of kind classify: labels of texts, of pairs of texts, or of their tokens. */
#ifndef ECH_CONFIG_KINDS_CLASSIFY_H
#define ECH_CONFIG_KINDS_CLASSIFY_H

#include "config/field.h"

enum ech_classify_scores {
    ECH_SCORES_MODEL, /* as the model's files say */
    ECH_SCORES_SOFTMAX,
    ECH_SCORES_SIGMOID,
    ECH_SCORES_NONE /* logits */
};

struct ech_classify_options {
    char *pair;         /* column of the second text of each row (cross-encoders) */
    int scores;         /* choice, as enum ech_classify_scores */
    int64_t max_tokens; /* auto: the model's limit, 512 where it has none */
    int on_long;        /* choice: truncate error */
    char *prefix;       /* put before each first text */
};

#endif
