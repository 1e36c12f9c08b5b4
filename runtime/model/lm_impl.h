/* Inside of the decoder. */
#ifndef ECH_MODEL_LM_IMPL_H
#define ECH_MODEL_LM_IMPL_H

#include "model/lm.h"
#include "model/embed.h"
#include "model/rooms.h"

/* One half of a model: its packed pieces lie at `offset` of the segment. */
struct ech_half {
    struct ech_net net;
    struct ech_bound bound;
    struct ech_work work;
    int64_t capacity; /* tokens of one pass */
    size_t offset;
};

struct ech_sequence {
    bool used, lost;
    int64_t first, room, length, prompt; /* rows of the cache from `first` on */
    int32_t *source;                     /* until it is encoded */
    int64_t source_first, source_count;
};

/* A restricted head; its memory serves the sequences that bear this number, one after the other. */
struct ech_few {
    int64_t count; /* 0: none */
    bool picked;   /* the whole head is computed */
    int32_t *words;
    unsigned char *head;  /* their rows */
    float *bias, *logits; /* (count) */
    size_t words_room, head_room, bias_room, logits_room;
};

struct ech_lm {
    const struct ech_ops *ops;
    struct ech_weights *weights; /* until the start, or as long as something is in place */
    struct ech_half encoder, decoder;
    bool has_source, started, twin;
    void *own;                  /* packed segment, where the decoder made it itself */
    const void *packed;         /* in the process */
    struct ech_mem weights_mem; /* on a device */
    enum ech_atype kv;
    int64_t context, source_most, most, logits_rows, cache_rows;
    struct ech_cache keys, cross;
    struct ech_rooms rooms, cross_rooms;
    struct ech_mem cells; /* SSRU: (most, layers, hidden) */
    struct ech_sequence *sequences;
    struct ech_few *few;           /* of each number */
    const struct ech_tensor *head; /* the head as the file has it, where it is kept */
    /* The step's own lists, and what it wants logits of. */
    int *order;
    int64_t *key_starts, *key_counts, *cross_starts, *cross_counts;
    float **cell_of;
    int32_t *host_wanted;
    int64_t wanted;
    struct ech_mem out; /* index of wanted rows, their states, what the head reads, logits */
    int32_t *index;
    float *states, *narrow, *logits, *host_logits;
    char numerics[96], precision[40];
};

/* In lm_start.c: memory of everything but the packed weights. */
size_t ech_lm_memory(const struct ech_lm *lm);
int ech_lm_reserve(struct ech_lm *lm, struct ech_err *err);
void ech_lm_release(struct ech_lm *lm);
/* In lm_words.c: what a restricted head holds. */
void ech_lm_free_words(struct ech_few *few);
/* In lm_step.c: what the head reads of wanted row `row`. */
const float *ech_lm_head_input(const struct ech_lm *lm, int64_t row);
/* In lm_source.c: the sources of sequences that have not been encoded, into the second cache. */
int ech_lm_encode_sources(struct ech_lm *lm, const struct ech_step_item *items, int64_t count,
                          struct ech_err *err);

#endif
