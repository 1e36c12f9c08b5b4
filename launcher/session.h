/* One start of mpirun from its fork to the last process gone: shared memory folder, guardian, log pipe,
 * signals, the published result, the end. Knows no run directory: `run` and `data import --ranks` use it. */
#ifndef ECH_LAUNCHER_SESSION_H
#define ECH_LAUNCHER_SESSION_H

#include "launcher/mpirun.h"

struct ech_session {
    const char *mpirun, *program; /* absolute paths */
    const struct ech_layout *layout;
    bool allocation, recovery;
    const char *launch, *mpi_prefix; /* as struct ech_mpirun has them */
    const char *hosts_file;          /* NULL: mpirun's own default */
    const char *exclude;             /* nodes that srun leaves out, NULL: none */
    char *const *settings;           /* "NAME=VALUE" for the ranks, NULL: none */
    const struct ech_place *srun;    /* srun starts the ranks (`mpirun` is its path), there; NULL: mpirun */
    char *const *arguments;
    const char *marker; /* value of ECH_RUN_DIR; NULL: the shared memory folder */
    double start_s;     /* for the ranks to find each other; 0: ECH_START_SECONDS, else their default */
    double heartbeat_s; /* hosts cut off for twice as long are lost; 0: only when MPI finds it */
    double grace_s;     /* for ranks that were asked to stop */
    /* Hooks; each may be NULL. */
    void *context;
    void (*output)(void *context, const char *data,
                   size_t bytes);            /* NULL: mpirun writes to our own streams */
    bool errors_alone;                       /* output takes its stderr; its stdout is ours */
    void (*tick)(void *context, double now); /* five times a second */
    bool (*begun)(void *context);            /* the ranks can be asked to stop (SIGUSR1) */
    bool (*finished)(void *context);         /* the result is published */
    bool (*lost)(void *context);             /* there will be none */
    void (*hosts_lost)(
        void *context,
        int lost); /* once a second: so many fewer than the most that mpirun was connected to */
    void (*stopping)(void *context, int signal_number, bool again);
};

struct ech_session_end {
    int stop_signal; /* the first one that asked us to stop, 0: none */
    bool ended;      /* mpirun ended by itself: `status` holds */
    int status;      /* as from waitpid */
    bool leftovers;  /* a process of it could not be ended */
};

/* The command line it would start (--dry-run). */
void ech_session_command(const struct ech_session *session, const char *shm_dir, struct ech_argv *out);
/* Until then such a signal ends the program with ECH_REQUEUE: nothing has been made yet. */
void ech_session_early_signals(void);
/* Signals that stop a run are blocked from here on and taken by ech_session_run. Call it first. */
void ech_session_block_signals(void);
/* Is there one? It stays. */
bool ech_session_is_signalled(void);
/* Signal number if one has arrived since (and takes it), else 0. */
int ech_session_pending_signal(void);
/* Calls   Local; returns when no process of the start is left. */
int ech_session_run(const struct ech_session *session, struct ech_session_end *out, struct ech_err *err);

#endif
