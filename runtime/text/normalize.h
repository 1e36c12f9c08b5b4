/* BERT's normaliser: clean control characters and white space, set ideographs apart, strip accents (canonical
 * decomposition without non-spacing marks), lower case. One pass; text in is valid UTF-8. */
#ifndef ECH_TEXT_NORMALIZE_H
#define ECH_TEXT_NORMALIZE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_normalizer {
    bool clean, cjk, strip, lower;
    uint8_t ascii[128]; /* what becomes of each ASCII byte; ECH_ASCII_DROP: nothing */
};
enum { ECH_ASCII_DROP = 0xFF };

/* Scratch of one thread: the text made so far, and marks that wait for their order. */
struct ech_normal {
    unsigned char *text;
    size_t bytes, capacity;
    struct ech_mark {
        int32_t c;
        int order;
    } * marks, *sorted;
    size_t marks_count, marks_capacity, sorted_capacity;
};

/* Fill `ascii` from the four choices. */
void ech_normalizer_prepare(struct ech_normalizer *normalizer);
/* Append the normalised text to `out`. A combining sequence must not be cut between two calls. */
int ech_normalize(const struct ech_normalizer *normalizer, const unsigned char *text, size_t bytes,
                  struct ech_normal *out, struct ech_err *err);
/* Append the lower case of the text, nothing else changed. */
int ech_normal_lower(const unsigned char *text, size_t bytes, struct ech_normal *out, struct ech_err *err);
void ech_normal_fini(struct ech_normal *normal);

#endif
