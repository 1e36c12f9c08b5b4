/* The feeder: a thread that reads the rows of claimed ranges and submits them to the stream (which tokenises
 * them there), so that neither a slow disk nor a tokeniser holds up main. */
#ifndef ECH_JOB_FEEDER_H
#define ECH_JOB_FEEDER_H

#include "base/rowset.h"
#include "job/kind.h"

struct ech_feeder;

/* Borrows all. */
int ech_feeder_open(const struct ech_kind_ops *kind, struct ech_stream *stream,
                    const struct ech_source *source, struct ech_feeder **out, struct ech_err *err);
/* Never blocks; at most ECH_FEEDER_QUEUE ranges wait (ECH_BUG beyond). */
enum { ECH_FEEDER_QUEUE = 64 };
int ech_feeder_put(struct ech_feeder *feeder, struct ech_range range, struct ech_err *err);
/* The thread's error, if it has stopped with one. */
int ech_feeder_failed(struct ech_feeder *feeder, struct ech_err *err);
/* Forget what waits; the range that is being read is submitted still. */
void ech_feeder_cancel(struct ech_feeder *feeder);
bool ech_feeder_idle(struct ech_feeder *feeder); /* nothing waits, nothing is being read */
void ech_feeder_close(struct ech_feeder *feeder);

#endif
