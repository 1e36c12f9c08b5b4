/* What the vector kernels ask of the compiler: INLINE this always; FOR(i, n): unroll this loop wholly (n is a
 * constant once inlined), so that small arrays of vectors live in registers. */
#ifndef ECH_KERNELS_CPU_INLINE_H
#define ECH_KERNELS_CPU_INLINE_H

#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define FOR(i, n) UNROLL for (int i = 0; i < (n); i++)

#endif
