/* The loops behind limits.h, one file an instruction set. Each does `turns` rounds of its chains. */
#ifndef ECH_KERNELS_BENCH_LIMITS_KERNELS_H
#define ECH_KERNELS_BENCH_LIMITS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

/* Sixteen chains, more than latency times width of any of these units. */
enum { ECH_CHAINS = 16 };

typedef void (*ech_spin)(long turns);

void ech_spin_fma_256(long turns);
void ech_spin_madd_256(long turns);
void ech_spin_fma_512(long turns);
void ech_spin_dpbf16(long turns);
void ech_spin_vnni(long turns);

/* Reads `each` bytes (a multiple of 256) from each of `streams` (1 to 4) pieces that follow one another. */
typedef void (*ech_read)(const char *base, size_t each, int streams, bool prefetch);
void ech_read_256(const char *base, size_t each, int streams, bool prefetch);
void ech_read_512(const char *base, size_t each, int streams, bool prefetch);
/* Copies `bytes` (a multiple of 256), both 64-byte aligned. */
typedef void (*ech_copy)(char *to, const char *from, size_t bytes, bool streaming);
void ech_copy_256(char *to, const char *from, size_t bytes, bool streaming);
void ech_copy_512(char *to, const char *from, size_t bytes, bool streaming);

#endif
