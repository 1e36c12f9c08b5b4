/* Parts of the verb `simulate`: what it reads besides numbers, and its drawing. */
#ifndef ECH_LAUNCHER_SIMULATE_H
#define ECH_LAUNCHER_SIMULATE_H

#include "base/str.h"
#include "plan/sim.h"

/* Nodes, ranks and speeds of a cluster file's classes: `speed` times reference where tokens_per_s is not
 * known. Owner  *out: ech_free. Errors  of ech_cluster_load; ECH_CONFIG where no node is left. */
int ech_simulate_classes(const char *path, double reference, struct ech_sim_class **out, int *count,
                         struct ech_err *err);
/* Rows of a job's input, from its dataset.yaml. Errors  of ech_config_load; ECH_NOINPUT,
 * ECH_DATA (the dataset). */
int ech_simulate_rows(const char *path, int64_t *rows, struct ech_err *err);

struct ech_simulate_bar {
    const char *name;
    struct ech_sim_result result;
};
/* A bar a policy, and a line at the optimum: a whole SVG file. Pure. */
void ech_simulate_plot(const struct ech_simulate_bar *bars, int count, struct ech_str *out);

#endif
