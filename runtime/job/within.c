#include "job/within.h"

#include "base/num.h"

/* What is left of the node's memory for one of `working` ranks beside the weights and all processes. */
static int64_t room(const struct ech_within *w, int64_t weights, int working)
{
    return (w->memory - weights - w->process * w->places) / working;
}

int ech_open_within(const struct ech_kind_ops *kind, struct ech_stream_env *env, const struct ech_within *w,
                    struct ech_stream **out, struct ech_err *err)
{
    int64_t weights = 0;
    for (int working = w->places; w->memory > 0 && working > 0;) {
        struct ech_err last = ECH_ERR_NONE;
        struct ech_stream *stream = NULL;
        env->memory = ech_max64(room(w, weights, working), 1);
        int code = kind->open(env, &stream, &last);
        if (code && code != ECH_UNAVAILABLE) {
            if (err)
                *err = last;
            return code;
        }
        int64_t found = code ? weights : (int64_t)kind->shared_bytes(stream);
        bool beside = !code && (int64_t)kind->workspace_bytes(stream) <= room(w, found, working);
        if (beside || (!code && w->may_split)) {
            *out = stream;
            return ECH_OK;
        }
        working -= found == weights; /* else once more, now that the weights are known */
        weights = found;
        if (!code)
            kind->close(stream);
    }
    /* As small as it can be, so that what is said of its needs is the least that would do. */
    struct ech_err last = ECH_ERR_NONE;
    env->memory = 1;
    int code = w->memory > 0 ? kind->open(env, out, &last) : ECH_UNAVAILABLE;
    env->memory = 0;
    return code ? kind->open(env, out, err) : ECH_OK;
}
