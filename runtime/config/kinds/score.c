/* Kind score as data: how likely a text is to a language model, or which of several it would choose. */
#include "config/kinds/kinds.h"
#include "config/kinds/write_fields.h"

#define AT(member) offsetof(struct ech_score_options, member)

static const char *const mode_choices[] = {"text", "completion", "choice", NULL};
static const char *const by_choices[] = {"sum", "tokens", "bytes", NULL};

static const struct ech_field options[] = {
    {"options.mode", ECH_F_CHOICE, AT(mode), .fallback = "text", .choices = mode_choices, .affects = true,
     .doc = "text: the row as a whole; completion: a row is JSON, {prompt, completion}; choice: {prompt, "
            "choices}"},
    {"options.by", ECH_F_CHOICE, AT(by), .fallback = "sum", .choices = by_choices, .affects = true,
     .doc = "A choice is made by its log-probability, or by that divided by its tokens or bytes"},
    ECH_WRITE_FIELDS(struct ech_score_options, "error"),
    {0},
};

static const struct ech_kind_column inputs[] = {
    {"input", "text|json", NULL, NULL, NULL},
    {0},
};

static const struct ech_kind_column outputs[] = {
    {"log_probability", "tensor", "f32", "1", NULL},
    {"perplexity", "tensor", "f32", "1", NULL},
    {"tokens", "ints", "i64", "1", NULL},
    {"choice", "ints", "i64", "1", NULL},
    {"scores", "json", NULL, NULL, NULL},
    {"errors", "text", NULL, NULL, NULL},
    {0},
};

const struct ech_kind ech_score_kind = {
    .name = "score",
    .version = 1,
    .summary = "log-probability and perplexity of texts, or the likeliest of several",
    .inputs = inputs,
    .outputs = outputs,
    .options = options,
    .options_bytes = sizeof(struct ech_score_options),
    .needs_input = true,
    .needs_model = true,
    .as_stored = true,
};
