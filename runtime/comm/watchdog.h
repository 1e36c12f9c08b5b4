/* The watchdog: no rank can wait its way out of a collective whose member died, so a thread in each process
 * holds the deadline of the current phase; when it passes, it writes which phase and how long to stderr and
 * leaves the process with _exit(75). The one place, beside main, that ends a process. */
#ifndef ECH_COMM_WATCHDOG_H
#define ECH_COMM_WATCHDOG_H

#include "base/err.h"

/* Start the thread. `hook` (may be NULL) runs just before the exit: it may write a last event. */
int ech_watchdog_start(int rank, void (*hook)(const char *phase, double seconds), struct ech_err *err);
void ech_watchdog_stop(void);
/* The rank it speaks of, where that was not known at the start. */
void ech_watchdog_rank(int rank);
/* Where this rank tells how far it is (base/words.h), so that the message names who fell silent. `dir`: a
 * folder that all ranks see, NULL: none; borrowed. */
void ech_watchdog_words(const char *dir, int attempt, const char *host, int ranks);
/* For work of unknown length (import, bench): the phase begins again as long as this rank's own work goes on,
 * or it waits for one whose does. It ends where a rank is silent, where this one's own work stands still, and
 * where all wait for nobody. */
void ech_watchdog_patient(void);
/* A collective of the whole job begins, has ended. */
void ech_watchdog_enter(void);
void ech_watchdog_leave(void);
/* The phase in which the others go on without a rank that died: its end on one rank is not the attempt's. */
#define ECH_PHASE_ALONE "run"
/* Phases nest at depth one: a new phase replaces the last. `name` is borrowed. */
void ech_watchdog_phase(const char *name, double seconds);
void ech_watchdog_clear(void);
/* More time for this phase, from now on: work of a known size lies ahead, of this rank or of one waited for.
 */
void ech_watchdog_extend(double seconds);
/* The same for bytes to be read or written, at a pace that a slow shared file system still keeps. */
void ech_watchdog_extend_for(int64_t bytes);
/* Main's loop beats while rows run; the phase's deadline starts anew. */
void ech_watchdog_beat(void);

#endif
