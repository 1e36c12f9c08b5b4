/* What the nodes of a cluster say of themselves, and what is wrong with that: the pure part of
 * `doctor --cluster`. */
#ifndef ECH_LAUNCHER_NODE_FACTS_H
#define ECH_LAUNCHER_NODE_FACTS_H

#include "config/cluster.h"

struct ech_node_facts {
    char name[64]; /* as the cluster file has it */
    bool answered; /* else `why` holds, and nothing below it */
    char why[256];
    char host[64], version[64], mpi[96], kernels[32], shared[256]; /* shared "": it works there */
    char numerics[256]; /* classes, blanks between them; the first is that of f32 */
    int64_t cores, memory, devices, nofile, memlock, shm, shm_free; /* -1: unlimited */
    bool fabric;      /* has InfiniBand or the like, which wants locked memory */
    bool seen;        /* the file that it wrote is seen from here */
    int64_t clock_us; /* its wall clock against ours: at least so much ahead (behind: < 0) */
};

/* Reads a node's words, of any content: the last line that begins as ours does. Texts are cut and made
 * printable, numbers are bounded. from_us .. until_us: our wall clock around its answer.
 * False: no such line, or it is not what echelon-rank says; out->why tells. */
bool ech_node_facts_read(const char *text, size_t bytes, int64_t from_us, int64_t until_us,
                         struct ech_node_facts *out);

/* `text` in printable ASCII, at most bytes - 1 of it. */
void ech_node_clean(char *out, size_t bytes, const char *text);

enum ech_node_verdict { ECH_NODE_GOOD, ECH_NODE_WARN, ECH_NODE_LACKING };
struct ech_node_fault {
    enum ech_node_verdict verdict;
    const char *what;
    char found[320], mend[256];
};
enum { ECH_NODE_FAULTS = 12 };

struct ech_node_wanted {
    const char *version, *mpi, *numerics; /* NULL or "": anything will do */
};
/* Faults of a node against the others and its class (NULL: none); their number, at most ECH_NODE_FAULTS. */
int ech_node_faults(const struct ech_node_facts *facts, const struct ech_node_wanted *wanted,
                    const struct ech_node_class *node_class, struct ech_node_fault *out);
enum ech_node_verdict ech_node_worst(const struct ech_node_fault *faults, int count);

/* What most nodes compute in (of equals the first); "" where none answered. */
const char *ech_node_numerics(const struct ech_node_facts *facts, size_t count);

#endif
