/* Is an access ordered after all that it collides with? Barriers order a block, meetings order a warp, a
 * launch orders what came before it; nothing orders two blocks but a fence and an atomic. */
#ifndef ECH_EMU_RACE_H
#define ECH_EMU_RACE_H

#include "internal.h"

namespace ech_emu
{

/* What an access collided with: a thread of this block, or another block. */
struct Collision {
    bool found;
    bool stored;      /* the other one stored */
    bool other_block; /* then `interval` tells which */
    uint32_t interval;
    uint16_t thread; /* as in Cell */
};

/* Both note the access in the cell. What lies before interval `since` cannot collide: another launch or, in
 * shared memory, another block. */
Collision race_load(Cell &c, const Fiber &f, uint32_t since);
Collision race_store(Cell &c, const Fiber &f, bool atomic, uint32_t since);

/* A fence of the whole device, and an atomic after or before it: together they order blocks. */
void fences_begin_launch();
void fences_begin_block();
void fence_passed();
void atomic_passed(uintptr_t a);

} // namespace ech_emu

#endif
