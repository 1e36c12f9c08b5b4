/* What this node has for ranks: usable processors, NUMA domains with cores, GPUs that its processes see. */
#ifndef ECH_BASE_MACHINE_H
#define ECH_BASE_MACHINE_H

#include <hwloc.h>
#include <stdbool.h>
#include <stdint.h>

enum { ECH_MACHINE_GPUS = 64 };

struct ech_machine {
    int64_t cores;   /* processors that may be used (affinity and quotas) */
    int64_t domains; /* NUMA domains with cores among them, at least 1 */
    int64_t devices; /* NVIDIA GPUs */
};

/* The topology with its GPUs (HWLOC_XMLFILE and HWLOC_SYNTHETIC name another one), and the processors that
 * this process may use. False: hwloc cannot. Owner   ech_machine_unload. */
bool ech_machine_load(hwloc_topology_t *topology, hwloc_bitmap_t *allowed);
void ech_machine_unload(hwloc_topology_t topology, hwloc_bitmap_t allowed);

/* GPUs in the order of their PCI addresses, at most ECH_MACHINE_GPUS; their number. Pure. */
int ech_machine_gpus(hwloc_topology_t topology, hwloc_obj_t *out);
/* What CUDA_VISIBLE_DEVICES (NULL: all) leaves of `count` GPUs: their indices, -1 for one that is named in
 * another way (a UUID). As CUDA does, the first word that means nothing ends the list. Pure. */
int ech_machine_visible(const char *text, int count, int *out);
/* Domains and devices. Pure; `cores` is left to the caller. */
void ech_machine_count(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, const char *visible,
                       struct ech_machine *out);

/* Ranks of a node with nothing of its own said about it: `ranks_per_node` (0: not said), one a GPU where the
 * job computes `on_gpus` and there are some, as many as `threads` (0: not said) allow, one a NUMA domain. At
 * least
 * 1. Pure. */
int64_t ech_machine_ranks(const struct ech_machine *machine, int64_t ranks_per_node, int64_t threads,
                          bool on_gpus);

/* Of this process; looked at once. */
const struct ech_machine *ech_machine_here(void);

/* Names this start of this machine, whatever it is called: its boot and its own host name. "": not known. */
void ech_machine_identity(char *out, int bytes);

#endif
