/* What the hosts of a run have, before mpirun starts: each is asked once, all at once, by its launch command
 * (`echelon-rank --solo doctor --machine`). So each gets its number of ranks, and a machine that has two
 * names is found out. */
#ifndef ECH_LAUNCHER_SURVEY_H
#define ECH_LAUNCHER_SURVEY_H

#include "launcher/nodes.h"

enum { ECH_SURVEY_MOST = 4096 }; /* of more hosts none is asked */

struct ech_survey_word {
    bool answered;
    struct ech_machine machine;
    char identity[160]; /* of the machine, whatever its name; "": not known */
};

/* The last line that begins as ours does, of any words. Pure. */
bool ech_survey_read(const char *text, size_t bytes, struct ech_survey_word *out);
/* Hosts learn what they have; of names of one machine the first one stays, with the slots of all that were
 * said. words: one a host. What was merged is told. */
int ech_survey_apply(struct ech_hosts *hosts, const struct ech_survey_word *words, struct ech_err *err);

/* Asks those of `nodes` that are not this host. One that does not answer keeps what was known of it (told); a
 * signal to stop ends the asking.
 * Errors  ECH_UNAVAILABLE (memory). */
int ech_survey(struct ech_nodes *nodes, struct ech_err *err);

#endif
