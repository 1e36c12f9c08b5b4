/* eval perplexity: how well a language model foretells a text. The text's tokens are cut into windows, each
 * read behind the beginning-of-text token in place of its first, and the negative log-likelihood of the rest
 * is averaged. */
#include "job/eval.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "job/eval_model.h"

#include <math.h>
#include <string.h>

enum { TOKENS = 2048, WINDOW = 512 };
static const size_t text_most = (size_t)1 << 30;

struct perplexity {
    struct ech_eval_model model;
    int64_t tokens, window, windows;
    double nll;      /* sum */
    int64_t counted; /* predictions */
};

/* The first tokens of the text. A token is at least a byte long, so that many bytes and a rest hold them. */
static int read_tokens(struct perplexity *p, const char *path, struct ech_reading *out, struct ech_err *err)
{
    char *text;
    size_t bytes;
    int code = ech_read_file(path, text_most, &text, &bytes, err);
    if (code != ECH_OK)
        return code;
    int64_t invalid = ech_utf8_invalid_at(text, bytes);
    if (invalid >= 0)
        code = ech_fail(err, ECH_DATA, "%s: byte %lld is not UTF-8", path, (long long)invalid + 1);
    if (code == ECH_OK)
        code = ech_writing_read(&p->model.w, text, bytes, false, true, INT32_MAX, out, err);
    if (code == ECH_OK && out->count < 2)
        code = ech_fail(err, ECH_DATA, "%s: %lld tokens, two and more were expected", path,
                        (long long)out->count);
    ech_free(text);
    return code;
}

static int add_windows(struct perplexity *p, const struct ech_reading *r, struct ech_write_batch *batch,
                       struct ech_err *err)
{
    int32_t bos = ech_tokenizer_role(p->model.w.tokenizer, ECH_TOKEN_BOS);
    int64_t count = p->tokens ? ech_min64(p->tokens, r->count) : r->count;
    for (int64_t at = 0; at + 1 < count; at += p->window) {
        struct ech_request *request;
        int64_t n = ech_min64(p->window, count - at);
        if (n < 2)
            break;
        int32_t *ids = ech_calloc((size_t)n, sizeof *ids, err);
        if (!ids || ech_write_batch_add(batch, &request, err) != ECH_OK) {
            ech_free(ids);
            return ECH_UNAVAILABLE;
        }
        memcpy(ids, r->ids + at, (size_t)n * sizeof *ids);
        if (bos >= 0)
            ids[0] = bos;
        *request = (struct ech_request){.ids = ids, .count = n, .scored = 1};
        p->windows++;
    }
    return ech_write_batch_row(batch, err);
}

static int run(struct perplexity *p, struct ech_write_batch *batch, struct ech_err *err)
{
    struct ech_write_batch *done;
    int code = ech_eval_model_run(&p->model, batch, &done, err);
    if (code != ECH_OK)
        return code;
    for (int64_t i = 0; code == ECH_OK && i < done->count; i++) {
        const struct ech_request *r = &done->requests[i];
        if (r->error)
            code = ech_fail(err, ECH_DATA, "window %lld: %s", (long long)i + 1, r->error);
        else
            p->nll -= ech_eval_model_sum(done, i);
        p->counted += r->count - r->scored;
    }
    ech_write_batch_destroy(done);
    return code;
}

static void print(const struct perplexity *p, bool json, double seconds, struct ech_str *out)
{
    double nll = p->nll / (double)p->counted;
    if (json)
        ech_str_addf(
            out,
            "{\"nll\":%.9f,\"perplexity\":%.6f,\"predictions\":%lld,\"windows\":%lld,\"window\":%lld,"
            "\"numerics\":\"%s\",\"seconds\":%.3f}\n",
            nll, exp(nll), (long long)p->counted, (long long)p->windows, (long long)p->window,
            ech_lm_numerics(p->model.w.decoder), seconds);
    else
        ech_str_addf(
            out,
            "perplexity  %.4f\nnll         %.6f a token, over %lld tokens in %lld window%s of at most %lld\n"
            "speed       %.0f tokens/s (%s, %s)\n",
            exp(nll), nll, (long long)p->counted, (long long)p->windows, p->windows == 1 ? "" : "s",
            (long long)p->window, (double)p->counted / seconds, ech_lm_precision(p->model.w.decoder),
            ech_lm_numerics(p->model.w.decoder));
}

int ech_eval_perplexity(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct perplexity p = {.tokens = TOKENS, .window = WINDOW};
    struct ech_reading r = {0};
    struct ech_write_batch *batch = NULL;
    const char *text = ech_args_get(args, "text");
    int code = ech_args_get_int(args, "tokens", 0, INT32_MAX, &p.tokens, err);
    if (code == ECH_OK)
        code = ech_args_get_int(args, "window", 2, INT32_MAX, &p.window, err);
    if (code == ECH_OK && !text)
        code = ech_fail(err, ECH_USAGE, "%s: --text FILE was expected", args->command->name);
    if (code == ECH_OK)
        code = ech_eval_model_open(args, p.window, 1, &p.model, err);
    if (code == ECH_OK)
        code = read_tokens(&p, text, &r, err);
    if (code == ECH_OK)
        code = ech_write_batch_create(0, &batch, err);
    if (code == ECH_OK)
        code = add_windows(&p, &r, batch, err);
    double begun = ech_mono_s();
    if (code == ECH_OK) {
        code = run(&p, batch, err);
        batch = NULL;
    }
    if (code == ECH_OK)
        print(&p, ech_args_given(args, "json"), ech_mono_s() - begun, &call->text);
    ech_write_batch_destroy(batch);
    ech_reading_fini(&r);
    ech_eval_model_close(&p.model);
    return code;
}
