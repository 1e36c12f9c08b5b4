/* What the kernel tests share: guarded buffers, random data, comparisons that a NaN cannot pass, failures. */
#ifndef ECH_TESTS_KERNELS_SUPPORT_H
#define ECH_TESTS_KERNELS_SUPPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "kernels/ops.h"

/* Counts a failure and prints it; the program's exit status is 1 once there was one. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int failures(void);
/* Until it is called with false, failures are neither printed nor held against the program: a test of the
 * tests provokes them. Returns how many there were since it was called with true. */
int failures_provoked(bool on);

#define CHECK(condition, ...)                                                                                \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fail(__VA_ARGS__);                                                                               \
    } while (0)

/* A matrix (rows, cols) of stride ld between guard words; the gaps of the stride are guards too. */
struct buffer {
    float *base, *x;
    int64_t rows, cols, ld;
};

struct buffer buffer_make(int64_t rows, int64_t cols, int64_t ld);
void buffer_free(struct buffer *b);
void buffer_random(struct buffer *b, float scale);
/* Fails, naming `what`, where a word outside of the matrix was changed. */
void buffer_check(const struct buffer *b, const char *what);
float *buffer_row(const struct buffer *b, int64_t row);

void random_seed(uint32_t seed);
float random_float(float scale); /* uniform in (-scale, scale) */
int64_t random_below(int64_t n);

bool bits_equal(float a, float b); /* any NaN equals any NaN */
/* The same shape and the same bits; fails, naming `what` and the first difference. */
void same_bits(const struct buffer *got, const struct buffer *want, const char *what);
/* sum (got - want)^2 / sum want^2 <= bound; infinities and NaNs must be at the same places. */
void close_enough(const struct buffer *got, const struct buffer *want, double bound, const char *what);

/* Packed weights of a backend, and a queue with `bytes` of scratch. */
struct ech_queue *queue_open(const struct ech_ops *ops, size_t workspace_bytes);
struct ech_queue *queue_open_team(const struct ech_ops *ops, size_t workspace_bytes, int threads);
void *pack_as(const struct ech_ops *ops, enum ech_format format, const float *w, int64_t n, int64_t k);
/* In f32. */
void *pack_whole(const struct ech_ops *ops, const float *w, int64_t n, int64_t k);
/* Is this backend here and of the f32 class, whose bits are promised? */
bool usable(const struct ech_ops *ops);
bool exact(const struct ech_ops *ops);
/* Does this backend promise ref_exact's bits in this format? */
bool same_class(const struct ech_ops *ops, enum ech_format format);
/* Does it multiply in this format, with weights packed beforehand? */
bool packs(const struct ech_ops *ops, enum ech_format format);
const struct ech_ops *named(const char *name);

void test_math(void);
void test_table(void);
void test_linear(void);
void test_pack(void);
void test_moved(void);
void test_threads(void);
void test_team(void);
void test_hostile(void);
void test_int_values(void);
void test_int_hostile(void);
void test_int_quality(void);
void test_int_pack(void);
void test_int_moved(void);
void test_int_stored(void);
void test_int_stored_refused(void);
void test_blocks(void);
void test_blocks_moved(void);
void test_blocks_hostile(void);
void test_blocks_refused(void);
void test_blocks_golden(void);
void test_blocks_decode(void);
void test_convert(void);
void test_convert_edges(void);
void test_norm(void);
void test_norm_special(void);
void test_narrow(void);
void test_log_softmax(void);
void test_gate(void);
void test_topk(void);
void test_rotary(void);
void test_softmax(void);
void test_activate(void);
void test_embed(void);
void test_pool(void);
void test_attention(void);
void test_attention_special(void);
void test_attention_hostile(void);
void test_attention_moved(void);
void test_attention_team(void);
void test_combine(void);
void test_ssru(void);
void test_relative(void);
void test_norm_parts(void);
void test_attention_cache(void);
void test_shapes(void);
void test_special(void);
void test_faults(void);
int test_cases(const char *backend); /* 0, or 77: this backend is not here */
/* Every case of kernels/bench on `ops`; how many ran. aloud: what is passed over, and the counts, are
 * printed. */
int64_t run_cases(const struct ech_ops *ops, bool aloud);

#endif
