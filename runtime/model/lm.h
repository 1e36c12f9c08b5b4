/* A model that writes: a decoder, or an encoder with a decoder, on one compute thread with a team for large
 * operations. Sequences come and go at any time; one step takes new tokens of any of them, prompts and single
 * tokens alike, packed together, and yields logits where they are asked for. A sequence's logits depend on
 * its own tokens, the weights and the numerics class alone: not on what else is in a step, on how its tokens
 * were cut into steps, or on the size of the cache.
 *
 * Opening is cut in steps like the engine's (engine.h): load, pack (into a segment that processes may share),
 * start. Where block formats are computed on in place the weight files stay mapped. */
#ifndef ECH_MODEL_LM_H
#define ECH_MODEL_LM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_weights; /* weights.h */

struct ech_lm_options {
    const char *model;   /* folder or file */
    const char *adapter; /* folder of a low-rank adapter to be merged, or NULL */
    const char *backend; /* as of an engine */
    const char *weights; /* "auto" or NULL: as stored; else "f32", "bf16", "int8", "int4" */
    const char *compute; /* NULL: f32, or what the file fixes; "bf16", "int8" */
    const char *kv;      /* NULL: "f32"; "bf16" */
    int device, threads;
    int64_t cache_bytes; /* budget of keys and values; 0: that of `sequences` sequences of `context` tokens */
    bool cache_least;    /* a sequence of `context` tokens fits whatever cache_bytes says; else too small a
                            budget is ECH_UNAVAILABLE */
    int64_t context;     /* most tokens of a sequence; 0: the model's own limit, at most 4096 */
    int64_t step_tokens; /* most tokens of one step; 0: 512 */
    int64_t sequences;   /* most sequences at a time; 0: 1 */
    int64_t logits_rows; /* most rows of one ech_lm_logits; 0: 16 */
};

struct ech_lm;
/* Errors  ECH_CONFIG: an option; ECH_DATA: the model; ECH_UNAVAILABLE: backend, memory, a cache that does not
 *         hold one sequence of `context` tokens. */
int ech_lm_load(const struct ech_lm_options *options, struct ech_lm **out, struct ech_err *err);
size_t ech_lm_packed_bytes(const struct ech_lm *lm);
/* Memory beside that and beside files in place: cache, workspace, logits. */
size_t ech_lm_workspace_bytes(const struct ech_lm *lm);
size_t ech_lm_cache_bytes(const struct ech_lm *lm); /* of that */
bool ech_lm_in_place(const struct ech_lm *lm);      /* some weights are read where the files have them */
int ech_lm_pack(struct ech_lm *lm, void *base, int64_t part, int64_t parts, struct ech_err *err);
int ech_lm_start(struct ech_lm *lm, struct ech_err *err);
/* load + pack into own memory + start. */
int ech_lm_open(const struct ech_lm_options *options, struct ech_lm **out, struct ech_err *err);
/* One more of a started one: the same weights, sequences and a cache of its own, for another thread. Closed
 * before that one. */
int ech_lm_twin(const struct ech_lm *lm, struct ech_lm **out, struct ech_err *err);
/* Between load and start: into how many, it and its twins, `threads` are best divided: small models whose
 * operations are too short for a team, one a thread, each with its share of cache and threads; others stay
 * one. */
int ech_lm_divide(struct ech_lm *lm);
void ech_lm_close(struct ech_lm *lm);

int64_t ech_lm_vocab(const struct ech_lm *lm);
int64_t ech_lm_context(const struct ech_lm *lm);
bool ech_lm_has_source(const struct ech_lm *lm); /* an encoder comes first */
int64_t ech_lm_source_most(const struct ech_lm *lm);
int64_t ech_lm_source_vocab(const struct ech_lm *lm); /* 0 where nothing comes first */
const char *ech_lm_numerics(const struct ech_lm *lm);
/* "f32", "bf16-f32", "Q4_K-f32", ...: how most weights are kept, what products compute in. */
const char *ech_lm_precision(const struct ech_lm *lm);
const char *ech_lm_backend(const struct ech_lm *lm);
/* Rows of the cache, each one token. */
int64_t ech_lm_cache_rows(const struct ech_lm *lm);

struct ech_sequence_options {
    int64_t room;   /* most tokens it will hold */
    int64_t prompt; /* how many of them are its prompt: scalings that go by length take it as a whole */
    const int32_t *source; /* of an encoder-decoder */
    int64_t source_count;
};
/* A sequence's number, from 0 on, free numbers used again; -1 in *sequence: no room for it now.
 * Errors  ECH_DATA: it can never fit; ids outside of the vocabulary. */
int ech_lm_add(struct ech_lm *lm, const struct ech_sequence_options *options, int *sequence,
               struct ech_err *err);
void ech_lm_remove(struct ech_lm *lm, int sequence);
int64_t ech_lm_length(const struct ech_lm *lm, int sequence);

enum ech_want { ECH_WANT_NONE, ECH_WANT_LAST, ECH_WANT_ALL };
struct ech_step_item {
    int sequence;       /* each at most once in a step */
    const int32_t *ids; /* tokens behind those that it has; -1: the zero vector that some models start with */
    int64_t count;
    enum ech_want want; /* logits of which of them */
};
/* Runs the tokens; *rows: how many rows of logits were asked for, in the order of items and tokens.
 * Errors  ECH_BUG: more tokens than a step or the sequence's room holds, an unknown sequence; ECH_DATA: an id
 *         outside of the vocabulary. After an error of an operation the sequences of the step are lost. */
int ech_lm_step(struct ech_lm *lm, const struct ech_step_item *items, int64_t count, int64_t *rows,
                struct ech_err *err);
/* Logits (count, vocab) of rows first .. first + count of the last step; count <= logits_rows. Borrowed until
 * the next call. */
int ech_lm_logits(struct ech_lm *lm, int64_t first, int64_t count, const float **logits, struct ech_err *err);
/* Between load and start: heads will be restricted. The files stay open, so that the words' rows of a packed
 * head can be packed for themselves. */
void ech_lm_keep_head(struct ech_lm *lm);
/* A sequence's head becomes that of `count` words: their rows are copied, or packed (ech_lm_keep_head);
 * elsewhere the whole head is computed and the words are picked. Errors  ECH_DATA: ids outside of the
 * vocabulary, none. */
int ech_lm_restrict(struct ech_lm *lm, int sequence, const int32_t *ids, int64_t count, struct ech_err *err);
/* Logits (count) of those words from row `row` of the last step, which must be the sequence's: the bits that
 * ech_lm_logits has for them. Borrowed until the next call. */
int ech_lm_restricted(struct ech_lm *lm, int sequence, int64_t row, const float **logits,
                      struct ech_err *err);
/* The encoder alone: states (count, hidden) of one source. Sequences are not touched. */
int ech_lm_encode(struct ech_lm *lm, const int32_t *source, int64_t count, float *states,
                  struct ech_err *err);
int64_t ech_lm_hidden(const struct ech_lm *lm);

/* The model's files: config, tokenizer, names. NULL from the start on where nothing is read in place. */
const struct ech_weights *ech_lm_weights(const struct ech_lm *lm);
/* Before the start, once the tokenizer is built: ech_weights_drop_vocab of them. */
void ech_lm_drop_vocab(struct ech_lm *lm);

#endif
