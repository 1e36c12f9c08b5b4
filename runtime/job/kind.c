#include "job/kind.h"

#include <string.h>

extern const struct ech_kind_ops ech_kind_embed, ech_kind_retrieve, ech_kind_generate, ech_kind_translate,
    ech_kind_score, ech_kind_classify;

static const struct ech_kind_ops *const kinds[] = {&ech_kind_embed,    &ech_kind_retrieve,
                                                   &ech_kind_generate, &ech_kind_translate,
                                                   &ech_kind_score,    &ech_kind_classify};

const struct ech_kind_ops *ech_kind_ops_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}
