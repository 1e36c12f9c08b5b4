/* The packing that ref_exact, avx2 and avx512 share: [panel of 64 outputs][k][64], f32, zeros past n.
 * So one node-shared copy of the weights serves them all. */
#ifndef ECH_KERNELS_PANELS_H
#define ECH_KERNELS_PANELS_H

#include "kernels/ops.h"

#define ECH_PANEL 64

static inline int64_t ech_panels(int64_t n)
{
    return (n + ECH_PANEL - 1) / ECH_PANEL;
}

size_t ech_panels_bytes(enum ech_format format, int64_t n, int64_t k);
int ech_panels_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                    void *packed, int64_t part, int64_t parts);

#endif
