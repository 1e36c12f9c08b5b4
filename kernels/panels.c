/* Packing of weights into panels (panels.h): once at model load, memory-bound. */
#include "kernels/panels.h"

#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/panels_int.h"

enum { RUN = 32 }; /* elements of k at a time: the writes stay in cache */

static void pack_f32(const struct ech_panel_source *s, uint32_t *panel, float *tail, int64_t stride)
{
    (void)tail, (void)stride;
    float *to = (float *)panel;
    for (int64_t k0 = 0; k0 < s->k; k0 += RUN) {
        int64_t k1 = k0 + RUN < s->k ? k0 + RUN : s->k;
        for (int64_t j = 0; j < ECH_PANEL; j++)
            for (int64_t i = k0; i < k1; i++)
                to[i * ECH_PANEL + j] =
                    j < s->width ? ech_load_weight(s->w, s->type, (s->first + j) * s->k + i) : 0.0f;
    }
}

/* Element i of output j as bf16, 0 where there is none. */
static uint32_t bf16_weight(const struct ech_panel_source *s, int64_t j, int64_t i)
{
    return j < s->width && i < s->k
               ? ech_round_bf16(ech_load_weight(s->w, s->type, (s->first + j) * s->k + i))
               : 0;
}

static void pack_bf16(const struct ech_panel_source *s, uint32_t *panel, float *tail, int64_t stride)
{
    (void)tail, (void)stride;
    for (int64_t k0 = 0; k0 < s->k; k0 += RUN)
        for (int64_t j = 0; j < ECH_PANEL; j++)
            for (int64_t i = k0; i < k0 + RUN && i < s->k; i += 2)
                panel[i / 2 * ECH_PANEL + j] = bf16_weight(s, j, i) | bf16_weight(s, j, i + 1) << 16;
}

static const struct ech_panel_format FORMATS[ECH_FORMATS] = {
    [ECH_FMT_F32] = {1, ECH_PANEL, 0, pack_f32},
    [ECH_FMT_BF16] = {2, ECH_PANEL, 0, pack_bf16},
    [ECH_FMT_BF16_F32] = {2, ECH_PANEL, 0, pack_bf16},
    [ECH_FMT_INT8] = {4, ECH_PANEL, 2, ech_pack_int8},
    [ECH_FMT_INT4] = {ECH_INT4_GROUP, 4 * ECH_INT4_WORDS, 0, ech_pack_int4},
};

const struct ech_panel_format *ech_panel_format(enum ech_format format)
{
    return (int)format >= 0 && format < ECH_FORMATS && FORMATS[format].pack ? &FORMATS[format] : NULL;
}

static int64_t panel_words(const struct ech_panel_format *f, int64_t k)
{
    return (k + f->unit - 1) / f->unit * f->step_words;
}

size_t ech_panels_bytes(enum ech_format format, int64_t n, int64_t k)
{
    const struct ech_panel_format *f = ech_panel_format(format);
    if (!f || n <= 0 || k <= 0)
        return 0;
    return (size_t)ech_panels(n) * (size_t)(panel_words(f, k) + f->tail * ECH_PANEL) * sizeof(uint32_t);
}

int ech_panels_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                    void *packed, int64_t part, int64_t parts)
{
    int rc = ech_check_pack(format, w, type, n, k, packed, part, parts);
    const struct ech_panel_format *f = ech_panel_format(format);
    if (rc || !f || n == 0 || k == 0)
        return rc || f ? rc : ECH_OP_UNSUPPORTED;
    const int64_t panels = ech_panels(n), words = panel_words(f, k);
    float *tail = (float *)packed + panels * words;
    for (int64_t p = panels * part / parts; p < panels * (part + 1) / parts; p++) {
        int64_t first = p * ECH_PANEL, left = n - first;
        f->pack(&(struct ech_panel_source){w, type, n, k, first, left < ECH_PANEL ? left : ECH_PANEL},
                (uint32_t *)packed + p * words, tail + first, panels * ECH_PANEL);
    }
    return ECH_OP_OK;
}
