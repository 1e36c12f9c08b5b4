/* Placement: which cores of its node a rank computes on. Each rank of a node gets its equal part of the cores
 * that may be used, whole cores, of one NUMA domain where there are at least as many ranks as domains; no
 * core is given twice. Memory follows by first touch. */
#ifndef ECH_BASE_PLACE_H
#define ECH_BASE_PLACE_H

#include "base/err.h"

#include <hwloc.h>

struct ech_placement {
    bool bound;     /* false: all that may be used, as the system schedules it */
    int cores;      /* of this rank; of all where it is not bound */
    int numa;       /* index of the one domain it lies in, -1: several */
    char text[128]; /* logical processors: "0-3,8-11" */
};

/* Which processors (pure; out is a caller's set). Not bound: one rank on one domain, more ranks or threads
 * than there are cores or processors. `allowed`: processors of the process before placement. threads 0: as
 * many as there are processors for. */
void ech_place(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, int local_rank, int local_size,
               int threads, hwloc_bitmap_t set, struct ech_placement *out);

/* Bind this process; threads that start later inherit it. Local rank and size are mpirun's (environment);
 * without them, or with ECH_BIND=none, nothing happens. Failures leave the process as it was. Call it before
 * any thread starts. */
void ech_place_apply(int threads);
/* What ech_place_apply decided; NULL: it was not called, or had nothing to decide. */
const struct ech_placement *ech_place_get(void);
/* Usable cores of the node before placement: all its ranks share them. */
int64_t ech_place_cores(void);

#endif
