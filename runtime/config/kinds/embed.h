/* Options of kind embed: text in, one vector a row out. */
#ifndef ECH_CONFIG_KINDS_EMBED_H
#define ECH_CONFIG_KINDS_EMBED_H

#include "config/field.h"

struct ech_embed_options { /* option names: the members' names */
    int pooling;           /* choice: model mean cls max pooler (as enum ech_pooling of model/engine.h) */
    int normalize;         /* choice: auto no yes (as enum ech_tristate); auto: as the model says */
    int64_t max_tokens;    /* auto: the model's limit, 512 where it has none */
    int on_long;           /* choice: truncate error */
    char *prompt;          /* name of one of the model's own prompts */
    char *prefix;          /* put before each text */
};

#endif
