/* Packing of weights into panels (panels.h): once at model load, memory-bound. */
#include "kernels/panels.h"

#include "kernels/check.h"
#include "kernels/convert.h"

size_t ech_panels_bytes(enum ech_format format, int64_t n, int64_t k)
{
    if (format != ECH_FMT_F32 || n <= 0 || k <= 0)
        return 0;
    return (size_t)ech_panels(n) * ECH_PANEL * (size_t)k * sizeof(float);
}

/* Rows [first, first + width) of w become one panel; a run of k at a time keeps the writes in cache. */
static void pack_panel(const void *w, enum ech_wtype type, int64_t first, int64_t width, int64_t k,
                       float *panel)
{
    enum { RUN = 32 };
    for (int64_t k0 = 0; k0 < k; k0 += RUN) {
        int64_t k1 = k0 + RUN < k ? k0 + RUN : k;
        for (int64_t j = 0; j < width; j++)
            for (int64_t i = k0; i < k1; i++)
                panel[i * ECH_PANEL + j] = ech_load_weight(w, type, (first + j) * k + i);
        for (int64_t j = width; j < ECH_PANEL; j++)
            for (int64_t i = k0; i < k1; i++)
                panel[i * ECH_PANEL + j] = 0.0f;
    }
}

int ech_panels_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                    void *packed, int64_t part, int64_t parts)
{
    int rc = ech_check_pack(format, w, type, n, k, packed, part, parts);
    if (rc || n == 0 || k == 0)
        return rc;
    int64_t panels = ech_panels(n);
    for (int64_t p = panels * part / parts; p < panels * (part + 1) / parts; p++) {
        int64_t first = p * ECH_PANEL, left = n - first;
        pack_panel(w, type, first, left < ECH_PANEL ? left : ECH_PANEL, k,
                   (float *)packed + p * ECH_PANEL * k);
    }
    return ECH_OP_OK;
}
