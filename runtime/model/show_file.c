/* The page of a model file of any format, and reading all of it: see show.h. */
#include "model/show_impl.h"
#include "model/summary.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "text/vocab_source.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCK = 16384, /* elements read at once; whole blocks of any type */
    TOKENS = 512,  /* where the file bounds none and none are asked for */
    VALUE = 4      /* bytes of a cached value; the other choice is bf16 */
};

/* The first file of a tokenizer that lies beside the model; NULL: none. */
static const char *tokenizer_file(const struct ech_weights *w)
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer.model",
                                        "vocab.txt",
                                        "sentencepiece.bpe.model",
                                        "spiece.model",
                                        "source.spm",
                                        "shared_vocabulary.json",
                                        "shared_vocabulary.txt",
                                        "source_vocabulary.json",
                                        "source_vocabulary.txt",
                                        "vocabulary.json",
                                        "vocabulary.txt",
                                        "vocab.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", ech_weights_folder(w), names[i]);
        if (ech_path_exists(path))
            return names[i];
    }
    return NULL;
}

bool ech_show_has_tokenizer(const struct ech_weights *w)
{
    return ech_weights_vocab(w) || tokenizer_file(w);
}

static void put_tokenizer(const struct ech_weights *w, struct ech_str *out)
{
    const struct ech_vocab_source *vocab = ech_weights_vocab(w);
    const char *file = tokenizer_file(w);
    char count[32];
    if (vocab)
        ech_str_addf(out, "in the file: %s%s%s, %s tokens", vocab->model, vocab->pre ? ", " : "",
                     vocab->pre ? vocab->pre : "",
                     ech_print_count((int64_t)vocab->count, count, sizeof count));
    else
        ech_str_adds(out, file ? file : "none");
}

static void put_layers(const struct ech_summary *s, struct ech_str *out)
{
    if (s->encoder_decoder)
        ech_str_addf(out, "%lld + %lld layers", (long long)s->encoder_layers, (long long)s->decoder_layers);
    else
        ech_str_addf(out, "%lld layers", (long long)(s->encoder_layers + s->decoder_layers));
}

static void put_architecture(const struct ech_summary *s, struct ech_str *out)
{
    ech_str_addf(out, "architecture   %s", s->type[0] ? s->type : "not stated");
    if (!s->hidden) {
        ech_str_adds(out, "\n");
        return;
    }
    ech_str_adds(out, ": ");
    put_layers(s, out);
    ech_str_addf(out, ", hidden %lld, %lld heads of %lld", (long long)s->hidden, (long long)s->heads,
                 (long long)s->head_dim);
    if (s->generates && s->kv_heads != s->heads)
        ech_str_addf(out, " on %lld of keys", (long long)s->kv_heads);
    if (s->intermediate)
        ech_str_addf(out, ", intermediate %lld", (long long)s->intermediate);
    if (s->experts)
        ech_str_addf(out, ", %lld of %lld experts", (long long)s->experts_used, (long long)s->experts);
    if (s->state_values)
        ech_str_adds(out, ", recurrent decoder (SSRU)");
    ech_str_addf(out, "\nvocabulary     %lld\n", (long long)s->vocab);
}

/* One line a stored type. */
static void put_precision(const struct ech_summary *s, struct ech_str *out)
{
    const char *lead = "precision     ";
    char text[32];
    for (int type = 0; type < ECH_STYPES; type++)
        if (s->counts[type]) {
            ech_str_addf(out, "%s %-7s %5lld tensors  %s\n", lead, ech_stype_name((enum ech_stype)type),
                         (long long)s->counts[type], ech_print_bytes(s->type_bytes[type], text, sizeof text));
            lead = "              ";
        }
}

static int64_t tokens_of(const struct ech_summary *s, const struct ech_show_options *o)
{
    return o->tokens ? o->tokens : s->context ? s->context : TOKENS;
}

static void put_memory(const struct ech_summary *s, const struct ech_show_options *o, struct ech_str *out)
{
    char a[32], b[32], c[32];
    int64_t batch = o->batch ? o->batch : 1, tokens = tokens_of(s, o);
    if (s->context) {
        ech_str_addf(out, "context        %s tokens", ech_print_count(s->context, a, sizeof a));
        if (s->local_layers)
            ech_str_addf(out, "; %lld layers see %lld", (long long)s->local_layers, (long long)s->window);
        ech_str_adds(out, "\n");
    } else
        ech_str_adds(out, "context        not bounded by the file\n");
    ech_str_addf(out, "memory         %s of weights, mapped once a node",
                 ech_print_bytes(s->bytes, a, sizeof a));
    if (s->generates && s->decoder_layers)
        ech_str_addf(out, "; %s of cache in f32, %s in bf16, for %lld %s of %s tokens",
                     ech_print_bytes(ech_summary_cache_bytes(s, batch, tokens, VALUE), a, sizeof a),
                     ech_print_bytes(ech_summary_cache_bytes(s, batch, tokens, VALUE / 2), b, sizeof b),
                     (long long)batch, batch == 1 ? "row" : "rows", ech_print_count(tokens, c, sizeof c));
    ech_str_adds(out, "\n");
}

static int64_t size_of(const struct ech_weights *w, const char *name)
{
    char *path = ech_path_join(ech_weights_folder(w), name, NULL);
    int64_t bytes = path ? ech_file_size(path, NULL) : -1;
    ech_free(path);
    return bytes;
}

static int put_text(const struct ech_weights *w, const char *path, const struct ech_show_options *o,
                    struct ech_str *out, struct ech_err *err)
{
    struct ech_summary s;
    char a[32];
    ech_summary_read(w, &s);
    ech_str_addf(out, "model          %s\nformat         %s\n", path, ech_weights_format(w));
    put_architecture(&s, out);
    ech_str_addf(out, "parameters     %s in %lld tensors\n", ech_print_count(s.parameters, a, sizeof a),
                 (long long)ech_weights_count(w));
    put_precision(&s, out);
    ech_str_adds(out, "tokenizer      ");
    put_tokenizer(w, out);
    ech_str_adds(out, "\n");
    put_memory(&s, o, out);
    ech_str_adds(out, "files\n");
    for (const char *const *f = ech_weights_files(w); *f; f++)
        ech_str_addf(out, "  %-40s %s\n", *f, ech_print_bytes(ech_max64(size_of(w, *f), 0), a, sizeof a));
    return ech_str_check(out, err);
}

static void put_json_types(const struct ech_summary *s, struct ech_str *out)
{
    const char *gap = "";
    ech_json_key(out, "stored_types");
    ech_str_addc(out, '{');
    for (int type = 0; type < ECH_STYPES; type++)
        if (s->counts[type]) {
            ech_str_addf(out, "%s\"%s\":{\"tensors\":%lld,\"bytes\":%lld}", gap,
                         ech_stype_name((enum ech_stype)type), (long long)s->counts[type],
                         (long long)s->type_bytes[type]);
            gap = ",";
        }
    ech_str_addc(out, '}');
}

static void put_json_files(const struct ech_weights *w, struct ech_str *out)
{
    const char *gap = "";
    ech_json_key(out, "files");
    ech_str_addc(out, '[');
    for (const char *const *f = ech_weights_files(w); *f; f++) {
        ech_str_addf(out, "%s{\"name\":", gap);
        ech_json_put_str(out, *f, strlen(*f));
        ech_str_addf(out, ",\"bytes\":%lld}", (long long)ech_max64(size_of(w, *f), 0));
        gap = ",";
    }
    ech_str_adds(out, "]}\n");
}

static int put_json(const struct ech_weights *w, const char *path, const struct ech_show_options *o,
                    struct ech_str *out, struct ech_err *err)
{
    struct ech_summary s;
    struct ech_str tokenizer;
    ech_summary_read(w, &s);
    int64_t batch = o->batch ? o->batch : 1, tokens = tokens_of(&s, o);
    const struct {
        const char *key;
        int64_t value;
    } ints[] = {{"parameters", s.parameters},
                {"tensors", ech_weights_count(w)},
                {"encoder_layers", s.encoder_layers},
                {"decoder_layers", s.decoder_layers},
                {"hidden", s.hidden},
                {"heads", s.heads},
                {"kv_heads", s.kv_heads},
                {"head_dim", s.head_dim},
                {"intermediate", s.intermediate},
                {"experts", s.experts},
                {"vocabulary", s.vocab},
                {"context", s.context},
                {"window", s.window},
                {"local_layers", s.local_layers},
                {"weights_bytes", s.bytes},
                {"batch", batch},
                {"tokens", tokens},
                {"cache_bytes_f32", ech_summary_cache_bytes(&s, batch, tokens, VALUE)},
                {"cache_bytes_bf16", ech_summary_cache_bytes(&s, batch, tokens, VALUE / 2)}};
    ech_json_add_str(out, "model", path);
    ech_json_add_str(out, "format", ech_weights_format(w));
    ech_json_add_str(out, "architecture", s.type);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        ech_json_add_int(out, ints[i].key, ints[i].value);
    ech_str_init(&tokenizer);
    put_tokenizer(w, &tokenizer);
    ech_json_add_str(out, "tokenizer", tokenizer.data ? tokenizer.data : "");
    put_json_types(&s, out);
    put_json_files(w, out);
    int code = ech_str_check(&tokenizer, err);
    ech_str_fini(&tokenizer);
    return code == ECH_OK ? ech_str_check(out, err) : code;
}

int ech_show_file(const struct ech_weights *w, const char *path, const struct ech_show_options *o,
                  struct ech_str *out, struct ech_err *err)
{
    return o->json ? put_json(w, path, o, out, err) : put_text(w, path, o, out, err);
}

/* Values that are not finite, the first of them at *where. */
static int count_bad(const struct ech_tensor *t, float *block, int64_t *bad, int64_t *where,
                     struct ech_err *err)
{
    *bad = 0;
    for (int64_t at = 0; at < t->elements; at += BLOCK) {
        int64_t count = ech_min64(BLOCK, t->elements - at);
        int code = ech_tensor_to_f32(t, at, count, block, err);
        if (code != ECH_OK)
            return code;
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(block[i]) && (*bad)++ == 0)
                *where = at + i;
    }
    return ECH_OK;
}

/* Types that are not computed with are only read, so that an unreadable page shows here. */
static void touch(const struct ech_tensor *t)
{
    const volatile unsigned char *data = t->data;
    for (size_t i = 0; i < t->bytes; i++)
        (void)data[i];
}

static int check_all(const struct ech_weights *w, int64_t *wrong, struct ech_str *out, struct ech_err *err)
{
    float *block = ech_alloc_aligned(BLOCK * sizeof *block, err);
    int code = block ? ECH_OK : ECH_UNAVAILABLE;
    *wrong = 0;
    for (int64_t i = 0; code == ECH_OK && i < ech_weights_count(w); i++) {
        const struct ech_tensor *t = ech_weights_at(w, i);
        int64_t bad = 0, where = 0;
        if (!ech_tensor_decodes(t)) {
            touch(t);
            continue;
        }
        code = count_bad(t, block, &bad, &where, err);
        if (bad)
            ech_str_addf(out,
                         "%s: tensor %s: %lld of %lld values are not finite, the first is element %lld\n",
                         ech_weights_path(w, t->file), t->name, (long long)bad, (long long)t->elements,
                         (long long)where);
        *wrong += bad > 0;
    }
    ech_free(block);
    return code == ECH_OK ? ech_weights_check(w, err) : code;
}

int ech_check_file(const struct ech_weights *w, bool tokenizer, struct ech_str *out, struct ech_err *err)
{
    struct ech_summary s;
    int64_t wrong;
    char text[32];
    ech_summary_read(w, &s);
    int code = check_all(w, &wrong, out, err);
    if (code != ECH_OK)
        return code;
    if (wrong)
        return ech_fail(err, ECH_DATA, "%lld of %lld tensors hold values that are not finite",
                        (long long)wrong, (long long)ech_weights_count(w));
    ech_str_addf(out, "ok: %lld tensors, %s, all finite; a %s model of ", (long long)ech_weights_count(w),
                 ech_print_bytes(s.bytes, text, sizeof text), s.type[0] ? s.type : "(not stated)");
    put_layers(&s, out);
    ech_str_addf(out, ", %s\n", tokenizer ? "with its tokenizer" : "without a tokenizer");
    return ECH_OK;
}
