/* Threads that begin together and are timed together. Between runs they sleep. Lane 0 is the caller. */
#ifndef ECH_KERNELS_BENCH_CREW_H
#define ECH_KERNELS_BENCH_CREW_H

struct ech_crew;

/* NULL: threads could not be started. Owner: the caller, ech_crew_close. */
struct ech_crew *ech_crew_open(int threads);
void ech_crew_close(struct ech_crew *lanes);

/* work(lane, context) on lanes 0 .. count - 1, count <= threads. Seconds from the common start to the end of
 * the last. */
double ech_crew_run(struct ech_crew *lanes, int count, void (*work)(int lane, void *context), void *context);

/* Monotonic, in seconds. */
double ech_crew_now(void);
double ech_median(double *values, int count); /* sorts them */

#endif
