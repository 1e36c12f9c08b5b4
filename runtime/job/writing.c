/* Decoder, tokenizers and rules of the kinds that write: see writing.h. */
#include "job/writing.h"

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "config/precision.h"
#include "job/encoder.h"
#include "job/writing_files.h"

#include <math.h>
#include <string.h>

enum { SEQUENCES = 32, STEP_TOKENS = 512, LOGITS_ROWS = 32, FRAME = 64 };
static const int64_t cache_default = (int64_t)1 << 30;

static const char *named_precision(int precision)
{
    return precision == ECH_PRECISION_AUTO ? NULL : ech_precision_name(precision);
}

static int load_decoder(const struct ech_stream_env *env, const struct ech_write_options *o,
                        struct ech_writing *w, struct ech_err *err)
{
    static const char *const kv[] = {NULL, "f32", "bf16"};
    struct ech_lm_options options = {
        .model = env->model ? env->model : env->job->model,
        .adapter = env->job->adapter,
        .backend = ech_backend_name(env->job),
        .weights = named_precision(env->job->precision.weights),
        .compute = named_precision(env->job->precision.compute),
        .kv = kv[env->job->precision.kv],
        .device = env->device,
        .threads = env->threads,
        .cache_bytes =
            env->memory > 0 ? ech_min64(cache_default, ech_max64(env->memory / 2, 1)) : cache_default,
        .cache_least = true,
        .context = o->context,
        .step_tokens = STEP_TOKENS,
        .sequences = w->sequences,
        .logits_rows = LOGITS_ROWS,
    };
    return ech_lm_load(&options, &w->decoder, err);
}

int ech_writing_open(const struct ech_stream_env *env, const struct ech_write_options *options,
                     struct ech_writing *w, struct ech_err *err)
{
    w->options = options;
    w->threads = env->threads;
    w->sequences = options->batch ? options->batch : SEQUENCES;
    int code = load_decoder(env, options, w, err);
    if (code != ECH_OK)
        return code;
    w->context = ech_lm_context(w->decoder);
    w->lanes = ech_lm_divide(w->decoder);
    code = ech_writing_files(w, env->model ? env->job->model : NULL, err);
    if (code == ECH_OK)
        code = ech_encoder_create(&w->encoder, err);
    if (code == ECH_OK)
        code = ech_encoder_create(&w->decoding, err);
    return code;
}

void ech_writing_close(struct ech_writing *w)
{
    ech_generator_close(w->generator);
    for (int i = 0; w->twins && i + 1 < w->lanes; i++)
        ech_lm_close(w->twins[i]);
    ech_free(w->twins);
    ech_lm_close(w->decoder);
    if (w->output != w->tokenizer)
        ech_tokenizer_close(w->output);
    ech_tokenizer_close(w->tokenizer);
    ech_encoder_destroy(w->encoder);
    ech_encoder_destroy(w->decoding);
    for (size_t i = 0; i < w->files_count; i++)
        ech_free(w->files[i]);
    ech_free(w->files);
    ech_free(w->folder);
    ech_free(w->from);
    ech_free(w->chat_template);
}

int ech_writing_identify(const struct ech_writing *w, struct ech_comm *comm, struct ech_identity *identity,
                         struct ech_err *err)
{
    struct ech_hash hash;
    char hex[ECH_HASH_HEX];
    int code = ech_files_hash(comm, w->folder, w->from, (const char *const *)w->files, &hash, err);
    return code ? code : ech_identity_add(identity, "model", ech_hash_print(hash, hex), err);
}

static int64_t lane_sequences(const struct ech_writing *w)
{
    return w->options->batch ? (w->sequences + w->lanes - 1) / w->lanes : w->sequences;
}

int64_t ech_writing_rows_at_a_time(const struct ech_writing *w)
{
    return w->lanes * lane_sequences(w);
}

/* One more decoder a lane. */
static int start_twins(struct ech_writing *w, struct ech_err *err)
{
    int code = ECH_OK;
    w->twins = ech_calloc((size_t)w->lanes, sizeof(struct ech_lm *), err);
    if (!w->twins)
        return ECH_UNAVAILABLE;
    for (int i = 0; code == ECH_OK && i + 1 < w->lanes; i++)
        code = ech_lm_twin(w->decoder, &w->twins[i], err);
    return code;
}

int ech_writing_start(struct ech_writing *w, struct ech_generator_options *options, struct ech_err *err)
{
    int code = ech_lm_start(w->decoder, err);
    if (code == ECH_OK)
        code = start_twins(w, err);
    options->decoder = w->decoder;
    options->twins = w->twins;
    options->twins_count = w->lanes - 1;
    options->tokenizer = w->output;
    options->rules = w->rules;
    options->threads = w->threads / w->lanes;
    options->sequences = lane_sequences(w);
    options->step_tokens = STEP_TOKENS;
    options->logits_rows = LOGITS_ROWS;
    return code ? code : ech_generator_open(options, &w->generator, err);
}

int ech_writing_ids(struct ech_writing *w, const char *text, size_t bytes, bool bare, bool literal,
                    struct ech_reading *out, struct ech_err *err)
{
    struct ech_encode_options o = {
        .most = (int64_t)bytes + FRAME, .count_all = true, .bare = bare, .literal = literal};
    struct ech_encoded encoded;
    memset(out, 0, sizeof *out);
    int code = ech_tokenizer_encode_with(w->tokenizer, w->encoder, text, bytes, &o, &encoded, err);
    if (code == ECH_OK && encoded.invalid_at < 0 && encoded.needed > o.most) { /* more tokens than bytes */
        o.most = encoded.needed;
        code = ech_tokenizer_encode_with(w->tokenizer, w->encoder, text, bytes, &o, &encoded, err);
    }
    if (code != ECH_OK)
        return code;
    if (encoded.invalid_at >= 0) {
        out->why = ech_sprintf(err, "invalid UTF-8 at byte %lld", (long long)encoded.invalid_at + 1);
        return out->why ? ECH_OK : ECH_UNAVAILABLE;
    }
    out->ids = ech_calloc((size_t)encoded.count + 1, sizeof *out->ids, err);
    if (!out->ids)
        return ECH_UNAVAILABLE;
    if (!bare && w->begin >= 0)
        out->ids[out->count++] = w->begin;
    if (encoded.count)
        memcpy(out->ids + out->count, encoded.ids, (size_t)encoded.count * sizeof *out->ids);
    out->count += encoded.count;
    return ECH_OK;
}

int ech_writing_fit(const struct ech_writing *w, int64_t most, struct ech_reading *r, struct ech_err *err)
{
    if (r->why || r->count <= most)
        return ECH_OK;
    if (w->options->on_long == ECH_LONG_ERROR || most < 2) {
        r->why = ech_sprintf(err, "%lld tokens, at most %lld leave room in options.context",
                             (long long)r->count, (long long)most);
        return r->why ? ECH_OK : ECH_UNAVAILABLE;
    }
    memmove(r->ids + 1, r->ids + r->count - (most - 1), (size_t)(most - 1) * sizeof *r->ids);
    r->count = most;
    return ECH_OK;
}

int ech_writing_read(struct ech_writing *w, const char *text, size_t bytes, bool bare, bool literal,
                     int64_t most, struct ech_reading *out, struct ech_err *err)
{
    int code = ech_writing_ids(w, text, bytes, bare, literal, out, err);
    return code == ECH_OK ? ech_writing_fit(w, most, out, err) : code;
}

int ech_writing_read_prefixed(struct ech_writing *w, const char *text, size_t bytes, bool bare, int64_t most,
                              struct ech_reading *out, struct ech_err *err)
{
    const char *prefix = w->options->prefix;
    if (!prefix || !*prefix)
        return ech_writing_read(w, text, bytes, bare, false, most, out, err);
    struct ech_str joined;
    ech_str_init(&joined);
    ech_str_adds(&joined, prefix);
    ech_str_add(&joined, text, bytes);
    int code = ech_str_check(&joined, err);
    if (code == ECH_OK)
        code = ech_writing_read(w, joined.data, joined.length, bare, false, most, out, err);
    ech_str_fini(&joined);
    return code;
}

void ech_reading_fini(struct ech_reading *reading)
{
    ech_free(reading->ids);
    ech_free(reading->why);
}

int ech_writing_text(struct ech_writing *w, const struct ech_written *written, struct ech_decoded *out,
                     struct ech_err *err)
{
    return ech_tokenizer_decode(w->output, w->decoding, written->ids, written->count, true, out, err);
}

int ech_cell_text(struct ech_block *block, int column, const char *text, size_t bytes, struct ech_err *err)
{
    return ech_cells_add(&block->columns[column], bytes ? text : "", bytes, err);
}

int ech_cell_numbers(struct ech_block *block, int column, const double *values, int64_t count,
                     struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    ech_str_addc(&text, '[');
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            ech_str_addf(&text, "%s%.6f", i ? "," : "", values[i]);
        else
            ech_str_adds(&text, i ? ",null" : "null");
    ech_str_addc(&text, ']');
    int code = ech_str_check(&text, err);
    if (code == ECH_OK)
        code = ech_cell_text(block, column, text.data, text.length, err);
    ech_str_fini(&text);
    return code;
}
