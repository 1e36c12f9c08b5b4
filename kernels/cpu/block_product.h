/* Products on a file's own blocks: ECH_FMT_BLOCK, ECH_FMT_BLOCK_INT8. Included after product.h and
 * block_panel.h.
 *
 *   for chunks of rows of x
 *     all rows of the chunk become A, the team together (int8; f32 rows are A as they lie)
 *     for panels of 64 outputs, or parts of the rows where panels are few: a pile
 *       the panel is taken apart once, into the thread's scratch
 *       blocks of rows against it, as any product
 *
 * One row of x by int8 goes its own way where the backend has one: nothing is written but sums. */
#ifndef ECH_KERNELS_CPU_BLOCK_PRODUCT_H
#define ECH_KERNELS_CPU_BLOCK_PRODUCT_H

#ifdef _OPENMP
#include <omp.h>
#endif

enum { BLOCK_CHUNK = 512, BLOCK_ALONE = 3 << 19 };

/* What the backend brings: tiles for a type, and perhaps a vector form. */
static const struct product_format *block_format_of(const struct ech_block_type *type);
static const struct block_vector *block_vector_of(enum ech_wtype type);

struct block_job {
    const struct ech_linear_args *args;
    const struct product_format *format;
    struct product whole;
    int64_t row, rows;   /* the chunk */
    int64_t row_parts;   /* of it; a unit of the pile is a panel and a part */
    int64_t panel_words; /* of a thread's scratch */
    float *a, *panels;
};

/* Words of A of one row, at most; of one panel, at most. */
static int64_t block_a_words(enum ech_format format, int64_t k)
{
    return format == ECH_FMT_BLOCK ? 0 : (k / BLOCK_STEP * BLOCK_ROW_WORDS + 15) / 16 * 16 + 16;
}

static int64_t block_panel_words(enum ech_format format, int64_t k)
{
    return format == ECH_FMT_BLOCK ? k * ECH_PANEL : k / BLOCK_STEP * 4 * block_lane_words(2, true);
}

static int64_t block_words(enum ech_format format, int64_t m, int64_t k, int64_t threads)
{
    return (m < BLOCK_CHUNK ? m : BLOCK_CHUNK) * block_a_words(format, k) +
           threads * block_panel_words(format, k);
}

static size_t block_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads)
{
    if (m <= 0 || n <= 0 || k < 0)
        return 0;
    return (size_t)block_words(format, m, k, threads > 1 ? threads : 1) * sizeof(float);
}

static void block_bring_rows(const struct block_job *job, int64_t from, int64_t to)
{
    if (from < to && job->a)
        job->format->bring(job->args, job->row + from, to - from, job->a + from * job->whole.lda,
                           job->whole.lda, NULL);
}

/* Rows [from, to) of the chunk against a panel that lies in p. */
static void block_panel_run(const struct block_job *job, const struct product *p, int64_t panel, int64_t from,
                            int64_t to)
{
    const struct ech_linear_args *a = job->args;
    const int64_t blocks = (to - from + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t r0 = from + (to - from) * i / blocks, r1 = from + (to - from) * (i + 1) / blocks;
        const struct block b = {.row = job->row + r0,
                                .rows = r1 - r0,
                                .a = job->a ? job->a + r0 * p->lda
                                            : (const float *)a->x + (job->row + r0) * a->ldx,
                                .lda = job->a ? p->lda : a->ldx};
        block_run(p, &b, panel, panel + 1);
    }
}

/* Units of the pile: parts of one panel follow one another, so it is taken apart once a thread. */
static void block_member(const struct block_job *job, struct pile *pile, int64_t thread)
{
    struct product p = job->whole;
    float *room = job->panels + job->panel_words * thread;
    int64_t unit;
    p.b = room;
    p.b_panel = -1;
    for (int64_t end = pile_take(pile, &unit); unit < end; end = pile_take(pile, &unit))
        for (; unit < end; unit++) {
            const int64_t panel = unit / job->row_parts, part = unit % job->row_parts;
            if (p.b_panel != panel && p.steps)
                block_panel(job->args, panel, job->format->lane_words, room);
            p.b_panel = panel;
            block_panel_run(job, &p, panel, job->rows * part / job->row_parts,
                            job->rows * (part + 1) / job->row_parts);
        }
}

/* The chunk by a team, or by the caller alone. */
static void block_chunk(const struct block_job *job, int threads)
{
    struct pile pile = {.count = ech_panels(job->args->n) * job->row_parts, .unit = 1, .threads = threads};
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        {
            const int64_t t = omp_get_thread_num(), parts = omp_get_num_threads();
            block_bring_rows(job, job->rows * t / parts, job->rows * (t + 1) / parts);
#pragma omp barrier
            block_member(job, &pile, t);
        }
        return;
    }
#endif
    block_bring_rows(job, 0, job->rows);
    block_member(job, &pile, 0);
}

/* Threads worth waking: a product below this many steps of work is over before they are there. */
static int block_threads(const struct ech_queue *queue, const struct ech_linear_args *a)
{
    const bool small = (double)a->n * (double)a->k * (double)(a->m + 4) < BLOCK_ALONE;
    return !queue || small ? 1 : queue->threads;
}

static int block_matrix(struct ech_queue *queue, const struct ech_linear_args *a,
                        const struct product_format *f)
{
    const int threads = block_threads(queue, a);
    const int64_t rows = a->m < BLOCK_CHUNK ? a->m : BLOCK_CHUNK, panels = ech_panels(a->n);
    struct block_job job = {.args = a, .format = f};
    if (a->k > 0 &&
        (!queue || queue->bytes < (size_t)block_words(a->format, a->m, a->k, threads) * sizeof(float)))
        return ECH_OP_MEMORY;
    const int64_t steps = product_steps(f, a->k);
    job.whole = (struct product){.args = a,
                                 .format = f,
                                 .steps = steps,
                                 .panel_words = steps * 4 * f->lane_words,
                                 .lda = block_a_words(a->format, a->k)};
    job.panel_words = block_panel_words(a->format, a->k);
    job.row_parts = 1;
    while (panels * job.row_parts < 4 * threads && rows / (job.row_parts + 1) >= SHARE_ROWS)
        job.row_parts++;
    if (a->k > 0) {
        job.a = job.whole.lda ? queue->workspace : NULL;
        job.panels = (float *)queue->workspace + rows * job.whole.lda;
    }
    for (job.row = 0; job.row < a->m; job.row += job.rows) {
        job.rows = a->m - job.row < BLOCK_CHUNK ? a->m - job.row : BLOCK_CHUNK;
        block_chunk(&job, threads);
    }
    return ECH_OP_OK;
}

/* Outputs [64 panel, ...) of the only row. */
static void block_vector_panel(const struct ech_linear_args *a, const struct block_vector *v, const void *x,
                               int64_t panel)
{
    _Alignas(64) float sums[ECH_PANEL];
    const int64_t first = panel * ECH_PANEL, left = a->n - first, width = left < ECH_PANEL ? left : ECH_PANEL;
    v->run(a, x, first, sums);
    for (int64_t j = 0; a->bias && j < width; j += 16)
        v16_store(sums + j, v16_add(v16_load(sums + j), row_load(a->bias + first, j, width)));
    finish(&(struct finish){.args = a, .sums = sums, .rows = 1, .column = first, .width = width});
}

static void block_vector_member(const struct ech_linear_args *a, const struct block_vector *v, const void *x,
                                struct pile *pile)
{
    int64_t panel;
    for (int64_t end = pile_take(pile, &panel); panel < end; end = pile_take(pile, &panel))
        for (; panel < end; panel++)
            block_vector_panel(a, v, x, panel);
}

/* One row of x. */
static int block_vector_run(struct ech_queue *queue, const struct ech_linear_args *a,
                            const struct block_vector *v)
{
    const int threads = block_threads(queue, a);
    if (v->bytes(a->k) > (queue ? queue->bytes : 0))
        return ECH_OP_MEMORY;
    void *x = queue ? queue->workspace : NULL;
    v->bring(a, x);
    struct pile pile = {.count = ech_panels(a->n), .unit = 1, .threads = threads};
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        block_vector_member(a, v, x, &pile);
        return ECH_OP_OK;
    }
#endif
    block_vector_member(a, v, x, &pile);
    return ECH_OP_OK;
}

/* Checked arguments. */
static int block_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    if (a->m == 0 || a->n == 0)
        return ECH_OP_OK;
    const bool one = a->m == 1 && a->k > 0;
    if (a->format == ECH_FMT_BLOCK)
        return one ? block_vector_run(queue, a, &BLOCK_ROW_F32) : block_matrix(queue, a, &FORMAT_F32);
    const struct block_vector *v = one ? block_vector_of(a->w_type) : NULL;
    return v ? block_vector_run(queue, a, v)
             : block_matrix(queue, a, block_format_of(ech_block_type(a->w_type)));
}

#endif
