/* BERT's normaliser: clean control characters and white space, set ideographs apart, strip accents (canonical
 * decomposition without non-spacing marks), lower case. One pass; text in is valid UTF-8. */
#ifndef ECH_TEXT_BERT_NORMAL_H
#define ECH_TEXT_BERT_NORMAL_H

#include "text/normal.h"

#include <stdbool.h>

struct ech_bert_normalizer {
    bool clean, cjk, strip, lower;
    uint8_t ascii[128]; /* what becomes of each ASCII byte; ECH_ASCII_DROP: nothing */
};
enum { ECH_ASCII_DROP = 0xFF };

/* Fill `ascii` from the four choices. */
void ech_bert_prepare(struct ech_bert_normalizer *normalizer);
/* Append the normalised text to `out`. A combining sequence must not be cut between two calls. */
int ech_bert_normalize(const struct ech_bert_normalizer *normalizer, const unsigned char *text, size_t bytes,
                       struct ech_normal *out, struct ech_err *err);
/* The same as a step; `choices` are copied and prepared. */
int ech_bert_step(struct ech_bert_normalizer choices, struct ech_normal_step *out, struct ech_err *err);
/* Append the lower case of the text, nothing else changed. */
int ech_normal_lower(const unsigned char *text, size_t bytes, struct ech_normal *out, struct ech_err *err);

#endif
