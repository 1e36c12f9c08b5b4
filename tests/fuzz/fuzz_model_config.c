/* A model's config.json: whatever it says, a specification that is accepted keeps to its limits, in each
 * half, and so does its head of classes. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"
#include "model/heads.h"

#include <math.h>
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_ropes(const struct ech_spec *s)
{
    float cosines[ECH_ROPE_PAIRS], sines[ECH_ROPE_PAIRS];
    for (int i = 0; i < ECH_ROPES_MOST; i++) {
        require(s->ropes[i].dim >= 0 && s->ropes[i].dim <= s->head_dim && s->ropes[i].dim % 2 == 0);
        if (s->ropes[i].dim)
            ech_rope_row(&s->ropes[i], 7, 4096, cosines, sines);
    }
}

static void check_spec(const struct ech_spec *s)
{
    require(s->layers >= 1 && s->layers <= ECH_LAYERS_MOST && s->hidden >= 1 && s->heads >= 1);
    require(s->head_dim >= 1 && s->kv_heads >= 1 && s->heads % s->kv_heads == 0 && s->embed >= 1);
    for (int64_t layer = 0; layer < s->layers; layer++) {
        const struct ech_layer_kind *kind = ech_spec_kind(s, layer);
        require(s->kind[layer] < ECH_KINDS_MOST && kind->rope >= -1 && kind->rope < ECH_ROPES_MOST);
        require(kind->window >= 0 && ech_spec_group(s, layer) < ech_spec_groups(s));
    }
    require(isfinite(ech_spec_flops(s, 1000)) && ech_spec_max_tokens(s) >= 1);
    for (int64_t gap = -5000; gap <= 5000; gap += 77) {
        int64_t i = gap < 0 ? 0 : gap, j = i - gap;
        require(!s->buckets || s->disentangled ||
                (ech_spec_bucket(s, i, j) >= 0 && ech_spec_bucket(s, i, j) < s->buckets));
        require(!s->disentangled ||
                (ech_spec_relative(s, gap) >= 0 && ech_spec_relative(s, gap) < 2 * s->relative));
    }
    check_ropes(s);
}

static void check_part(const json_t *config, enum ech_part part)
{
    struct ech_spec spec;
    struct ech_labels labels;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_spec_parse_part("fuzz", config, part, &spec, &err) != ECH_OK) {
        require(err.text[0] != '\0');
        return;
    }
    check_spec(&spec);
    if (ech_spec_read_classes("fuzz", config, &spec, &labels, &err) == ECH_OK) {
        require(labels.count >= 1 && labels.count == spec.classes && spec.head_names);
        ech_labels_fini(&labels);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *config = NULL;
    struct ech_parts parts;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_json_parse("fuzz", (const char *)data, size, &config, &err) != ECH_OK)
        return 0;
    if (ech_spec_parts("fuzz", config, &parts, &err) == ECH_OK) {
        if (parts.encoder)
            check_part(config, ECH_PART_ENCODER);
        if (parts.decoder)
            check_part(config, ECH_PART_DECODER);
    }
    json_decref(config);
    return 0;
}
