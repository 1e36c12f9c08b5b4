/* Entries that answer ECH_OP_UNSUPPORTED: laid under a device's table, which may lack operations that a CPU
 * backend takes from ref_exact. */
#ifndef ECH_KERNELS_ABSENT_H
#define ECH_KERNELS_ABSENT_H

#include "kernels/ops.h"

extern const struct ech_ops ech_absent_entries;

#endif
