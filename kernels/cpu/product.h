/* The product, whatever the format: blocks, threads, and what follows the sums. A format brings its tiles and
 * the way x becomes A (product_format.h). Included after a v16_*.h, mathv.h and the tile_*.h.
 *
 *   for each thread's share (rows, or columns where rows are few)
 *     for blocks of BLOCK_ROWS rows          A block in L2: x itself, or converted once a block
 *       for strips of 64 columns (or 48)     panel in L2, once from memory
 *         for blocks of k                    its part of the panel from L1 or L2
 *           for row tiles                    in registers; between blocks of k in `sums` (exact: 32 bits)
 *           at the last k                    the tile stores y itself, or leaves results in `sums` to
 * `finish`
 */
#ifndef ECH_KERNELS_CPU_PRODUCT_H
#define ECH_KERNELS_CPU_PRODUCT_H

#include <string.h>

#include "kernels/check.h"
#include "kernels/cpu/product_format.h"
#include "kernels/panels.h"
#include "kernels/queue.h"

enum { BLOCK_ROWS = 96, SHARE_ROWS = 48 };

/* One call, or one thread's share of it. */
struct product {
    const struct ech_linear_args *args;
    const struct product_format *format;
    int64_t steps, panel_words; /* of k; of a panel */
    const float *tail;
    int64_t row, row_end, panel, panel_end;
    int64_t lda;      /* words between rows of A in scratch */
    float *a, *scale; /* scratch: A of a block, and a scale a row */
};

/* Rows of a block, ready for tiles. */
struct block {
    int64_t row, rows;
    const float *a, *scale;
    int64_t lda;
};

/* Scratch of one thread, in words; each part begins on a cache line, rows are no power of two apart. */
static int64_t product_lda(const struct product_format *f, int64_t steps)
{
    return (steps * f->row_words + 15) / 16 * 16 + 16;
}

static int64_t product_steps(const struct product_format *f, int64_t k)
{
    return (k + f->unit - 1) / f->unit;
}

/* Rows that one thread's scratch holds. */
static int64_t product_rows(int64_t m)
{
    return m < BLOCK_ROWS ? m : BLOCK_ROWS;
}

static size_t product_scratch(const struct product_format *f, int64_t m, int64_t k)
{
    int64_t rows = product_rows(m);
    return (size_t)(rows * product_lda(f, product_steps(f, k)) + (rows + 15) / 16 * 16) * sizeof(float);
}

/* Where results of columns [column, column + width) of a block go after the tile: activation, residual, type.
 */
struct finish {
    const struct ech_linear_args *args;
    const float *sums; /* f32, bias included */
    int64_t lds, row, rows, column, width;
};

INLINE int64_t finish_lanes(int64_t width, int v)
{
    int64_t lanes = width - 16 * v;
    return lanes < 0 ? 0 : lanes < 16 ? lanes : 16;
}

INLINE void finish_store_f32(float *y, int64_t width, const struct v16 x[GROUP])
{
    EACH(v)
    {
        int64_t lanes = finish_lanes(width, v);
        if (lanes == 16)
            v16_store(y + 16 * v, x[v]);
        else if (lanes > 0)
            v16_store_part(y + 16 * v, x[v], lanes);
    }
}

INLINE void finish_store_bf16(uint16_t *y, int64_t width, const struct v16 x[GROUP])
{
    EACH(v)
    {
        int64_t lanes = finish_lanes(width, v);
        if (lanes == 16)
            v16_store_bf16(y + 16 * v, x[v]);
        else if (lanes > 0)
            v16_store_bf16_part(y + 16 * v, x[v], lanes);
    }
}

INLINE void finish_act(const struct finish *f, const enum ech_act act)
{
    const struct ech_linear_args *a = f->args;
    for (int64_t r = 0; r < f->rows; r++) {
        const int64_t row = f->row + r;
        struct v16 x[GROUP];
        EACH(v) x[v] = 16 * v < f->width ? v16_load(f->sums + r * f->lds + 16 * v) : v16_zero();
        v16_act(act, x);
        if (a->residual) {
            const float *residual = a->residual + row * a->ldr + f->column;
            EACH(v)
            {
                int64_t lanes = finish_lanes(f->width, v);
                x[v] = v16_add(x[v], lanes == 16 ? v16_load(residual + 16 * v)
                                                 : v16_load_part(residual + 16 * v, lanes));
            }
        }
        if (a->y_type == ECH_A_F32)
            finish_store_f32((float *)a->y + row * a->ldy + f->column, f->width, x);
        else
            finish_store_bf16((uint16_t *)a->y + row * a->ldy + f->column, f->width, x);
    }
}

static void finish(const struct finish *f)
{
    switch (f->args->act) {
    case ECH_ACT_NONE:
        finish_act(f, ECH_ACT_NONE);
        break;
    case ECH_ACT_GELU:
        finish_act(f, ECH_ACT_GELU);
        break;
    case ECH_ACT_GELU_TANH:
        finish_act(f, ECH_ACT_GELU_TANH);
        break;
    case ECH_ACT_RELU:
        finish_act(f, ECH_ACT_RELU);
        break;
    case ECH_ACT_SILU:
        finish_act(f, ECH_ACT_SILU);
        break;
    case ECH_ACT_TANH:
        finish_act(f, ECH_ACT_TANH);
        break;
    }
}

/* How wide the tiles of a block are: narrower ones where that saves a pass over the panels. */
static int64_t strip_vectors(int64_t rows)
{
#if TILE_VECTORS == 4
    int64_t wide = (rows + TILE_ROWS[3] - 1) / TILE_ROWS[3],
            narrow = (rows + TILE_ROWS[2] - 1) / TILE_ROWS[2];
    return rows <= 16 && narrow < wide ? 3 : 4;
#else
    (void)rows;
    return 1;
#endif
}

/* The tile that multiplies a block's first rows with `vectors` vectors from vector `first` (counted over all
 * panels), from step 0 on. */
static struct tile strip_tile(const struct product *p, const struct block *b, int64_t first, float *sums)
{
    const struct product_format *f = p->format;
    int64_t panel = first / 4, lane = first % 4;
    return (struct tile){
        .a = b->a,
        .b = p->steps ? (const float *)p->args->packed + panel * p->panel_words + lane * f->lane_words : NULL,
        .c = sums,
        .lda = b->lda,
        .ldb = 4 * f->lane_words,
        .ldc = ECH_PANEL,
        .before = (int)(4 - lane),
        .jump = p->panel_words - 4 * f->lane_words};
}

/* One strip of columns against one block of rows. */
static void strip_run(const struct product *p, const struct block *b, int64_t first, int64_t vectors)
{
    _Alignas(64) float sums[BLOCK_ROWS * ECH_PANEL];
    const struct ech_linear_args *a = p->args;
    const struct product_format *f = p->format;
    const int64_t column = first * 16, left = a->n - column,
                  width = left < 16 * vectors ? left : 16 * vectors;
    const int64_t tiles = (b->rows + TILE_ROWS[vectors - 1] - 1) / TILE_ROWS[vectors - 1];
    const int64_t block = tiles == 1 ? p->steps : f->block;
    const struct tile all = strip_tile(p, b, first, sums);
    struct tile_end end = {.args = a,
                           .column = column,
                           .direct = a->act == ECH_ACT_NONE && a->y_type != ECH_A_Q8 && width == 16 * vectors,
                           .tail = p->tail,
                           .tail_stride = ech_panels(a->n) * ECH_PANEL};
    int64_t step = 0;
    do { /* once for k = 0: the sums are then 0 */
        bool last = step + block >= p->steps;
        for (int64_t i = 0; i < tiles; i++) {
            int64_t r0 = b->rows * i / tiles, r1 = b->rows * (i + 1) / tiles;
            struct tile t = all;
            t.k = last ? p->steps - step : block;
            t.resume = step > 0;
            t.a += r0 * b->lda + step * f->row_words;
            t.b += step * t.ldb;
            t.c += r0 * ECH_PANEL;
            t.end = last ? &end : NULL;
            end.row = b->row + r0;
            end.x_scale = b->scale ? b->scale + r0 : NULL;
            f->tiles->run[vectors - 1][r1 - r0 - 1](&t);
            if (last && !end.direct)
                finish(&(struct finish){a, t.c, ECH_PANEL, end.row, r1 - r0, column, width});
        }
        step += block;
    } while (step < p->steps);
}

/* Rows [row, row + rows) of x as A. */
static struct block block_open(const struct product *p, int64_t row, int64_t rows)
{
    const struct ech_linear_args *a = p->args;
    struct block b = {.row = row, .rows = rows, .a = p->a, .scale = p->scale, .lda = p->lda};
    if (p->a) {
        p->format->bring(a, row, rows, p->a, p->lda, p->scale);
    } else if (p->steps) {
        const size_t element = ech_atype_bytes(a->x_type);
        b.lda = (int64_t)((size_t)a->ldx * element / sizeof(float));
        b.a = (const float *)a->x + row * b.lda;
        b.scale = a->x_scale ? a->x_scale + row : NULL;
    }
    return b;
}

static void share_run(const struct product *p)
{
    const int64_t rows = p->row_end - p->row, blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t r0 = p->row + rows * i / blocks, r1 = p->row + rows * (i + 1) / blocks;
        const struct block b = block_open(p, r0, r1 - r0);
        const int64_t vectors = strip_vectors(b.rows);
        for (int64_t v = 4 * p->panel; v < 4 * p->panel_end; v += vectors)
            strip_run(p, &b, v, 4 * p->panel_end - v < vectors ? 4 * p->panel_end - v : vectors);
    }
}

/* How a team divides the work: parts of the rows times parts of the panels, at most `threads`. The least work
 * of the busiest thread; of equals the fewest parts of the rows (weights are read once) unless blocks stay
 * high. `whole_rows`: panels may be shared only where all rows are one block. Pure. */
static void team_split(int64_t m, int64_t panels, int threads, bool whole_rows, int64_t *row_parts,
                       int64_t *panel_parts)
{
    int64_t best = INT64_MAX;
    *row_parts = *panel_parts = 1;
    for (int64_t rp = 1; rp <= threads && rp <= m; rp++) {
        int64_t pp = threads / rp < panels ? threads / rp : panels, rows = (m + rp - 1) / rp;
        if (whole_rows && (rp > 1 || m > BLOCK_ROWS))
            pp = 1;
        int64_t most = rows * ((panels + pp - 1) / pp);
        if (most < best || (most == best && rows >= SHARE_ROWS)) {
            best = most;
            *row_parts = rp;
            *panel_parts = pp;
        }
    }
}

/* Thread `part` of a team. */
static void team_member(struct product p, int64_t part, int64_t row_parts, int64_t panel_parts,
                        size_t scratch, float *workspace)
{
    const int64_t m = p.args->m, panels = ech_panels(p.args->n), i = part / panel_parts,
                  j = part % panel_parts;
    p.row = m * i / row_parts;
    p.row_end = m * (i + 1) / row_parts;
    p.panel = panels * j / panel_parts;
    p.panel_end = panels * (j + 1) / panel_parts;
    if (scratch) {
        p.a = workspace + scratch / sizeof(float) * (size_t)part;
        p.scale = p.a + product_rows(m) * p.lda;
    }
    share_run(&p);
}

static int product_run(struct ech_queue *queue, const struct ech_linear_args *a,
                       const struct product_format *f)
{
    const int64_t steps = product_steps(f, a->k), panels = ech_panels(a->n);
    struct product whole = {.args = a,
                            .format = f,
                            .steps = steps,
                            .panel_words = steps * 4 * f->lane_words,
                            .lda = product_lda(f, steps)};
    if (f->tail && steps)
        whole.tail = (const float *)a->packed + panels * whole.panel_words;
    int64_t row_parts, panel_parts;
    team_split(a->m, panels, queue ? queue->threads : 1, false, &row_parts, &panel_parts);
    const int64_t parts = row_parts * panel_parts;
    const size_t scratch = steps && !f->in_place(a) ? product_scratch(f, a->m, a->k) : 0;
    if (scratch && (!queue || queue->bytes < scratch * (size_t)parts))
        return ECH_OP_MEMORY;
    float *workspace = queue ? queue->workspace : NULL;
    if (parts == 1) {
        team_member(whole, 0, 1, 1, scratch, workspace);
        return ECH_OP_OK;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)parts) schedule(static, 1)
#endif
    for (int64_t t = 0; t < parts; t++)
        team_member(whole, t, row_parts, panel_parts, scratch, workspace);
    return ECH_OP_OK;
}

/* What the backend has for a format; NULL: nothing. The file that includes this one says. */
static const struct product_format *product_format_of(enum ech_format format);

static int linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    int rc = ech_check_linear(a);
    const struct product_format *f = rc ? NULL : product_format_of(a->format);
    if (!rc && (!f || a->y_type == ECH_A_Q8))
        return ECH_OP_UNSUPPORTED;
    return rc || a->m == 0 || a->n == 0 ? rc : product_run(queue, a, f);
}

static size_t linear_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads)
{
    const struct product_format *f = product_format_of(format);
    if (!f || m <= 0 || n <= 0 || k <= 0)
        return 0;
    return product_scratch(f, m, k) * (size_t)(threads > 1 ? threads : 1);
}

#endif
