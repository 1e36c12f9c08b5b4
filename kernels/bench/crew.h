/* Threads that begin together and are timed together. Between runs they sleep. Lane 0 is the caller. */
#ifndef ECH_KERNELS_BENCH_CREW_H
#define ECH_KERNELS_BENCH_CREW_H

#include <stdbool.h>

struct ech_crew;

/* NULL: threads could not be started. Owner: the caller, ech_crew_close. */
struct ech_crew *ech_crew_open(int threads);
void ech_crew_close(struct ech_crew *crew);

/* work(lane, context) on lanes 0 .. count - 1, count <= threads. Seconds from the common start to the end of
 * the last. */
double ech_crew_run(struct ech_crew *crew, int count, void (*work)(int lane, void *context), void *context);

/* The same, again while a thread of this process lost its core to another program meanwhile, at most four
 * times; `ready`, unless NULL, is called before each. None was calm: the shortest, and *disturbed is set. */
double ech_crew_calm(struct ech_crew *crew, int count, void (*work)(int lane, void *context),
                     void (*ready)(void *context), void *context, bool *disturbed);

/* Monotonic, in seconds. */
double ech_crew_now(void);
double ech_median(double *values, int count); /* sorts them */

#endif
