/* Finding and ending the processes of one run on this host, by what /proc says of them: the environment
 * variable ECH_RUN_DIR that the launcher gives to mpirun (ranks inherit it), or, where the environment cannot
 * be read, the command line `echelon-rank run RUNDIR`. Other programs that merely name the folder (an editor,
 * `echelon logs`) are never touched.
 * Grows with the processes of the host: one pass reads two small files of each. */
#ifndef ECH_BASE_SWEEP_H
#define ECH_BASE_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ECH_RUN_ENV "ECH_RUN_DIR"

/* `environ` and `cmdline`: as /proc gives them, NUL-separated. */
bool ech_sweep_matches(const char *environ_text, size_t environ_bytes, const char *cmdline,
                       size_t cmdline_bytes, const char *run_dir);

/* Send `signal_number` (0: only count) to each process of the run but the caller. Zombies do not count.
 * Returns how many there are. */
int ech_sweep_signal(const char *run_dir, int signal_number);

/* The processes of one start (base/nodedir.h): its ranks by ECH_NODE_DIR in their environment, MPI's own
 * programs by the folder's name in their command line. Sends, skips and returns as ech_sweep_signal. */
int ech_sweep_start(const char *node_dir, int signal_number);
/* SIGKILL to ranks of the run that belong to another start than `node_dir`. Returns how many there were. */
int ech_sweep_older(const char *run_dir, const char *node_dir);

/* SIGTERM, up to `grace_s` of waiting, then SIGKILL until none is left (5 s at most). True: none is left. */
bool ech_sweep_end(const char *run_dir, double grace_s);

/* Start time of a process in clock ticks since boot (tells a reused pid from the old one); 0: no such. */
unsigned long long ech_process_start(pid_t pid);

#endif
