/* Kind generate as data: a prompt in, the text that a language model writes behind it out. */
#include "config/kinds/kinds.h"
#include "config/kinds/write_fields.h"

#define AT(member) offsetof(struct ech_generate_options, member)

/* Behind auto as enum ech_chat. */
static const char *const chat_choices[] = {"auto",     "none",      "chatml",  "llama2",   "llama3",
                                           "llama3.1", "gemma",     "mistral", "mistral7", "phi",
                                           "phi4",     "phi4-mini", NULL};

static const struct ech_field options[] = {
    {"options.max_tokens", ECH_F_INT, AT(max_tokens), .fallback = "128", .least = 1, .most = 1e6,
     .affects = true, .doc = "Tokens written at most"},
    {"options.temperature", ECH_F_FLOAT, AT(temperature), .fallback = "0", .most = 100, .affects = true,
     .doc = "0: always the best token; 1: drawn from the model's own distribution"},
    {"options.top_k", ECH_F_INT, AT(top_k), .fallback = "0", .most = 1e6, .affects = true,
     .doc = "Draw from so many of the best tokens; 0: from all"},
    {"options.top_p", ECH_F_FLOAT, AT(top_p), .fallback = "1", .least = 1e-9, .most = 1, .affects = true,
     .doc = "Draw from the fewest tokens that have this probability together"},
    {"options.min_p", ECH_F_FLOAT, AT(min_p), .fallback = "0", .most = 1, .affects = true,
     .doc = "Draw from tokens that have at least this share of the best one's probability"},
    {"options.repetition_penalty", ECH_F_FLOAT, AT(repetition_penalty), .fallback = "1", .least = 0.01,
     .most = 100, .affects = true, .doc = "Above 1: tokens that stood already are less likely"},
    {"options.seed", ECH_F_INT, AT(seed), .fallback = "0", .most = 9e15, .affects = true,
     .doc = "A row's text follows from the seed, its number and its prompt alone"},
    {"options.stop", ECH_F_LIST, AT(stop), .affects = true, .example = "[\"\\n\\n\"]",
     .doc = "The text ends before the first of these strings"},
    {"options.log_probabilities", ECH_F_BOOL, AT(log_probabilities), .fallback = "false", .affects = true,
     .doc = "Fill the column log_probabilities: of each token written, by the model itself"},
    {"options.chat", ECH_F_CHOICE, AT(chat), .fallback = "auto", .choices = chat_choices, .affects = true,
     .doc = "How a conversation is written for the model; auto: as its files say, none where they do not"},
    {"options.messages", ECH_F_BOOL, AT(messages), .fallback = "false", .affects = true,
     .doc = "A row is a JSON array of {role, content}; false: it is one message of the user"},
    {"options.system", ECH_F_STRING, AT(system), .affects = true, .example = "You answer briefly.",
     .doc = "The system's message of each conversation that has none of its own"},
    ECH_WRITE_FIELDS(struct ech_generate_options, "error"),
    {0},
};

static const struct ech_kind_column inputs[] = {
    {"input", "text|json", NULL, NULL, NULL},
    {0},
};

static const struct ech_kind_column outputs[] = {
    {"generated", "text", NULL, NULL, NULL}, {"finish", "text", NULL, NULL, NULL},
    {"tokens", "ints", "i64", NULL, NULL},   {"log_probabilities", "json", NULL, NULL, NULL},
    {"errors", "text", NULL, NULL, NULL},    {0},
};

const struct ech_kind ech_generate_kind = {
    .name = "generate",
    .version = 1,
    .summary = "the text that a language model writes behind each prompt",
    .inputs = inputs,
    .outputs = outputs,
    .options = options,
    .options_bytes = sizeof(struct ech_generate_options),
    .needs_input = true,
    .needs_model = true,
    .as_stored = true,
};
