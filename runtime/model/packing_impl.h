/* Between packing.c, which lays pieces out, and pack.c, which writes them. */
#ifndef ECH_MODEL_PACKING_IMPL_H
#define ECH_MODEL_PACKING_IMPL_H

#include "model/packing.h"

/* Rows of a rotary table: one a position, twice where long sequences have frequencies of their own; row
 * span + p is then that of position p. None with dynamic scaling: each pass makes its own. */
static inline int64_t ech_rope_rows(const struct ech_rope *rope, int64_t span)
{
    if (rope->dynamic > 0 || rope->dim == 0)
        return 0;
    return rope->original ? 2 * span : span;
}

#endif
