/* A rank's speeds before it has done anything: from the cache of earlier starts on this host, else measured.
 * What is kept depends on host, processor, backend, numerics class, precision, cores, threads, the rank's
 * place among those of its node, the model's shape and the tokens of a row (in steps of a quarter of an
 * octave): where one of these differs it is measured again, and also after a run that saw another speed
 * (plan/speed.h: ECH_SPEED_DEPARTS). */
#ifndef ECH_JOB_PROBE_H
#define ECH_JOB_PROBE_H

#include "job/kind.h"

struct ech_probe_ask {
    const struct ech_kind_ops *kind;
    struct ech_stream *stream;
    const char *host;
    int threads, place, places; /* among the ranks of the node, which measure at the same time */
    double tokens_a_row;
};

/* A log line says where they come from. *cached: not measured now. Nothing measured where the kind has no
 * shape. */
int ech_probe_get(const struct ech_probe_ask *ask, struct ech_probe *out, bool *cached, struct ech_err *err);
/* Only what is in the cache: the stream need not have started. */
bool ech_probe_known(const struct ech_probe_ask *ask, struct ech_probe *out);
/* After a run: what it saw. A speed that departs is forgotten. Too little work to judge by: nothing happens.
 */
void ech_probe_seen(const struct ech_probe_ask *ask, const struct ech_probe *held, double tokens,
                    double busy_s);

#endif
