/* The decoder components of tokenizer.json: each fills a step. */
#ifndef ECH_TEXT_DECODERS_H
#define ECH_TEXT_DECODERS_H

#include "text/normal_steps.h"
#include "text/pieces.h"

#include <stdbool.h>

struct ech_decode_step ech_decode_byte_level(void);
struct ech_decode_step ech_decode_byte_fallback(void);
struct ech_decode_step ech_decode_fuse(void);
/* The step owns `replace`. */
struct ech_decode_step ech_decode_replace(struct ech_replace *replace);

/* What the others are told; strings are copied. */
struct ech_decode_words {
    const char *first, *second; /* WordPiece: prefix; BPEDecoder: suffix; CTC: pad, word delimiter; Strip:
                                   character; Metaspace: replacement */
    bool cleanup;               /* WordPiece, CTC */
    bool prefix;                /* Metaspace: the first token's replacements go */
    size_t start, stop;         /* Strip: at most so many at each end */
};
int ech_decode_word_piece(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err);
int ech_decode_bpe(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err);
int ech_decode_ctc(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err);
int ech_decode_strip(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err);
int ech_decode_metaspace(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err);

/* Append bytes as valid UTF-8: each longest broken front of a sequence reads U+FFFD. */
int ech_pieces_put_lossy(struct ech_pieces *out, const unsigned char *bytes, size_t count,
                         struct ech_err *err);

#endif
