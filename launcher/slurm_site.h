/* What sinfo, squeue and scontrol print, read as text: pure functions. Lines that are not as expected are
 * left out, never believed. */
#ifndef ECH_LAUNCHER_SLURM_SITE_H
#define ECH_LAUNCHER_SLURM_SITE_H

#include "base/err.h"

#include <stdint.h>

/* The format strings that these readers expect. */
#define ECH_SINFO_FORMAT  "%P|%a|%l|%D|%c|%m|%f|%G"
#define ECH_SQUEUE_FORMAT "%i|%T|%r|%S|%N"

/* Equal nodes of a partition: one line of `sinfo -e -h -o`. */
struct ech_site_nodes {
    char partition[64], features[256], gres[128];
    bool is_default, up;
    double time; /* limit in seconds, 0: none */
    int64_t nodes, cpus, memory_mib;
};
struct ech_site {
    struct ech_site_nodes *rows; /* owned */
    size_t count;
};
int ech_site_parse(const char *text, struct ech_site *out, struct ech_err *err);
void ech_site_fini(struct ech_site *site);

/* What a job asks of a node and of a partition; 0 or NULL: nothing. */
struct ech_site_ask {
    const char *partition, *constraint, *gres;
    const char *among; /* only these partitions ("main,long") have the nodes */
    int64_t nodes, cpus, memory_mib;
    double time;
};
/* The default partition where it fits, else the first that does. ECH_UNAVAILABLE: none; the message has each
 * partition's reason.  Owner  *out: borrowed from site. */
int ech_site_choose(const struct ech_site *site, const struct ech_site_ask *ask, const char **out,
                    struct ech_err *err);

/* "infinite", "30", "30:00", "1:30:00", "2-00:00:00" in seconds (infinite: 0); -1 where it is none of these.
 */
double ech_slurm_seconds(const char *text);

struct ech_queue_entry {
    char id[64], state[32], reason[96], start[32], nodes[256];
};
/* The line of a job (12, 12_3 or a pending 12_[0-9%2] that holds it, 12+0). False: it is not in the text. */
bool ech_queue_find(const char *text, const char *id, struct ech_queue_entry *out);
/* In plain words why a job waits: "waits for nodes (Resources)". */
const char *ech_queue_reason(const char *reason);

/* MaxArraySize of `scontrol show config`, 0 where it is not said. */
int64_t ech_site_array_size(const char *text);
/* Job number in what `sbatch --parsable` printed ("12" or "12;cluster", warnings before it); false: none. */
bool ech_sbatch_job(const char *text, char *out, size_t bytes);

#endif
