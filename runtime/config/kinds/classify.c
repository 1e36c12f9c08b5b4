/* Kind classify as data: labels and scores of texts, of pairs, or of the tokens of texts. */
#include "config/kinds/classify.h"

#include "config/kinds/encode.h"
#include "config/kinds/kinds.h"

#define AT(member) offsetof(struct ech_classify_options, member)

static const char *const scores_choices[] = {"model", "softmax", "sigmoid", "none", NULL};

static const struct ech_field options[] = {
    {"options.pair", ECH_F_STRING, AT(pair), .affects = true, .example = "passage",
     .doc = "Column of the second text of a row, for cross-encoders"},
    {"options.scores", ECH_F_CHOICE, AT(scores), .fallback = "model", .choices = scores_choices,
     .affects = true, .doc = "What makes scores of logits; model: as its files say; none: logits"},
    {"options.max_tokens", ECH_F_AUTO, AT(max_tokens), .fallback = "auto", .most = 1e6, .affects = true,
     .doc = "Tokens of a row; auto: the model's limit, 512 where it has none"},
    {"options.on_long", ECH_F_CHOICE, AT(on_long), .fallback = "truncate", .choices = ech_on_long_choices,
     .affects = true, .doc = "What to do with a row that is longer; of a pair the longer text is cut first"},
    {"options.prefix", ECH_F_STRING, AT(prefix), .affects = true,
     .example = "query: ", .doc = "Put before each text, of a pair before the first"},
    {0},
};

static const struct ech_kind_column inputs[] = {
    {"input", "text", NULL, NULL, NULL},
    {0},
};

/* Of rows the first three, of tokens the next two. */
static const struct ech_kind_column outputs[] = {
    {"label", "text", NULL, NULL, NULL},
    {"score", "tensor", "f32", "1", NULL},
    {"scores", "tensor", "f32", "model.classes", NULL},
    {"tokens", "json", NULL, NULL, NULL},
    {"spans", "json", NULL, NULL, NULL},
    {"errors", "text", NULL, NULL, NULL},
    {0},
};

const struct ech_kind ech_classify_kind = {
    .name = "classify",
    .version = 1,
    .summary = "labels and scores of texts, of pairs of texts, or of tokens",
    .inputs = inputs,
    .outputs = outputs,
    .options = options,
    .options_bytes = sizeof(struct ech_classify_options),
    .needs_input = true,
    .needs_model = true,
    .pair = "options.pair",
};
