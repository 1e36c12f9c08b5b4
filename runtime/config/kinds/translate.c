/* Kind translate as data: a line in, its translation out. */
#include "config/kinds/kinds.h"
#include "config/kinds/write_fields.h"

#define AT(member) offsetof(struct ech_translate_options, member)

static const struct ech_field options[] = {
    {"options.max_tokens", ECH_F_AUTO, AT(max_tokens), .fallback = "auto", .most = 1e6, .affects = true,
     .doc = "Tokens of a translation; auto: twice the source's and 32 more"},
    {"options.source", ECH_F_STRING, AT(source), .affects = true, .example = "eng_Latn",
     .doc = "Language of the texts, as the model's tokenizer writes it, where it has several"},
    {"options.target", ECH_F_STRING, AT(target), .affects = true, .example = "por_Latn",
     .doc = "Language to translate into, where the model has several"},
    {"options.shortlist", ECH_F_STRING, AT(shortlist), .fallback = "auto", .affects = true,
     .doc = "Lexical shortlist of a Marian model; auto: the one in its folder, none, or a file"},
    ECH_WRITE_FIELDS(struct ech_translate_options, "truncate"),
    {0},
};

static const struct ech_kind_column inputs[] = {
    {"input", "text", NULL, NULL, NULL},
    {0},
};

static const struct ech_kind_column outputs[] = {
    {"translation", "text", NULL, NULL, NULL},
    {"errors", "text", NULL, NULL, NULL},
    {0},
};

const struct ech_kind ech_translate_kind = {
    .name = "translate",
    .version = 1,
    .summary = "each line in another language",
    .inputs = inputs,
    .outputs = outputs,
    .options = options,
    .options_bytes = sizeof(struct ech_translate_options),
    .needs_input = true,
    .needs_model = true,
    .as_stored = true,
};
