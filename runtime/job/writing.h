/* What generate, translate and score share: a decoder with a job's options, the model's tokenizers and rules,
 * a generator over them. A kind adds how a row becomes requests and how what was written becomes columns. */
#ifndef ECH_JOB_WRITING_H
#define ECH_JOB_WRITING_H

#include "config/kinds/write.h"
#include "job/kind.h"
#include "model/weights.h"
#include "model/generator.h"

struct ech_writing {
    struct ech_lm *decoder;
    struct ech_lm **twins; /* lanes - 1: of a small model each thread has one (ech_lm_divide) */
    int lanes;
    struct ech_tokenizer *tokenizer;        /* of what is read */
    struct ech_tokenizer *output;           /* of what is written; the same one where the model has one */
    struct ech_encoder *encoder, *decoding; /* the feeder's thread, main's */
    struct ech_generator_rules rules;
    bool frameless;      /* the tokenizer puts no special tokens round a text */
    int32_t start;       /* the decoder's first token; -1: the zero vector, or none is needed */
    int32_t begin;       /* put before a text where the tokenizer's file does not do so itself; -1: none */
    bool begins;         /* such a file: a language model's tokenizer.model */
    char *chat_template; /* NULL: none */
    struct ech_generator *generator;
    const struct ech_write_options *options;
    int64_t context, sequences;
    int threads;
    char *folder, *from; /* of the model's files: as the job names them, and where they are read */
    char **files;
    size_t files_count, files_capacity;
};

/* Local; nothing large is allocated. `out` is zeroed; on failure the caller closes it. */
int ech_writing_open(const struct ech_stream_env *env, const struct ech_write_options *options,
                     struct ech_writing *out, struct ech_err *err);
void ech_writing_close(struct ech_writing *writing);
int ech_writing_identify(const struct ech_writing *writing, struct ech_comm *comm,
                         struct ech_identity *identity, struct ech_err *err);
/* The decoder, then the generator. stops, log_probabilities and sampling are the kind's. */
int ech_writing_start(struct ech_writing *writing, struct ech_generator_options *options,
                      struct ech_err *err);

int64_t ech_writing_rows_at_a_time(const struct ech_writing *writing);

/* Ids of a text, on the feeder's thread. *why (owner: caller) is set for a row that cannot be used: then the
 * rest is not. */
struct ech_reading {
    int32_t *ids;
    int64_t count;
    char *why;
};
/* With the model's special tokens (bare: without); literal: special tokens written in the text are text. */
int ech_writing_ids(struct ech_writing *writing, const char *text, size_t bytes, bool bare, bool literal,
                    struct ech_reading *out, struct ech_err *err);
/* At most `most` tokens: more end in *why, or are cut where options.on_long says so: the end of the text is
 * kept, behind the first token (often one that marks the beginning). */
int ech_writing_fit(const struct ech_writing *writing, int64_t most, struct ech_reading *reading,
                    struct ech_err *err);
/* Both. */
int ech_writing_read(struct ech_writing *writing, const char *text, size_t bytes, bool bare, bool literal,
                     int64_t most, struct ech_reading *out, struct ech_err *err);
/* The same for options.prefix and the text behind it. */
int ech_writing_read_prefixed(struct ech_writing *writing, const char *text, size_t bytes, bool bare,
                              int64_t most, struct ech_reading *out, struct ech_err *err);
void ech_reading_fini(struct ech_reading *reading);
/* Text of what was written, on main; valid until the next call. */
int ech_writing_text(struct ech_writing *writing, const struct ech_written *written, struct ech_decoded *out,
                     struct ech_err *err);

/* The next cell of a text column; text may be NULL where bytes is 0. */
int ech_cell_text(struct ech_block *block, int column, const char *text, size_t bytes, struct ech_err *err);
/* The next cell of a JSON column: an array of numbers, null where one is not finite. */
int ech_cell_numbers(struct ech_block *block, int column, const double *values, int64_t count,
                     struct ech_err *err);

#endif
