/* What must hold of every tensor that a reader of weights hands out. */
#ifndef ECH_TESTS_FUZZ_WEIGHTS_H
#define ECH_TESTS_FUZZ_WEIGHTS_H

#include "model/tensor_list.h"

#include <stdlib.h>

/* Its bytes can be read, its sizes follow from its shape, its ends decode. */
static inline void fuzz_tensor(const struct ech_tensor *t)
{
    int64_t elements = 1;
    float value;
    const volatile unsigned char *bytes = t->data;
    for (int i = 0; i < t->dims; i++)
        elements *= t->shape[i];
    if (!t->name || elements != t->elements ||
        t->bytes != (size_t)(elements / ech_stype_block(t->dtype)) * ech_stype_bytes(t->dtype))
        abort();
    for (size_t i = 0; i < t->bytes; i++)
        (void)bytes[i];
    if (elements > 0 && ech_tensor_decodes(t) &&
        (ech_tensor_to_f32(t, 0, 1, &value, NULL) != ECH_OK ||
         ech_tensor_to_f32(t, elements - 1, 1, &value, NULL) != ECH_OK))
        abort();
}

static inline void fuzz_tensors(const struct ech_tensor_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        fuzz_tensor(&list->items[i]);
}

/* A failure has a text and a code, a success none. */
static inline void fuzz_result(int code, const struct ech_err *err)
{
    if ((code != ECH_OK) != (err->text[0] != '\0'))
        abort();
}

#endif
