/* The packing that ref_exact, avx2 and avx512 share, so that one node-shared copy of the weights serves them
 * all: [panel of 64 outputs][step of k][64][what an output takes in a step], then [tail][64 panels] f32.
 * F32: a step is one element. BF16 and BF16_F32: two bf16, the even one low. Zeros past n and k. INT8 and
 * INT4: panels_int.h. */
#ifndef ECH_KERNELS_PANELS_H
#define ECH_KERNELS_PANELS_H

#include "kernels/ops.h"

#define ECH_PANEL 64

/* Outputs [first, first + width) of W (n, k), which become a panel. */
struct ech_panel_source {
    const void *w;
    enum ech_wtype type;
    int64_t n, k, first, width;
};

/* How a format's weights lie. A format joins by a line in panels.c. */
struct ech_panel_format {
    int64_t unit;       /* elements of k in a step */
    int64_t step_words; /* 32-bit words that 64 outputs take in a step */
    int64_t tail;       /* f32 values an output after all panels */
    /* Fills all of a panel, and its 64 outputs' tail: value i of output j at tail[i * stride + j]. */
    void (*pack)(const struct ech_panel_source *from, uint32_t *panel, float *tail, int64_t stride);
};

static inline int64_t ech_panels(int64_t n)
{
    return (n + ECH_PANEL - 1) / ECH_PANEL;
}

/* NULL: not packed in panels here. */
const struct ech_panel_format *ech_panel_format(enum ech_format format);

size_t ech_panels_bytes(enum ech_format format, int64_t n, int64_t k);
int ech_panels_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                    void *packed, int64_t part, int64_t parts);

#endif
