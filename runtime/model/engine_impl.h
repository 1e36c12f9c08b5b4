/* Inside of the engine. */
#ifndef ECH_MODEL_ENGINE_IMPL_H
#define ECH_MODEL_ENGINE_IMPL_H

#include "model/heads.h"
#include "model/lanes.h"
#include "model/sentence.h"
#include "text/tokenizer.h"

struct ech_engine {
    struct ech_net net;
    struct ech_sentence sentence;
    struct ech_labels labels;        /* of a head of classes */
    struct ech_tokenizer *tokenizer; /* NULL: ids only, no_tokenizer says why */
    struct ech_err no_tokenizer;
    struct ech_weights *weights; /* until the start */
    struct ech_bound bound;
    enum ech_format format; /* of the products */
    char numerics[64];
    struct ech_mem weights_mem; /* the packed weights on a device */
    struct ech_lanes *lanes;    /* from the start */
    void *own;                  /* packed segment, where the engine made it itself */
    int threads;
    int64_t max_tokens, microbatch, capacity;
    bool on_long_error;
    char *lead; /* prompt and prefix */
    size_t lead_bytes;
    char **files;
    size_t files_count, files_capacity;
};

/* What a stage of the engine packs. */
int ech_engine_packing(const struct ech_engine *engine, const struct ech_stage *stage,
                       struct ech_packing *out, struct ech_err *err);
/* The packed segment into the device's memory. */
int ech_engine_upload(struct ech_engine *engine, struct ech_err *err);

#endif
