/* A sentencepiece file (.model, .spm): the fields of its protobuf message that tokenizing needs, as they lie
 * in the file's bytes. Unknown fields are passed over, as the format asks; anything malformed is refused with
 * its byte offset. No vocabulary is judged here.
 *   ModelProto   1 pieces {1 text, 2 score f32, 3 type}, 2 trainer, 3 normalizer, 5 denormalizer
 *   trainer      3 model type, 24 white space is a suffix, 35 byte fallback, 44 surface of unk, 45-48 names
 * of unk, bos, eos, pad normalizer   2 compiled character map, 3 add dummy prefix, 4 remove extra white
 * space, 5 escape it */
#ifndef ECH_TEXT_SENTENCEPIECE_FILE_H
#define ECH_TEXT_SENTENCEPIECE_FILE_H

#include "base/err.h"
#include "text/vocab_source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ech_sp_model { ECH_SP_UNIGRAM = 1, ECH_SP_BPE = 2, ECH_SP_WORD = 3, ECH_SP_CHAR = 4 };

struct ech_sp_normal_spec {
    struct ech_vocab_text charsmap;
    bool dummy_prefix, remove_extra, escape;
};

struct ech_sp_file {
    struct ech_vocab_text *tokens; /* count of each */
    float *scores;
    int32_t *types; /* enum ech_vocab_type */
    size_t count, tokens_capacity, scores_capacity, types_capacity;
    int64_t model;
    bool suffix_whitespace, byte_fallback, has_unk_surface;
    struct ech_vocab_text unk_surface, unk, bos, eos, pad;
    struct ech_sp_normal_spec normalizer, denormalizer;
};

/* Owner   text stays in `data`; the arrays go with ech_sp_file_fini. `name` stands in messages.
 * Errors  ECH_DATA: "NAME: byte N: ..."; the file is empty afterwards. */
int ech_sp_file_parse(const char *name, const void *data, size_t bytes, struct ech_sp_file *out,
                      struct ech_err *err);
void ech_sp_file_fini(struct ech_sp_file *file);

#endif
