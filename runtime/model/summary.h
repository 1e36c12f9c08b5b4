/* What a model is and takes, read off its weights and configuration alone: no engine, no architecture. Serves
 * `model show` for every format, also where no engine can run the model. */
#ifndef ECH_MODEL_SUMMARY_H
#define ECH_MODEL_SUMMARY_H

#include "model/weights.h"

struct ech_summary {
    char type[64];             /* model_type, "" where nothing says it */
    int64_t parameters, bytes; /* elements and stored bytes of all tensors */
    int64_t counts[ECH_STYPES], type_bytes[ECH_STYPES];
    /* 0: not stated */
    int64_t encoder_layers, decoder_layers; /* layers that keep keys and values are decoder_layers */
    int64_t hidden, heads, kv_heads, head_dim, intermediate, vocab, context, experts, experts_used;
    int64_t source_context;          /* of an encoder that always sees all of it (speech) */
    int64_t window, local_layers;    /* layers that see `window` tokens only */
    bool encoder_decoder, generates; /* has a decoder; `decoder_layers` of an encoder are 0 */
    int64_t
        state_values; /* of a recurrent cell, a layer; keys and values of earlier tokens are not kept then */
};

void ech_summary_read(const struct ech_weights *weights, struct ech_summary *out);
/* Bytes that decoding `batch` rows of `tokens` tokens (as many source tokens where there is an encoder) keeps
 * in values of `value_bytes`; 0: it keeps nothing. */
int64_t ech_summary_cache_bytes(const struct ech_summary *summary, int64_t batch, int64_t tokens,
                                int64_t value_bytes);

#endif
