/* The limit that the benchmark compares with: FMAs on registers alone, no memory. */
#ifndef ECH_TESTS_KERNELS_PEAK_H
#define ECH_TESTS_KERNELS_PEAK_H

/* GFLOP/s of one thread with 512- or 256-bit registers, the median of several probes. */
double ech_peak_gflops(int bits);
/* This thread's own processor time, so that neighbours on the machine count less. */
double ech_seconds(void);

#endif
