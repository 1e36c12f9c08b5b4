/* Fault injection: named sites that can be told to fail. Off (one relaxed load) unless armed.
 *
 *   ECH_FAULT = SITE:N[:ACTION[=TIME]][@RANK[,RANK...]][/ATTEMPT]      (ECH_FAULT_LAUNCHER: in the launcher)
 *
 * The N-th pass through SITE ("*": through all that may fail) fails, or ACTION happens there:
 *   kill, stop              SIGKILL, SIGSTOP to the process
 *   full, readonly[=TIME]   from there on it fails with ENOSPC, EROFS (for TIME)
 *   slow=TIME               from there on each pass takes TIME
 *   jump=TIME               from there on the wall clock is TIME late or (-TIME) early
 * Sites and actions are tables in fault.c: they drive the check, the tests and the documentation. */
#ifndef ECH_BASE_FAULT_H
#define ECH_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum ech_fault_site {
    ECH_FAULT_ALLOC,  /* ech_alloc and its kin */
    ECH_FAULT_OPEN,   /* opening or creating a file */
    ECH_FAULT_READ,   /* read, pread */
    ECH_FAULT_WRITE,  /* write, pwrite, H5Dwrite */
    ECH_FAULT_FSYNC,  /* fsync, fdatasync */
    ECH_FAULT_RENAME, /* rename, mkdir */
    ECH_FAULT_SITES,  /* up to here: "*" */
    /* A turn of the main loop. In a rank a failure means that its memory is used up, in the launcher that
     * mpirun is killed. */
    ECH_FAULT_TURN = ECH_FAULT_SITES,
    ECH_FAULT_COLLECTIVE, /* entering a collective of all ranks; kill and stop alone */
    ECH_FAULT_CLOCK,      /* reading the wall clock; jump alone */
    ECH_FAULT_PLACES
};

/* True: the caller behaves as if the operation failed (allocation: NULL; I/O: errno is set). Thread-safe. */
bool ech_fault(enum ech_fault_site site);
/* Seconds by which the wall clock is wrong by now. Passes ECH_FAULT_CLOCK. */
double ech_fault_jump(void);

/* Arm from ECH_FAULT (at program start) or directly (tests): site < 0 means any. n = 0 disarms. */
int ech_fault_arm_from_env(void); /* 0, or ECH_USAGE where the variable cannot be read */
void ech_fault_arm(int site, int64_t n);
/* Which process this is: until it is told, what is meant for named ranks or an attempt does not happen. */
void ech_fault_place(int rank, int attempt);
/* Passes through all sites since the start of the program, armed or not: it grows while anything is done. */
int64_t ech_fault_work(void);
/* Passes counted since the last arming, and whether the armed failure has happened. */
int64_t ech_fault_passes(void);
bool ech_fault_fired(void);

#endif
