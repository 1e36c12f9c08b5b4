/* echelon as a C library: embed texts with a model, read sharded datasets. One process, no MPI to start.
 *
 *   engine    ech_engine_open     a model folder on a backend, with compute threads of its own
 *             ech_engine_prepare  texts -> a batch (any thread); ech_engine_prepare_ids takes token ids
 *             ech_engine_submit   hands the batch over; it never computes and never blocks
 *             ech_engine_step     waits until a result is there; ech_engine_poll takes it
 *             ech_engine_close
 *   dataset   ech_dataset_open, ech_dataset_find, ech_dataset_read (thread-safe), ech_dataset_close
 *
 * Every call that can fail returns a code of enum ech_code and fills a struct ech_err with a sentence for
 * people; outputs are set only on success. Blocks that a call says you own end with its destroy function, or
 * with ech_free. Compile and link: pkg-config --cflags --libs echelon; an example of 30 lines is
 * tests/unit/example/example.c. */
#ifndef ECHELON_H
#define ECHELON_H

#include "base/err.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "model/engine.h"

#endif
