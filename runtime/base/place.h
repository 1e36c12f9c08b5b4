/* Placement: which cores of its node a rank computes on, and where its memory lies. Each rank of a node gets
 * its equal part of the cores that may be used, whole cores, of one NUMA domain where there are at least as
 * many ranks as domains; a rank of a GPU those near it. No core is given twice. Memory is taken from the
 * domain of the cores where that is one (from others when it is full); else it follows by first touch. */
#ifndef ECH_BASE_PLACE_H
#define ECH_BASE_PLACE_H

#include "base/err.h"

#include <hwloc.h>

struct ech_placement {
    bool bound;     /* false: all that may be used, as the system schedules it */
    bool memory;    /* taken from its domain first (ech_place_apply) */
    int cores;      /* of this rank; of all where it is not bound */
    int numa;       /* index of the one domain it lies in, -1: several */
    int device;     /* the GPU it was placed near, by PCI address; -1: none */
    char text[128]; /* logical processors: "0-3,8-11" */
};

struct ech_place_ask {
    int rank, size;      /* among the ranks of the node */
    int threads;         /* 0: as many as there are processors for */
    bool devices;        /* rank k computes on the k-th GPU that it sees (modulo their number) */
    const char *visible; /* CUDA_VISIBLE_DEVICES; NULL: all */
};

/* Which processors (pure; out is a caller's set). Not bound: one rank on one domain, more ranks or threads
 * than there are cores or processors. `allowed`: processors of the process before placement. Ranks near the
 * same GPUs share the cores there; where one of them would get too few, none is placed by GPUs. */
void ech_place(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, const struct ech_place_ask *ask,
               hwloc_bitmap_t set, struct ech_placement *out);
/* NUMA domains with usable cores. Pure. */
int ech_place_domains(hwloc_topology_t topology, hwloc_const_bitmap_t allowed);

/* Bind this process; threads that start later inherit it. Local rank and size are mpirun's (environment);
 * without them, or with ECH_BIND=none, nothing happens. ECH_BIND=device: near its GPU, whose number is then
 * that of the PCI address for CUDA, too (CUDA_DEVICE_ORDER). Failures leave the process as it was. Call it
 * before any thread starts. */
void ech_place_apply(int threads);
/* What ech_place_apply decided; NULL: it was not called, or had nothing to decide. */
const struct ech_placement *ech_place_get(void);
/* Usable cores of the node before placement: all its ranks share them. */
int64_t ech_place_cores(void);

#endif
