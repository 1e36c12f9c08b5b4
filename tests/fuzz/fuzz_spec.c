/* config.json: whatever it says, a specification that is taken has sizes that arithmetic can be done with,
 * and what the runtime asks of it later is answered. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"
#include "model/spec.h"

#include <math.h>
#include <stdlib.h>

static void check(bool good)
{
    if (!good)
        abort();
}

static bool within(int64_t value, int64_t least, int64_t most)
{
    return value >= least && value <= most;
}

static void check_layers(const struct ech_spec *s)
{
    check(within(s->kinds_count, 0, ECH_KINDS_MOST));
    for (int64_t layer = 0; layer < s->layers; layer++) {
        const struct ech_layer_kind *kind = ech_spec_kind(s, layer);
        check(kind < s->kinds + ECH_KINDS_MOST && kind->window >= 0 &&
              within(kind->rope, -1, ECH_ROPES_MOST - 1));
        check(within(ech_spec_group(s, layer), 0, ech_spec_groups(s) - 1));
        if (kind->rope < 0)
            continue;
        const struct ech_rope *rope = &s->ropes[kind->rope];
        float cosines[ECH_ROPE_PAIRS], sines[ECH_ROPE_PAIRS];
        check(within(rope->dim, 0, s->head_dim) && rope->dim % 2 == 0);
        ech_rope_row(rope, 3, 5, cosines, sines);
        ech_rope_row(rope, 3, 5000, cosines, sines);
    }
}

static void check_spec(const struct ech_spec *s)
{
    enum { LARGE = 1 << 28 };
    check(within(s->layers, 1, ECH_LAYERS_MOST) && within(s->hidden, 1, LARGE) && within(s->vocab, 1, LARGE));
    check(within(s->heads, 1, LARGE) && within(s->head_dim, 1, LARGE) && within(s->kv_heads, 1, s->heads));
    check(s->heads % s->kv_heads == 0 && s->embed >= 0 && s->intermediate >= 0 && s->types >= 0);
    check(within(s->experts_used, 0, s->experts));
    check(isfinite(s->norm_eps) && isfinite(ech_spec_flops(s, 16)) && ech_spec_max_tokens(s) > 0);
    check_layers(s);
    if (s->buckets && !s->disentangled)
        for (int64_t i = 0; i < 40; i++)
            check(within(ech_spec_bucket(s, i, 20), 0, s->buckets - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_parts parts;
    json_t *config;
    static struct ech_spec spec;
    if (ech_json_parse("fuzz", (const char *)data, size, &config, &err) != ECH_OK)
        return 0;
    for (int part = ECH_PART_ENCODER; part <= ECH_PART_DECODER; part++) {
        ech_err_clear(&err);
        int code = ech_spec_parse_part("fuzz", config, (enum ech_part)part, &spec, &err);
        check((code != ECH_OK) == (err.text[0] != '\0'));
        if (code == ECH_OK)
            check_spec(&spec);
    }
    ech_err_clear(&err);
    check((ech_spec_parts("fuzz", config, &parts, &err) != ECH_OK) == (err.text[0] != '\0'));
    json_decref(config);
    return 0;
}
