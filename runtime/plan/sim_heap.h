/* Events in the order of time: a 4-ary heap of 16-byte entries; equal times in the order of key. */
#ifndef ECH_PLAN_SIM_HEAP_H
#define ECH_PLAN_SIM_HEAP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_sim_event {
    double at;
    uint32_t kind, id;
};
struct ech_sim_heap {
    struct ech_sim_event *events;
    size_t count, capacity;
};
int ech_sim_push(struct ech_sim_heap *heap, struct ech_sim_event event, struct ech_err *err);
bool ech_sim_pop(struct ech_sim_heap *heap, struct ech_sim_event *out);

#endif
