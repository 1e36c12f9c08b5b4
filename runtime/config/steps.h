/* A file of several jobs: `steps:`, a list of jobs with a name and with `after:`, the steps that must have
 * ended well before. Keys beside `steps` are those of every step; a step's own win. Each step is a job of its
 * own (ech_config_request.step), called <name of the file's job>-<name of the step>. */
#ifndef ECH_CONFIG_STEPS_H
#define ECH_CONFIG_STEPS_H

#include "config/config.h"
#include "config/doc.h"

enum { ECH_STEPS_MOST = 100 };

struct ech_step {
    char *name;
    struct ech_list after; /* names of earlier items */
};
struct ech_steps {
    struct ech_step *items; /* each behind those that it waits for, else as they are written */
    int count;
};

/* The steps of a job file, checked: names, `after`, no circle. What is in a step is checked when it is
 * loaded. *out has none where the file is one job, or is no job at all (then loading it says why). Owner the
 * caller, ech_steps_fini.  Errors  ECH_NOINPUT; ECH_CONFIG with file:line:column. */
int ech_steps_load(const char *path, struct ech_steps *out, struct ech_err *err);
void ech_steps_fini(struct ech_steps *steps);

/* ---- for the loader ---- */

/* The value of `steps` in a file's map; NULL: none. */
const struct ech_node *ech_steps_node(const struct ech_node *root);
/* The step of that name; NULL: none. */
const struct ech_node *ech_steps_find(const struct ech_node *steps, const char *name);
/* Keys that are not the job's: steps beside them; name and after in one. */
bool ech_steps_owns(const struct ech_node *map, const char *key);

#endif
