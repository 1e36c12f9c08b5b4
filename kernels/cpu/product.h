/* The product, whatever the format: blocks, threads, and what follows the sums. A format brings its tiles and
 * the way x becomes A (product_format.h). Included after a v16_*.h, mathv.h and the tile_*.h.
 *
 *   for each thread's share (rows, or columns where rows are few)
 *     for blocks of rows                     A block in L2: x itself, or converted once a block
 *       for strips of 64 columns (or 48)     panel in L2, once from memory
 *         for blocks of k                    its part of the panel from L1 or L2
 *           for row tiles                    in registers; between blocks of k in `sums` (exact: 32 bits)
 *           at the last k                    the tile stores y itself, or leaves results in `sums` to
 * `finish`
 */
#ifndef ECH_KERNELS_CPU_PRODUCT_H
#define ECH_KERNELS_CPU_PRODUCT_H

#include <stdatomic.h>
#include <string.h>

#include "kernels/check.h"
#include "kernels/cpu/product_format.h"
#include "kernels/panels.h"
#include "kernels/queue.h"

enum { BLOCK_ROWS = 96, TALL_ROWS = 240, TALL_BYTES = 384 << 10, SHARE_ROWS = 48, PIECE_ROWS = 24 };
enum { PILE_UNITS = 8 }; /* of a pile, a thread, at least: else one unit more or less weighs too much */

/* One call, or one thread's share of it. */
struct product {
    const struct ech_linear_args *args;
    const struct product_format *format;
    int64_t steps, panel_words; /* of k; of a panel */
    const float *b;             /* packed panels, from panel b_panel on */
    int64_t b_panel;
    const float *tail;
    int64_t row, row_end, panel, panel_end;
    int64_t lda;      /* words between rows of A in scratch */
    float *a, *scale; /* scratch: A of a block, and a scale a row */
    int64_t ldr;
    float *results; /* scratch, y Q8: f32 results of a block */
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

static int64_t product_ldr(int64_t n)
{
    return (n + 15) / 16 * 16 + 16;
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

/* Words for A and its scales, and for results that wait. */
static int64_t scratch_a(const struct product_format *f, int64_t m, int64_t k)
{
    return product_rows(m) * product_lda(f, product_steps(f, k)) + (product_rows(m) + 15) / 16 * 16;
}

static int64_t scratch_results(int64_t m, int64_t n)
{
    return product_rows(m) * product_ldr(n);
}

/* Where results of columns [column, column + width) of a block go after the tile: activation, residual, type.
 */
struct finish {
    const struct ech_linear_args *args;
    const float *sums; /* f32, bias included */
    int64_t lds, row, rows, column, width;
    float *results; /* y Q8: for the first of them */
    int64_t ldr;
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
        else if (a->y_type == ECH_A_BF16)
            finish_store_bf16((uint16_t *)a->y + row * a->ldy + f->column, f->width, x);
        else
            finish_store_f32(f->results + r * f->ldr, f->width, x);
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
    case ECH_ACT_QUICK_GELU:
        finish_act(f, ECH_ACT_QUICK_GELU);
        break;
    case ECH_ACT_RELU2:
        finish_act(f, ECH_ACT_RELU2);
        break;
    case ECH_ACT_SIGMOID:
        finish_act(f, ECH_ACT_SIGMOID);
        break;
    case ECH_ACTS:
        break;
    }
}

/* How wide the tiles of a block are: narrower ones where that saves a pass over the panels. */
static int64_t strip_vectors(const struct product_format *f, int64_t rows)
{
    if (f->strip)
        return f->strip;
#if TILE_VECTORS == 4
    int64_t wide = (rows + TILE_ROWS[3] - 1) / TILE_ROWS[3],
            narrow = (rows + TILE_ROWS[2] - 1) / TILE_ROWS[2];
    return rows <= 16 && narrow < wide ? 3 : 4;
#else
    (void)rows;
    return 1;
#endif
}

/* The tile at a block's first row and vector `first` (counted over all panels), at step 0. */
static struct tile strip_tile(const struct product *p, const struct block *b, int64_t first)
{
    const struct product_format *f = p->format;
    const int64_t lane = first % 4, at = (first / 4 - p->b_panel) * p->panel_words + lane * f->lane_words;
    return (struct tile){.a = b->a,
                         .b = p->steps ? p->b + at : NULL,
                         .lda = b->lda,
                         .ldb = 4 * f->lane_words,
                         .ldc = ECH_PANEL,
                         .before = (int)(4 - lane),
                         .jump = p->panel_words - 4 * f->lane_words};
}

/* And where its results go; `width` of its columns exist. */
static struct tile_end strip_end(const struct product *p, const struct block *b, int64_t column, bool whole)
{
    const struct ech_linear_args *a = p->args;
    const int64_t element = (int64_t)ech_atype_bytes(a->y_type);
    return (struct tile_end){.args = a,
                             .row = b->row,
                             .column = column,
                             .direct = whole && a->act == ECH_ACT_NONE && a->y_type != ECH_A_Q8,
                             .y = (char *)a->y + (b->row * a->ldy + column) * element,
                             .y_bytes = a->ldy * element,
                             .residual = a->residual ? a->residual + b->row * a->ldr + column : NULL,
                             .x_scale = b->scale,
                             .tail = p->tail,
                             .tail_stride = ech_panels(a->n) * ECH_PANEL};
}

/* On by `rows` rows. */
INLINE void strip_advance(struct tile *t, struct tile_end *e, int64_t rows)
{
    t->a += rows * t->lda;
    t->c += rows * t->ldc;
    e->row += rows;
    e->y += rows * e->y_bytes;
    if (e->residual)
        e->residual += rows * e->args->ldr;
    if (e->x_scale)
        e->x_scale += rows;
}

/* One strip of columns against one block of rows. */
static void strip_run(const struct product *p, const struct block *b, int64_t first, int64_t vectors)
{
    _Alignas(64) float sums[BLOCK_ROWS * ECH_PANEL];
    const struct product_format *f = p->format;
    const int64_t left = p->args->n - first * 16, width = left < 16 * vectors ? left : 16 * vectors;
    const int64_t tallest = f->rows ? f->rows : TILE_ROWS[vectors - 1];
    const int64_t tiles = (b->rows + tallest - 1) / tallest;
    const int64_t small = b->rows / tiles, tall = b->rows % tiles; /* the first `tall` have a row more */
    const int64_t block = tiles == 1 ? p->steps : f->block;
    int64_t step = 0;
    do { /* once for k = 0: the sums are then 0 */
        const bool last = step + block >= p->steps;
        struct tile t = strip_tile(p, b, first);
        struct tile_end end = strip_end(p, b, first * 16, width == 16 * vectors);
        t.a += step * f->row_words;
        t.b += step * t.ldb;
        t.c = sums;
        t.k = last ? p->steps - step : block;
        t.resume = step > 0;
        t.end = last ? &end : NULL;
        for (int64_t i = 0; i < tiles; i++) {
            const int64_t rows = small + (i < tall);
            f->tiles->run[vectors - 1][rows - 1](&t);
            if (last && !end.direct)
                finish(&(struct finish){
                    p->args, t.c, ECH_PANEL, end.row, rows, end.column, width,
                    p->results ? p->results + (end.row - b->row) * p->ldr + end.column : NULL, p->ldr});
            strip_advance(&t, &end, rows);
            if (block >= p->steps)
                t.c = sums; /* nothing waits there for another block of k */
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

/* Row i of y becomes Q8. */
static void narrow_result(const struct ech_linear_args *a, const float *result, int64_t i)
{
    a->y_scale[i] = q8_row(result, a->n, (uint8_t *)a->y + i * a->ldy);
}

/* Rows of a block. Taller ones read the weights less often, as far as A stays in L2 beside a panel; not where
 * rows lie in scratch, nor where sums wait between blocks of k. */
static int64_t block_rows(const struct product *p)
{
    if (p->a || p->results || p->steps > p->format->block || p->steps == 0)
        return BLOCK_ROWS;
    const int64_t fit = TALL_BYTES / (p->steps * p->format->row_words * (int64_t)sizeof(float));
    return fit < BLOCK_ROWS ? BLOCK_ROWS : fit < TALL_ROWS ? fit : TALL_ROWS;
}

/* The panels [first, end) of one block of rows. */
static void block_run(const struct product *p, const struct block *b, int64_t first, int64_t end)
{
    const int64_t vectors = strip_vectors(p->format, b->rows);
    for (int64_t v = 4 * first; v < 4 * end; v += vectors)
        strip_run(p, b, v, 4 * end - v < vectors ? 4 * end - v : vectors);
}

static void share_run(const struct product *p)
{
    const struct ech_linear_args *a = p->args;
    const int64_t rows = p->row_end - p->row, most = block_rows(p), blocks = (rows + most - 1) / most;
    const bool whole = p->panel == 0 && p->panel_end == ech_panels(a->n);
    for (int64_t i = 0; i < blocks; i++) {
        int64_t r0 = p->row + rows * i / blocks, r1 = p->row + rows * (i + 1) / blocks;
        const struct block b = block_open(p, r0, r1 - r0);
        block_run(p, &b, p->panel, p->panel_end);
        for (int64_t r = r0; r < r1 && p->results && whole; r++)
            narrow_result(a, p->results + (r - r0) * p->ldr, r);
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

/* What is left of rows or panels, for the threads of a team to take piece by piece: one that wakes late gets
 * less, and none waits long for another at the end. */
struct pile {
    int64_t count, unit; /* pieces are whole units, but for the last */
    int threads;
    _Atomic int64_t next;
};

/* The next piece, [*from, returned end): a share of half of what is left. Empty: nothing left. */
static int64_t pile_take(struct pile *pile, int64_t *from)
{
    int64_t end, at = atomic_load_explicit(&pile->next, memory_order_relaxed);
    do {
        int64_t piece = (pile->count - at) / (2 * pile->threads) / pile->unit * pile->unit;
        piece = piece < pile->unit ? pile->unit : piece;
        end = pile->count - at < piece ? pile->count : at + piece;
    } while (!atomic_compare_exchange_weak_explicit(&pile->next, &at, end, memory_order_relaxed,
                                                    memory_order_relaxed));
    *from = at;
    return end;
}

/* A team and its scratch. */
struct team {
    int64_t row_parts, panel_parts;
    int64_t a_words, results_words; /* of a thread; 0: none needed */
    float *workspace; /* A of each thread, then results of each, or of all where panels are shared */
};

static struct team team_make(const struct ech_queue *queue, const struct ech_linear_args *a,
                             const struct product_format *f)
{
    struct team team = {.workspace = queue ? queue->workspace : NULL};
    team_split(a->m, ech_panels(a->n), queue ? queue->threads : 1, a->y_type == ECH_A_Q8, &team.row_parts,
               &team.panel_parts);
    if (a->k > 0 && !f->in_place(a))
        team.a_words = scratch_a(f, a->m, a->k);
    if (a->y_type == ECH_A_Q8)
        team.results_words = scratch_results(a->m, a->n);
    return team;
}

/* Thread `part` of a team gets its scratch. */
static struct product team_product(struct product p, const struct team *team, int64_t part)
{
    const int64_t parts = team->row_parts * team->panel_parts, i = part / team->panel_parts;
    if (team->a_words) {
        p.a = team->workspace + team->a_words * part;
        p.scale = p.a + product_rows(p.args->m) * p.lda;
    }
    if (team->results_words)
        p.results = team->workspace + team->a_words * parts + team->results_words * i;
    return p;
}

/* Its work where rows and panels are both divided, or too few for a pile: a part settled beforehand. */
static void team_settled(struct product p, const struct team *team, int64_t part)
{
    const int64_t m = p.args->m, panels = ech_panels(p.args->n);
    const int64_t i = part / team->panel_parts, j = part % team->panel_parts;
    p.row = m * i / team->row_parts;
    p.row_end = m * (i + 1) / team->row_parts;
    p.panel = panels * j / team->panel_parts;
    p.panel_end = panels * (j + 1) / team->panel_parts;
    share_run(&p);
}

/* Where rows alone are divided. */
static void team_rows(struct product p, struct pile *pile)
{
    p.panel_end = ech_panels(p.args->n);
    for (p.row_end = pile_take(pile, &p.row); p.row < p.row_end; p.row_end = pile_take(pile, &p.row))
        share_run(&p);
}

/* Where panels alone are divided, and all rows are one block. */
static void team_panels(struct product p, struct pile *pile)
{
    const struct block b = block_open(&p, 0, p.args->m);
    for (p.panel_end = pile_take(pile, &p.panel); p.panel < p.panel_end;
         p.panel_end = pile_take(pile, &p.panel))
        block_run(&p, &b, p.panel, p.panel_end);
}

static void team_member(const struct product *whole, const struct team *team, struct pile *pile, int64_t part)
{
    const struct product p = team_product(*whole, team, part);
    if (pile->count < PILE_UNITS * pile->unit * pile->threads)
        team_settled(p, team, part);
    else if (team->panel_parts == 1)
        team_rows(p, pile);
    else if (team->row_parts == 1 && p.args->m <= BLOCK_ROWS)
        team_panels(p, pile);
    else
        team_settled(p, team, part);
}

static int product_run(struct ech_queue *queue, const struct ech_linear_args *a,
                       const struct product_format *f)
{
    const int64_t steps = product_steps(f, a->k);
    struct product whole = {.args = a,
                            .format = f,
                            .steps = steps,
                            .panel_words = steps * 4 * f->lane_words,
                            .b = a->packed,
                            .lda = steps ? product_lda(f, steps) : 0,
                            .ldr = product_ldr(a->n)};
    if (f->tail && steps)
        whole.tail = (const float *)a->packed + ech_panels(a->n) * whole.panel_words;
    const struct team team = team_make(queue, a, f);
    const int64_t parts = team.row_parts * team.panel_parts, words = team.a_words + team.results_words;
    if (words && (!queue || queue->bytes < (size_t)(words * parts) * sizeof(float)))
        return ECH_OP_MEMORY;
    if (parts == 1) {
        team_settled(team_product(whole, &team, 0), &team, 0);
        return ECH_OP_OK;
    }
    struct pile pile = {.count = team.panel_parts == 1 ? a->m : ech_panels(a->n),
                        .unit = team.panel_parts == 1 ? PIECE_ROWS : 1,
                        .threads = (int)parts};
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)parts) schedule(static, 1)
#endif
    for (int64_t t = 0; t < parts; t++)
        team_member(&whole, &team, &pile, t);
    if (team.results_words && team.panel_parts > 1) /* one block of rows, not whole until now */
        for (int64_t r = 0; r < a->m; r++)
            narrow_result(a, team.workspace + team.a_words * parts + r * whole.ldr, r);
    return ECH_OP_OK;
}

/* What the backend has for a format; NULL: nothing. The file that includes this one says. */
static const struct product_format *product_format_of(enum ech_format format);

/* Products on a file's own blocks (block_product.h, included after this). */
static int block_linear(struct ech_queue *queue, const struct ech_linear_args *a);
static size_t block_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads);

static int linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    int rc = ech_check_linear(a);
    if (!rc && ech_format_in_place(a->format))
        return a->y_type > ECH_A_Q8 ? ECH_OP_UNSUPPORTED : block_linear(queue, a);
    const struct product_format *f = rc ? NULL : product_format_of(a->format);
    if (!rc && (!f || a->y_type > ECH_A_Q8))
        return ECH_OP_UNSUPPORTED;
    return rc || a->m == 0 || a->n == 0 ? rc : product_run(queue, a, f);
}

static size_t linear_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads)
{
    if (ech_format_in_place(format))
        return block_workspace(format, m, n, k, threads);
    const struct product_format *f = product_format_of(format);
    if (!f || m <= 0 || n <= 0 || k < 0)
        return 0;
    return (size_t)((scratch_a(f, m, k) + scratch_results(m, n)) * (threads > 1 ? threads : 1)) *
           sizeof(float);
}

#endif
