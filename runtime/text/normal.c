/* Chains of normaliser steps: see normal.h. */
#include "text/normal.h"

#include "base/mem.h"
#include "text/regex.h"

#include <string.h>

void ech_normal_fini(struct ech_normal *normal)
{
    ech_free(normal->text);
    ech_free(normal->marks);
    ech_free(normal->sorted);
    ech_regex_scratch_destroy(normal->regex);
    memset(normal, 0, sizeof *normal);
}

int ech_normal_reserve(struct ech_normal *normal, size_t bytes, struct ech_err *err)
{
    size_t need;
    if (__builtin_add_overflow(normal->bytes, bytes, &need))
        return ech_fail(err, ECH_DATA, "a text of %zu bytes is too long", bytes);
    return ech_grow((void **)&normal->text, &normal->capacity, need, 1, err);
}

int ech_normal_put(struct ech_normal *normal, const void *text, size_t bytes, struct ech_err *err)
{
    int code = ech_normal_reserve(normal, bytes, err);
    if (code != ECH_OK || bytes == 0)
        return code;
    memcpy(normal->text + normal->bytes, text, bytes);
    normal->bytes += bytes;
    return ECH_OK;
}

int ech_normalizer_add(struct ech_normalizer *n, struct ech_normal_step step, struct ech_err *err)
{
    int code = ech_grow((void **)&n->steps, &n->capacity, n->count + 1, sizeof *n->steps, err);
    if (code == ECH_OK)
        n->steps[n->count++] = step;
    else if (step.close)
        step.close(step.data);
    return code;
}

void ech_normalizer_fini(struct ech_normalizer *n)
{
    for (size_t i = 0; i < n->count; i++)
        if (n->steps[i].close)
            n->steps[i].close(n->steps[i].data);
    ech_free(n->steps);
    memset(n, 0, sizeof *n);
}

int ech_normalize(const struct ech_normalizer *n, struct ech_normal buffers[2], const unsigned char **text,
                  size_t *bytes, bool *front, struct ech_err *err)
{
    int to = 0;
    *front = true;
    for (size_t i = 0; i < n->count; i++) {
        const struct ech_normal_step *step = &n->steps[i];
        if (step->unchanged && step->unchanged(step->data, *text, *bytes))
            continue;
        buffers[to].bytes = 0;
        buffers[to].front_gone = false;
        int code = ech_normal_reserve(&buffers[to], *bytes + 1, err);
        if (code == ECH_OK)
            code = step->apply(step->data, *text, *bytes, &buffers[to], err);
        if (code != ECH_OK)
            return code;
        *text = buffers[to].text;
        *bytes = buffers[to].bytes;
        *front = *front && !buffers[to].front_gone;
        to = 1 - to;
    }
    return ECH_OK;
}
