/* Options of every kind that turns texts into vectors: rows of the schema, shared by embed and retrieve. */
#ifndef ECH_CONFIG_KINDS_ENCODE_H
#define ECH_CONFIG_KINDS_ENCODE_H

#include "config/kinds/embed.h"

extern const char *const ech_pooling_choices[], *const ech_tristate_choices[], *const ech_on_long_choices[];

/* `type` is the struct of the options, `in` the path of its ech_embed_options with a dot ("encode."). */
#define ECH_ENCODE_FIELDS(type, in)                                                                          \
    {"options.pooling",                                                                                      \
     ECH_F_CHOICE,                                                                                           \
     offsetof(type, in pooling),                                                                             \
     .fallback = "model",                                                                                    \
     .choices = ech_pooling_choices,                                                                         \
     .affects = true,                                                                                        \
     .doc = "How the tokens' vectors become one; model: as its files say; pooler: by its own dense layer"},  \
        {"options.normalize",                                                                                \
         ECH_F_CHOICE,                                                                                       \
         offsetof(type, in normalize),                                                                       \
         .fallback = "auto",                                                                                 \
         .choices = ech_tristate_choices,                                                                    \
         .affects = true,                                                                                    \
         .doc = "Scale each vector to length 1; auto: as the model's files say"},                            \
        {"options.max_tokens",                                                                               \
         ECH_F_AUTO,                                                                                         \
         offsetof(type, in max_tokens),                                                                      \
         .fallback = "auto",                                                                                 \
         .most = 1e6,                                                                                        \
         .affects = true,                                                                                    \
         .doc = "Tokens of a text; auto: the model's limit, 512 where it has none"},                         \
        {"options.on_long",                                                                                  \
         ECH_F_CHOICE,                                                                                       \
         offsetof(type, in on_long),                                                                         \
         .fallback = "truncate",                                                                             \
         .choices = ech_on_long_choices,                                                                     \
         .affects = true,                                                                                    \
         .doc = "What to do with a text that is longer"},                                                    \
        {"options.prompt", ECH_F_STRING,       offsetof(type, in prompt),                                    \
         .affects = true,  .example = "query", .doc = "Name of one of the model's own prompts"},             \
    {                                                                                                        \
        "options.prefix", ECH_F_STRING, offsetof(type, in prefix),                                           \
            .affects = true, .example = "query: ", .doc = "Put before each text"                             \
    }

#endif
