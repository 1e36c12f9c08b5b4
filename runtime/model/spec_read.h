/* What the readers of config.json (arch_*.c) share. An architecture is listed in spec.c. */
#ifndef ECH_MODEL_SPEC_READ_H
#define ECH_MODEL_SPEC_READ_H

#include "base/json.h"
#include "model/spec.h"

#include <string.h>

extern const struct ech_arch ech_arch_bert, ech_arch_distilbert, ech_arch_mpnet, ech_arch_llama,
    ech_arch_gemma, ech_arch_gpt2, ech_arch_neox, ech_arch_opt, ech_arch_bloom, ech_arch_phi, ech_arch_falcon,
    ech_arch_starcoder2, ech_arch_bart_encoder, ech_arch_bart_decoder, ech_arch_t5_encoder,
    ech_arch_t5_decoder, ech_arch_albert, ech_arch_modernbert, ech_arch_nomic, ech_arch_deberta;

/* Keys of counts, each within [1, 2^28], into an int64_t of the specification. */
struct ech_spec_key {
    const char *name; /* "a|b": either spelling; "?a": may be absent or null, the member stays as it is */
    size_t offset;
};
#define ECH_KEY(member) offsetof(struct ech_spec, member)
int ech_spec_counts(const json_t *config, const char *path, const struct ech_spec_key *keys, int count,
                    struct ech_spec *spec, struct ech_err *err);
int ech_spec_count(const json_t *config, const char *path, const char *key, int64_t most, int64_t *out,
                   struct ech_err *err);
/* A number that may be absent or null: *out stays as it is. */
int ech_spec_float(const json_t *config, const char *path, const char *key, float *out, struct ech_err *err);
int ech_spec_bool(const json_t *config, const char *path, const char *key, bool *out, struct ech_err *err);
/* The activation's name; absent: `otherwise`. */
int ech_spec_act(const json_t *config, const char *path, const char *key, const char *otherwise,
                 struct ech_spec *spec, struct ech_err *err);
/* ECH_DATA where the key is there and not `wanted`. */
int ech_spec_refuse(const json_t *config, const char *path, const char *key, bool wanted,
                    struct ech_err *err);
/* Which layers see a window only: by "layer_types" (full_attention, sliding_attention). Absent: all but every
 * `pattern`-th; pattern 0: none. ECH_DATA for another type. */
int ech_spec_sliding(const json_t *config, const char *path, int64_t pattern, const struct ech_spec *spec,
                     bool sliding[ECH_LAYERS_MOST], struct ech_err *err);
/* The layer is of this kind. ECH_DATA: more kinds than there is room for. */
int ech_spec_put_kind(struct ech_spec *spec, const char *path, int64_t layer, struct ech_layer_kind kind,
                      struct ech_err *err);
/* "sliding_window", 0 where it is absent or null. */
int ech_spec_window(const json_t *config, const char *path, int64_t *window, struct ech_err *err);
static inline bool ech_spec_is(const struct ech_spec *spec, const char *model_type)
{
    return strcmp(spec->model_type, model_type) == 0;
}

#endif
