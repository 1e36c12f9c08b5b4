/* Kind score: how likely a text is to a language model, or which of several continuations it would choose. */
#include "job/kind_writing.h"

#include "base/mem.h"
#include "base/num.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { LOG_PROBABILITY, PERPLEXITY, TOKENS, CHOICE, SCORES };
enum { CHOICES_MOST = 1000 };

static const struct ech_column columns[] = {
    [LOG_PROBABILITY] = {"log_probability", ECH_TENSOR, ECH_F32, 1},
    [PERPLEXITY] = {"perplexity", ECH_TENSOR, ECH_F32, 1},
    [TOKENS] = {"tokens", ECH_INTS, ECH_I64, 1},
    [CHOICE] = {"choice", ECH_INTS, ECH_I64, 1},
    [SCORES] = {"scores", ECH_JSON, ECH_U8, 0},
    {.name = ""},
};

static int score_prepare(struct ech_stream *s, const struct ech_stream_env *env, struct ech_err *err)
{
    if (ech_lm_has_source(s->w.decoder))
        return ech_fail(err, ECH_CONFIG, "%s has an encoder: kind score is for language models",
                        env->job->model);
    return ECH_OK;
}

static void score_generator(const struct ech_stream *s, struct ech_generator_options *out)
{
    (void)s, (void)out; /* nothing is written */
}

/* --- a row into requests --- */

/* `scored` is the first token whose probability is wanted; `bytes` of the text that it belongs to travel in
 * row. */
static int add_request(struct ech_write_batch *batch, struct ech_reading *r, int64_t scored, uint64_t bytes,
                       struct ech_err *err)
{
    struct ech_request *request;
    if (!r->why && (r->count < 2 || scored >= r->count)) {
        r->why = ech_strdup("nothing to score: a token and one before it were expected", err);
        if (!r->why)
            return ECH_UNAVAILABLE;
    }
    if (r->why) {
        char *why = r->why;
        r->why = NULL;
        return ech_writing_refuse(batch, why, err);
    }
    int code = ech_write_batch_add(batch, &request, err);
    if (code == ECH_OK) {
        *request = (struct ech_request){
            .row = bytes, .ids = r->ids, .count = r->count, .scored = ech_max64(scored, 1)};
        r->ids = NULL;
    }
    return code;
}

static int read_text(struct ech_stream *s, const char *text, size_t bytes, struct ech_write_batch *batch,
                     struct ech_err *err)
{
    struct ech_reading r = {0};
    int code = ech_writing_read_prefixed(&s->w, text, bytes, false, s->w.context, &r, err);
    if (code == ECH_OK)
        code = add_request(batch, &r, 1, bytes, err);
    ech_reading_fini(&r);
    return code;
}

/* Prompt and continuation are read as one text, as a user would write them; the continuation's tokens are
 * those behind as many as the prompt alone has. */
static int read_pair(struct ech_stream *s, const char *prompt, const char *more,
                     struct ech_write_batch *batch, struct ech_err *err)
{
    struct ech_reading alone = {0}, whole = {0};
    int64_t scored = 0;
    char *text = ech_sprintf(err, "%s%s", prompt, more);
    int code = text ? ech_writing_read_prefixed(&s->w, prompt, strlen(prompt), false, INT64_MAX, &alone, err)
                    : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = ech_writing_read_prefixed(&s->w, text, strlen(text), false, INT64_MAX, &whole, err);
    if (code == ECH_OK) {
        scored = whole.count - alone.count; /* of the end, which stays where the text is cut */
        code = ech_writing_fit(&s->w, scored < s->w.context ? s->w.context : 0, &whole, err);
    }
    if (code == ECH_OK)
        code = add_request(batch, &whole, whole.count - scored, strlen(more), err);
    ech_reading_fini(&alone);
    ech_reading_fini(&whole);
    ech_free(text);
    return code;
}

static int read_json(struct ech_stream *s, const json_t *root, bool several, struct ech_write_batch *batch,
                     struct ech_err *err)
{
    const json_t *choices = json_object_get(root, "choices"), *item;
    const char *prompt = json_string_value(json_object_get(root, "prompt"));
    const char *completion = json_string_value(json_object_get(root, "completion"));
    size_t i, count = json_array_size(choices);
    int code = ECH_OK;
    bool good = prompt && (several ? count > 0 && count <= CHOICES_MOST : completion != NULL);
    json_array_foreach(choices, i, item) good = good && json_is_string(item);
    if (!good)
        return ech_writing_refuse(batch,
                                  ech_strdup(several
                                                 ? "JSON {prompt: text, choices: [text, ...]} was expected"
                                                 : "JSON {prompt: text, completion: text} was expected",
                                             err),
                                  err);
    if (!several)
        return read_pair(s, prompt, completion, batch, err);
    json_array_foreach(choices, i, item) if (code == ECH_OK) code =
        read_pair(s, prompt, json_string_value(item), batch, err);
    return code;
}

static int score_read(struct ech_stream *s, uint64_t row, const char *text, size_t bytes,
                      struct ech_write_batch *batch, struct ech_err *err)
{
    const struct ech_score_options *o = s->options;
    json_error_t where;
    (void)row;
    if (o->mode == ECH_SCORE_TEXT)
        return read_text(s, text, bytes, batch, err);
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
    int code = read_json(s, root, o->mode == ECH_SCORE_CHOICE, batch, err);
    json_decref(root);
    return code;
}

/* --- scores into cells --- */

static double sum_of(const struct ech_request *r, const struct ech_written *w)
{
    double sum = 0;
    for (int64_t i = 0; i < r->count - r->scored; i++)
        sum += w->scores[i];
    return sum;
}

static double weighed(const struct ech_request *r, double sum, int by)
{
    double divisor = by == ECH_SCORE_TOKENS  ? (double)(r->count - r->scored)
                     : by == ECH_SCORE_BYTES ? (double)(r->row ? r->row : 1)
                                             : 1;
    return sum / divisor;
}

static int put_numbers(struct ech_block *block, double sum, int64_t tokens, int64_t choice,
                       struct ech_err *err)
{
    float log_probability = (float)sum, perplexity = (float)exp(-sum / (double)tokens);
    int code = ech_cells_add(&block->columns[LOG_PROBABILITY], &log_probability, sizeof log_probability, err);
    if (code == ECH_OK)
        code = ech_cells_add(&block->columns[PERPLEXITY], &perplexity, sizeof perplexity, err);
    if (code == ECH_OK)
        code = ech_cells_add(&block->columns[TOKENS], &tokens, sizeof tokens, err);
    return code == ECH_OK ? ech_cells_add(&block->columns[CHOICE], &choice, sizeof choice, err) : code;
}

/* Of one text the scores of its tokens, of several the scores they were chosen by. */
static int score_write(struct ech_stream *s, const struct ech_request *requests,
                       const struct ech_written *written, int64_t count, struct ech_block *block,
                       struct ech_err *err)
{
    const struct ech_score_options *o = s->options;
    int64_t best = 0;
    double *scores = ech_calloc((size_t)count, sizeof *scores, err);
    if (!scores)
        return ECH_UNAVAILABLE;
    for (int64_t i = 0; i < count; i++) {
        scores[i] = weighed(&requests[i], sum_of(&requests[i], &written[i]), o->by);
        if (scores[i] > scores[best])
            best = i;
    }
    int64_t tokens = requests[best].count - requests[best].scored;
    bool several = o->mode == ECH_SCORE_CHOICE;
    int code = put_numbers(block, sum_of(&requests[best], &written[best]), tokens, several ? best : -1, err);
    if (code == ECH_OK)
        code = ech_cell_numbers(block, SCORES, several ? scores : written->scores, several ? count : tokens,
                                err);
    ech_free(scores);
    return code;
}

static const struct ech_writing_kind score = {
    .columns = columns,
    .open = score_prepare,
    .options = score_generator,
    .read = score_read,
    .write = score_write,
};

static int score_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    const struct ech_score_options *o = env->job->options;
    return ech_writing_stream_open(env, &score, &o->write, out, err);
}

const struct ech_kind_ops ech_kind_score = ECH_WRITING_OPS("score", score_open);
