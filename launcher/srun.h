/* Components of a heterogeneous Slurm job, from the environment of its batch script. */
#ifndef ECH_LAUNCHER_SRUN_H
#define ECH_LAUNCHER_SRUN_H

#include "launcher/mpirun.h"

void ech_components_find(struct ech_place *place);

#endif
