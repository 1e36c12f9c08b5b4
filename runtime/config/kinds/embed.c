/* Kind embed as data: text in, one vector a row out. */
#include "config/kinds/embed.h"

#include "config/kinds/kinds.h"
#include "config/kinds/encode.h"

static const struct ech_field options[] = {
    ECH_ENCODE_FIELDS(struct ech_embed_options, ),
    {0},
};

static const struct ech_kind_column inputs[] = {
    {"input", "text", NULL, NULL, NULL},
    {0},
};

static const struct ech_kind_column outputs[] = {
    {"embedding", "tensor", "f32", "model.dim", NULL},
    {"errors", "text", NULL, NULL, NULL},
    {0},
};

const struct ech_kind ech_embed_kind = {
    .name = "embed",
    .version = 1,
    .summary = "one vector for each text",
    .inputs = inputs,
    .outputs = outputs,
    .options = options,
    .options_bytes = sizeof(struct ech_embed_options),
    .needs_input = true,
    .needs_model = true,
    .splits = true,
};
