/* Fault injection: named sites that can be told to fail. Off (one relaxed load) unless armed.
 * ECH_FAULT="site:n" fails the n-th pass (from 1) through `site`; "*" counts all sites together;
 * "site:n:kill" sends SIGKILL to the process there, "site:n:stop" SIGSTOP.
 * Sites are listed in fault.c: one table drives the check, the tests and the documentation. */
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
    ECH_FAULT_SITES
};

/* True: the caller behaves as if the operation failed (allocation: NULL; I/O: EIO). Thread-safe. */
bool ech_fault(enum ech_fault_site site);

/* Arm from ECH_FAULT (at program start) or directly (tests): site < 0 means any. n = 0 disarms. */
int ech_fault_arm_from_env(void); /* 0, or ECH_USAGE where the variable cannot be read */
void ech_fault_arm(int site, int64_t n);
/* Passes counted since the last arming, and whether the armed failure has happened. */
int64_t ech_fault_passes(void);
bool ech_fault_fired(void);

#endif
