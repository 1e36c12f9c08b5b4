/* The kinds that are built in: each is one file here and one line in kinds.c. */
#ifndef ECH_CONFIG_KINDS_KINDS_H
#define ECH_CONFIG_KINDS_KINDS_H

#include "config/kind.h"

extern const struct ech_kind ech_embed_kind, ech_retrieve_kind, ech_generate_kind, ech_translate_kind,
    ech_score_kind, ech_classify_kind;

#endif
