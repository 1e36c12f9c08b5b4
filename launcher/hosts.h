/* The hosts of an attempt: those of the host file (mpirun's format: "name slots=N" a line), less those that
 * do not answer and those that failed in three earlier attempts of the run. A host fails in an attempt when a
 * rank on it was declared dead or was silent when a phase ended (base/words.h). */
#ifndef ECH_LAUNCHER_HOSTS_H
#define ECH_LAUNCHER_HOSTS_H

#include "base/machine.h"
#include "base/str.h"

#include <stdint.h>

enum { ECH_HOST_FAILURES_MOST = 3 };

struct ech_host {
    char name[64];
    int64_t slots;
    bool said;                /* slots were said by a host file or --ranks, not decided from what it has */
    struct ech_machine found; /* cores 0: not known */
    int failures;             /* attempts in which it failed */
    bool silent;              /* does not answer now */
};

struct ech_hosts {
    struct ech_host *items;
    size_t count, capacity;
};

void ech_hosts_fini(struct ech_hosts *hosts);
/* Adds the hosts of a host file's text. ECH_CONFIG where a line cannot be read. */
int ech_hosts_parse(const char *text, struct ech_hosts *out, struct ech_err *err);
struct ech_host *ech_hosts_find(const struct ech_hosts *hosts, const char *name);
/* As mpirun sees it: this host by its name, with or without a domain, and its loopback. */
bool ech_host_is_here(const char *name);
/* Is it left out? Pure, as the next two. */
bool ech_host_out(const struct ech_host *host);
/* "node2 (failed in 3 attempts), node3 (does not answer)"; nothing where all are in. */
void ech_hosts_tell_out(const struct ech_hosts *hosts, struct ech_str *out);
/* Ranks for the hosts that are left: the same number a slot, rounded up; 0 where no host is left. */
int64_t ech_hosts_ranks(const struct ech_hosts *hosts, int64_t ranks);

/* Count failures in attempts 1..before of a run. */
int ech_hosts_history(struct ech_hosts *hosts, const char *run_dir, int before, struct ech_err *err);
/* Ask each but this one to run `true` through `agent` ("ssh", or words split at blanks), all at once, and
 * mark those that do not within `seconds`, or until a signal to stop is there (ech_session_is_signalled). */
int ech_hosts_probe(struct ech_hosts *hosts, const char *agent, double seconds, struct ech_err *err);
/* The host file of those that are in; with `said` only the slots that were said (a later start decides the
 * others anew). */
int ech_hosts_write(const struct ech_hosts *hosts, bool said, const char *path, struct ech_err *err);
/* One line a rank (mpirun --map-by seq): inside an allocation Open MPI believes Slurm's slots, not a host
 * file's. */
int ech_hosts_write_ranks(const struct ech_hosts *hosts, const char *path, struct ech_err *err);

#endif
