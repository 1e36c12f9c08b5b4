/* A sentencepiece model: normaliser, pieces, one of four ways to cut, and the way back. Ids and text as
 * sentencepiece 0.2 gives them for the same file. Read-only once open: any number of threads, each with a
 * scratch of its own. Control pieces are never found in a text. */
#ifndef ECH_TEXT_SENTENCEPIECE_H
#define ECH_TEXT_SENTENCEPIECE_H

#include "text/pieces.h"
#include "text/sentencepiece_file.h"
#include "text/sentencepiece_normal.h"
#include "text/sentencepiece_vocab.h"
#include "text/sink.h"
#include "text/spbpe.h"
#include "text/unigram.h"

struct ech_sentencepiece {
    enum ech_sp_model kind;
    struct ech_sp_vocab vocab;
    struct ech_sp_trie user; /* user-defined symbols */
    struct ech_sp_normalizer normalizer, denormalizer;
    struct ech_unigram unigram;
    struct ech_spbpe bpe;
    bool byte_fallback, denormalizes;
    char *unk_surface;
    int32_t bos, eos, pad; /* control pieces by name, -1: none */
};

/* One thread's memory. */
struct ech_sp_scratch {
    struct ech_normal normal;
    struct ech_unigram_scratch unigram;
    struct ech_spbpe_scratch bpe;
};
void ech_sp_scratch_fini(struct ech_sp_scratch *scratch);

/* From the bytes of a file; copied. The model points into itself: it must stay where it is.
 * Errors  ECH_DATA with the byte offset; what the reference refuses: no or two unknown pieces, a text that
 *         stands twice, byte pieces that are not 256 or come without byte_fallback. */
int ech_sentencepiece_parse(const char *name, const void *data, size_t bytes, struct ech_sentencepiece *out,
                            struct ech_err *err);
/* From arrays, as llama.cpp reads them: model "llama" (BPE by score, all types merged) or "t5" (Unigram). */
int ech_sentencepiece_from_source(const char *name, const struct ech_vocab_source *source,
                                  struct ech_sentencepiece *out, struct ech_err *err);
void ech_sentencepiece_fini(struct ech_sentencepiece *model);

/* Text: any bytes. Neither bos nor eos is put. */
int ech_sentencepiece_encode(const struct ech_sentencepiece *model, struct ech_sp_scratch *scratch,
                             const unsigned char *text, size_t bytes, struct ech_id_sink *sink,
                             struct ech_err *err);
/* Pieces by their text, as one piece of `out`: spaces put back, byte pieces joined (a broken sequence reads
 * U+FFFD a byte), control pieces left out, the unknown piece by its surface; denormalised. */
int ech_sentencepiece_decode(const struct ech_sentencepiece *model, const struct ech_pieces *pieces,
                             struct ech_pieces *out, struct ech_err *err);

#endif
