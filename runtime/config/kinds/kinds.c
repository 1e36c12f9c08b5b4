/* The list of kinds, and the choices that several of them share. */
#include "config/kinds/kinds.h"

#include "config/job.h"
#include "config/kinds/encode.h"

#include <string.h>

const char *const ech_pooling_choices[] = {"model", "mean", "cls", "max", "pooler", NULL};
const char *const ech_tristate_choices[] = {"auto", "no", "yes", NULL};
const char *const ech_on_long_choices[] = {"truncate", "error", NULL};

const struct ech_kind *const *ech_kinds(void)
{
    static const struct ech_kind *const kinds[] = {&ech_embed_kind,
                                                   &ech_retrieve_kind,
                                                   &ech_generate_kind,
                                                   &ech_translate_kind,
                                                   &ech_score_kind,
                                                   &ech_classify_kind,
                                                   NULL};
    return kinds;
}

const struct ech_kind *ech_kind_find(const char *name)
{
    for (const struct ech_kind *const *kind = ech_kinds(); *kind; kind++)
        if (strcmp((*kind)->name, name) == 0)
            return *kind;
    return NULL;
}

const char *ech_job_pair(const struct ech_job *job)
{
    if (!job->kind || !job->kind->pair || !job->options)
        return NULL;
    const struct ech_field *field = job->kind->options;
    while (strcmp(field->path, job->kind->pair) != 0)
        field++;
    return *(char *const *)(const void *)((const char *)job->options + field->offset);
}
