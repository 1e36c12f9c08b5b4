/* Rows of the schema that generate, translate and score share; `type` is the struct of the options. */
#ifndef ECH_CONFIG_KINDS_WRITE_FIELDS_H
#define ECH_CONFIG_KINDS_WRITE_FIELDS_H

#include "config/kinds/encode.h"
#include "config/kinds/write.h"

/* clang-format off */
#define ECH_WRITE_FIELDS(type, long_fallback)                                                                \
    {"options.context", ECH_F_AUTO, offsetof(type, write.context), .fallback = "auto", .most = 1e7,          \
     .affects = true, .doc = "Tokens of a row, read and written; auto: the model's limit, at most 4096"},     \
    {"options.batch", ECH_F_AUTO, offsetof(type, write.batch), .fallback = "auto", .most = 4096,             \
     .doc = "Rows in flight at a time; auto: 32 (of a small model 32 a thread), fewer where memory is short"}, \
    {"options.on_long", ECH_F_CHOICE, offsetof(type, write.on_long), .fallback = long_fallback,              \
     .choices = ech_on_long_choices, .affects = true,                                                         \
     .doc = "What to do with a text that leaves no room in the context; truncate: its end is kept"},          \
    {"options.prefix", ECH_F_STRING, offsetof(type, write.prefix), .affects = true,                           \
     .example = "'translate English to German: '", .doc = "Put before each text"}
/* clang-format on */

#endif
