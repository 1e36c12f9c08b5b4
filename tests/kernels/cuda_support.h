/* What the tests of a device backend share: matrices that exist here and on the device, guard bytes round and
 * between their rows in both places; the emulator's switches where the device is emulated. */
#ifndef ECH_TESTS_KERNELS_CUDA_SUPPORT_H
#define ECH_TESTS_KERNELS_CUDA_SUPPORT_H

#include "support.h"

/* The backend under test and a queue of it; opened by the program's main. */
extern const struct ech_ops *cuda;
extern struct ech_queue *queue;

/* Rows of `width` bytes, `stride` bytes apart. Guards are 0xff: a NaN in every float type. `shift` bytes move
 * the first row away from its boundary. */
struct slab {
    int64_t rows;
    size_t width, stride, shift, bytes;
    char *host;
    struct ech_mem mem;
};

/* rows x cols elements of a type with stride ld; Q8 rows are as wide as their stride. */
struct slab slab_make(int64_t rows, int64_t cols, int64_t ld, enum ech_atype type, size_t shift);
void slab_free(struct slab *s);
void *slab_row(const struct slab *s, int64_t row); /* here */
void *slab_at(const struct slab *s);               /* the first row on the device */
void slab_random(struct slab *s, float scale);     /* f32 */
void slab_put(struct slab *s);
/* Waits, brings the device's bytes here; fails, naming `what`, where a guard was changed. */
void slab_get(struct slab *s, const char *what);
struct buffer slab_view(const struct slab *s); /* of f32, for support.h's comparisons */
/* Element c of a row as a number. */
float slab_value(const struct slab *s, int64_t row, int64_t c, enum ech_atype type, const float *scale);
/* The same bytes in every row. */
void slab_same(const struct slab *got, const struct slab *want, const char *what);

/* Host memory to a device allocation of its own, and back to nothing. */
struct ech_mem upload(const void *host, size_t bytes);
void *pack_here(enum ech_format format, const float *w, int64_t n, int64_t k, size_t *bytes);
void sync_ok(const char *what);

float round_f16(float x);
/* x as a product of this format sees it: rounded, or its Q8 value. */
void round_rows(float *x, int64_t rows, int64_t cols, int64_t ld, enum ech_format format);
/* f32 rows into another type, by the contract's words and not by the backend's code. */
void expect_rows(const struct slab *x, int64_t cols, struct slab *out, float *scale, enum ech_atype type);

/* A switch of the emulator; NULL on a real device. */
void *emulator(const char *symbol);

void test_linear_formats(void);
void test_linear_types(void);
void test_linear_moved(void);
void test_linear_blocks(void);
void test_linear_shapes(void);
void test_linear_special(void);
void test_algorithms_refused(void);
void test_convert(void);
void test_norm(void);
void test_norm_also(void);
void test_embed(void);
void test_embed_fault(void);
void test_pool(void);
void test_softmax(void);
void test_elements(void);
void test_rotary(void);
void test_attention(void);
void test_attention_masks(void);
void test_attention_halves(void);
void test_attention_moved(void);
void test_attention_special(void);
void test_blocks_embed(void);
void test_staging(void);
void test_memory(void);
void test_refusals(void);
void test_failures(void);
void test_order(void);
void test_threads(void);

#endif
