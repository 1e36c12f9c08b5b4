/* A language model that `eval` measures, in this process: opened as the command line says, scored in batches.
 */
#ifndef ECH_JOB_EVAL_MODEL_H
#define ECH_JOB_EVAL_MODEL_H

#include "base/args.h"
#include "job/writing.h"

struct ech_eval_model {
    struct ech_job job;
    struct ech_write_options options;
    struct ech_writing w;
    void *packed;
};

/* MODEL, --compute and --threads of the command line. context: most tokens of a sequence, 0: what the model
 * takes; sequences: how many at a time. `out` is zeroed; on failure the caller closes it.
 * Errors  ECH_USAGE: an option; ECH_CONFIG: a model with an encoder; those of ech_writing_open. */
int ech_eval_model_open(const struct ech_args *args, int64_t context, int64_t sequences,
                        struct ech_eval_model *out, struct ech_err *err);
void ech_eval_model_close(struct ech_eval_model *model);
/* Computes what a batch asks for; it is taken in any case. *done: owner the caller. */
int ech_eval_model_run(struct ech_eval_model *model, struct ech_write_batch *batch,
                       struct ech_write_batch **done, struct ech_err *err);
/* Sum of the log-probabilities that a request asked for. */
double ech_eval_model_sum(const struct ech_write_batch *done, int64_t request);

#endif
