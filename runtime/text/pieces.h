/* Decoders: a chain of steps over a list of tokens; what is left at the end is joined to one text. */
#ifndef ECH_TEXT_PIECES_H
#define ECH_TEXT_PIECES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_regex_scratch;

/* A list of strings in one block (and a regex's memory). */
struct ech_pieces {
    char *text;
    size_t bytes, text_capacity;
    size_t *ends; /* end of piece i in text; it begins where piece i - 1 ends */
    size_t count, ends_capacity;
    struct ech_regex_scratch *regex;
};

void ech_pieces_fini(struct ech_pieces *pieces);
void ech_pieces_clear(struct ech_pieces *pieces); /* keeps the memory */
/* Bytes behind the text that belong to no piece yet, then the end of a piece. */
int ech_pieces_put(struct ech_pieces *pieces, const void *text, size_t bytes, struct ech_err *err);
int ech_pieces_end(struct ech_pieces *pieces, struct ech_err *err);
static inline const char *ech_pieces_get(const struct ech_pieces *pieces, size_t i, size_t *bytes)
{
    size_t start = i ? pieces->ends[i - 1] : 0;
    *bytes = pieces->ends[i] - start;
    return pieces->text + start;
}

/* One component: reads `in`, appends to the cleared `out`. */
struct ech_decode_step {
    int (*apply)(const void *data, const struct ech_pieces *in, struct ech_pieces *out, struct ech_err *err);
    void (*close)(void *data); /* NULL: nothing to free */
    void *data;
};

struct ech_decoder {
    struct ech_decode_step *steps;
    size_t count, capacity;
};

/* `step.data` moves in, also on failure. */
int ech_decoder_add(struct ech_decoder *decoder, struct ech_decode_step step, struct ech_err *err);
void ech_decoder_fini(struct ech_decoder *decoder);
/* All steps; the result is buffers[*which]. buffers[0] holds the tokens. */
int ech_decoder_run(const struct ech_decoder *decoder, struct ech_pieces buffers[2], int *which,
                    struct ech_err *err);

#endif
