/* What a node has: see machine.h. */
#include "base/machine.h"

#include "base/cores.h"
#include "base/num.h"
#include "base/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NVIDIA = 0x10de, DISPLAY = 0x03 };

bool ech_machine_load(hwloc_topology_t *topology, hwloc_bitmap_t *allowed)
{
    if (hwloc_topology_init(topology) != 0)
        return false;
    *allowed = hwloc_bitmap_alloc();
    hwloc_topology_set_io_types_filter(*topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (*allowed && hwloc_topology_load(*topology) == 0) {
        hwloc_const_bitmap_t most = hwloc_topology_get_allowed_cpuset(*topology);
        if (!hwloc_topology_is_thissystem(*topology) ||
            hwloc_get_cpubind(*topology, *allowed, HWLOC_CPUBIND_PROCESS) != 0)
            hwloc_bitmap_copy(*allowed, most);
        hwloc_bitmap_and(*allowed, *allowed, most);
        return true;
    }
    ech_machine_unload(*topology, *allowed);
    return false;
}

void ech_machine_unload(hwloc_topology_t topology, hwloc_bitmap_t allowed)
{
    hwloc_bitmap_free(allowed);
    hwloc_topology_destroy(topology);
}

static uint64_t address(hwloc_obj_t device)
{
    const struct hwloc_pcidev_attr_s *at = &device->attr->pcidev;
    return (uint64_t)at->domain << 32 | (uint64_t)at->bus << 16 | (uint64_t)at->dev << 8 | at->func;
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = address(*(const hwloc_obj_t *)a), y = address(*(const hwloc_obj_t *)b);
    return x < y ? -1 : x > y;
}

int ech_machine_gpus(hwloc_topology_t topology, hwloc_obj_t *out)
{
    int count = 0;
    for (hwloc_obj_t d = NULL; (d = hwloc_get_next_pcidev(topology, d)) && count < ECH_MACHINE_GPUS;)
        if (d->attr->pcidev.vendor_id == NVIDIA && d->attr->pcidev.class_id >> 8 == DISPLAY)
            out[count++] = d;
    if (count)
        qsort(out, (size_t)count, sizeof *out, by_address);
    return count;
}

int ech_machine_visible(const char *text, int count, int *out)
{
    int n = 0;
    for (; !text && n < count; n++)
        out[n] = n;
    while (text && *text && n < ECH_MACHINE_GPUS) {
        size_t length = strcspn(text, ",");
        char *end;
        long index = strtol(text, &end, 10);
        bool number = end != text && end == text + length;
        bool named = strncmp(text, "GPU-", 4) == 0 || strncmp(text, "MIG-", 4) == 0;
        if (number ? index < 0 || index >= count : !named || n >= count)
            break;
        out[n++] = number ? (int)index : -1;
        text += length + (text[length] == ',');
    }
    return n;
}

void ech_machine_count(hwloc_topology_t topology, hwloc_const_bitmap_t allowed, const char *visible,
                       struct ech_machine *out)
{
    hwloc_obj_t gpus[ECH_MACHINE_GPUS];
    int seen[ECH_MACHINE_GPUS], domains = ech_place_domains(topology, allowed);
    out->domains = domains > 0 ? domains : 1;
    out->devices = ech_machine_visible(visible, ech_machine_gpus(topology, gpus), seen);
}

int64_t ech_machine_ranks(const struct ech_machine *machine, int64_t ranks_per_node, int64_t threads,
                          bool on_gpus)
{
    int64_t cores = ech_max64(machine->cores, 1);
    if (ranks_per_node > 0)
        return ranks_per_node;
    if (on_gpus && machine->devices > 0)
        return machine->devices;
    return ech_max64(threads > 0 ? cores / threads : ech_min64(machine->domains, cores), 1);
}

const struct ech_machine *ech_machine_here(void)
{
    static struct ech_machine here;
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed;
    if (here.cores)
        return &here;
    here = (struct ech_machine){.cores = ech_usable_cores(), .domains = 1};
    if (ech_machine_load(&topology, &allowed)) {
        ech_machine_count(topology, allowed, getenv("CUDA_VISIBLE_DEVICES"), &here);
        ech_machine_unload(topology, allowed);
    }
    return &here;
}

void ech_machine_identity(char *out, int bytes)
{
    char boot[64] = "", host[64] = "";
    FILE *in = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool known =
        in && fgets(boot, sizeof boot, in) && strlen(boot) > 30 && gethostname(host, sizeof host - 1) == 0;
    if (in)
        fclose(in);
    snprintf(out, (size_t)bytes, "%.*s%s%s", known ? (int)strcspn(boot, "\n") : 0, boot, known ? " " : "",
             known ? host : "");
}
