/* Between the scheduler of a block and its parts. */
#ifndef ECH_EMU_BLOCK_H
#define ECH_EMU_BLOCK_H

#include "internal.h"

namespace ech_emu
{

/* results[i] for each lane of the group; returns a lane that reads one outside of the group, or -1.
 * `lanes` are the 32 (or fewer, never read past the group) fibers of the warp. */
int warp_results(const Fiber *lanes, uint32_t group, uint64_t results[32]);

} // namespace ech_emu

#endif
