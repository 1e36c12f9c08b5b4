/* Threads that begin together and are timed together. Between runs they sleep. Lane 0 is the caller. */
#ifndef ECH_KERNELS_BENCH_LANES_H
#define ECH_KERNELS_BENCH_LANES_H

struct ech_lanes;

/* NULL: threads could not be started. Owner: the caller, ech_lanes_close. */
struct ech_lanes *ech_lanes_open(int threads);
void ech_lanes_close(struct ech_lanes *lanes);

/* work(lane, context) on lanes 0 .. count - 1, count <= threads. Seconds from the common start to the end of
 * the last. */
double ech_lanes_run(struct ech_lanes *lanes, int count, void (*work)(int lane, void *context),
                     void *context);

/* Monotonic, in seconds. */
double ech_lanes_now(void);
double ech_median(double *values, int count); /* sorts them */

#endif
