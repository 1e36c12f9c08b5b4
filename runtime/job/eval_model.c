/* The model behind eval perplexity and eval choice: see eval_model.h. */
#include "job/eval_model.h"

#include "base/cores.h"
#include "base/mem.h"
#include "config/precision.h"
#include "job/eval.h"

int ech_eval_model_open(const struct ech_args *args, int64_t context, int64_t sequences,
                        struct ech_eval_model *m, struct ech_err *err)
{
    int64_t threads = ech_usable_cores();
    int code = ech_args_get_int(args, "threads", 1, 4096, &threads, err);
    if (code == ECH_OK)
        code = ech_eval_precision(ech_args_get(args, "compute"), &m->job.precision.compute, err);
    if (code != ECH_OK)
        return code;
    m->job.model = (char *)args->operands[0]; /* nobody frees this job */
    m->job.precision.weights = ECH_PRECISION_AUTO;
    m->options =
        (struct ech_write_options){.context = context, .batch = sequences, .on_long = ECH_LONG_ERROR};
    struct ech_stream_env env = {.job = &m->job, .threads = (int)threads};
    struct ech_generator_options generator = {.sampling = ECH_SAMPLING_GREEDY};
    code = ech_writing_open(&env, &m->options, &m->w, err);
    if (code == ECH_OK && ech_lm_has_source(m->w.decoder))
        code = ech_fail(err, ECH_CONFIG, "%s has an encoder: a language model was expected", m->job.model);
    if (code == ECH_OK) {
        m->packed = ech_alloc_aligned(ech_lm_packed_bytes(m->w.decoder), err);
        code = m->packed ? ech_lm_pack(m->w.decoder, m->packed, 0, 1, err) : ECH_UNAVAILABLE;
    }
    return code == ECH_OK ? ech_writing_start(&m->w, &generator, err) : code;
}

void ech_eval_model_close(struct ech_eval_model *m)
{
    ech_writing_close(&m->w);
    ech_free(m->packed);
}

int ech_eval_model_run(struct ech_eval_model *m, struct ech_write_batch *batch, struct ech_write_batch **done,
                       struct ech_err *err)
{
    struct ech_err failed = ECH_ERR_NONE;
    *done = NULL;
    ech_generator_submit(m->w.generator, batch);
    while (!*done && failed.code == ECH_OK) {
        ech_generator_step(m->w.generator, 1);
        *done = ech_generator_poll(m->w.generator, &failed);
    }
    if (!*done)
        *err = failed;
    return *done ? ECH_OK : failed.code;
}

double ech_eval_model_sum(const struct ech_write_batch *done, int64_t request)
{
    const struct ech_request *r = &done->requests[request];
    double sum = 0;
    for (int64_t i = 0; i < r->count - r->scored; i++)
        sum += done->written[request].scores[i];
    return sum;
}
