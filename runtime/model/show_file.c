/* The page of a model file of any format, and reading all of it: see show.h. */
#include "model/show_impl.h"
#include "model/summary.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK = 16384, /* elements read at once; whole blocks of any type */
    TOKENS = 512,
    MOST_TOKENS = 4096, /* where none are asked for, as jobs do */
    VALUE = 4           /* bytes of a cached value; the other choice is bf16 */
};

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
    if (s->vocab)
        ech_str_addf(out, "\nvocabulary     %lld", (long long)s->vocab);
    ech_str_adds(out, "\n");
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

/* What decoding takes: as the language model plans it, or where there is none as the sizes in the file say.
 */
struct needs {
    int64_t batch, tokens, cache, packed, work; /* cache in f32 */
};

static struct needs needs_of(const struct ech_summary *s, const struct ech_lm *lm,
                             const struct ech_show_options *o)
{
    int64_t usual = s->context ? ech_min64(s->context, MOST_TOKENS) : TOKENS;
    struct needs n = {.batch = o->batch ? o->batch : 1, .tokens = o->tokens ? o->tokens : usual};
    n.cache = ech_summary_cache_bytes(s, n.batch, n.tokens, VALUE);
    if (lm) {
        n.tokens = ech_lm_context(lm);
        n.cache = (int64_t)ech_lm_cache_bytes(lm);
        n.packed = (int64_t)ech_lm_packed_bytes(lm);
        n.work = (int64_t)ech_lm_workspace_bytes(lm) - n.cache;
    }
    return n;
}

static void put_context(const struct ech_summary *s, struct ech_str *out)
{
    char text[32];
    if (!s->context) {
        ech_str_adds(out, "context        not bounded by the file\n");
        return;
    }
    ech_str_addf(out, "context        %s tokens", ech_print_count(s->context, text, sizeof text));
    if (s->local_layers)
        ech_str_addf(out, "; %lld layers see %lld", (long long)s->local_layers, (long long)s->window);
    ech_str_adds(out, "\n");
}

static void put_memory(const struct ech_summary *s, const struct ech_lm *lm, const struct ech_show_options *o,
                       struct ech_str *out)
{
    char a[32], b[32], c[32];
    struct needs n = needs_of(s, lm, o);
    ech_str_addf(out, "memory         %s of weights", ech_print_bytes(s->bytes, a, sizeof a));
    if (lm && ech_lm_in_place(lm))
        ech_str_addf(out, ", mapped once a node, %s packed beside them",
                     ech_print_bytes(n.packed, a, sizeof a));
    else if (lm)
        ech_str_addf(out, " in the files, %s packed once a node", ech_print_bytes(n.packed, a, sizeof a));
    ech_str_adds(out, "\n");
    if (!s->generates || !s->decoder_layers)
        return;
    ech_str_addf(out, "               %s of cache in f32 (half in bf16) for %lld %s of %s tokens",
                 ech_print_bytes(n.cache, a, sizeof a), (long long)n.batch, n.batch == 1 ? "row" : "rows",
                 ech_print_count(n.tokens, b, sizeof b));
    if (lm)
        ech_str_addf(out, ", %s to compute in (%s)", ech_print_bytes(n.work, c, sizeof c),
                     ech_lm_backend(lm));
    ech_str_adds(out, ", each rank\n");
}

static int64_t size_of(const struct ech_weights *w, const char *name)
{
    char *path = ech_path_join(ech_weights_folder(w), name, NULL);
    int64_t bytes = path ? ech_file_size(path, NULL) : -1;
    ech_free(path);
    return bytes;
}

static int put_text(const struct ech_weights *w, const struct ech_lm *lm, const char *path,
                    const struct ech_show_options *o, struct ech_str *out, struct ech_err *err)
{
    struct ech_summary s;
    char a[32];
    ech_summary_read(w, &s);
    ech_str_addf(out, "model          %s\nformat         %s\n", path, ech_weights_format(w));
    put_architecture(&s, out);
    ech_str_addf(out, "parameters     %s in %lld tensors\n", ech_print_count(s.parameters, a, sizeof a),
                 (long long)ech_weights_count(w));
    put_precision(&s, out);
    if (lm)
        ech_str_addf(out, "computes       %s (%s)\n", ech_lm_precision(lm), ech_lm_numerics(lm));
    ech_str_adds(out, "tokenizer      ");
    ech_show_tokenizer(w, out);
    ech_str_adds(out, "\n");
    put_context(&s, out);
    put_memory(&s, lm, o, out);
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

static int put_json(const struct ech_weights *w, const struct ech_lm *lm, const char *path,
                    const struct ech_show_options *o, struct ech_str *out, struct ech_err *err)
{
    struct ech_summary s;
    struct ech_str tokenizer;
    ech_summary_read(w, &s);
    struct needs n = needs_of(&s, lm, o);
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
                {"batch", n.batch},
                {"tokens", n.tokens},
                {"cache_bytes_f32", n.cache},
                {"cache_bytes_bf16", n.cache / 2},
                {"packed_bytes", n.packed},
                {"workspace_bytes", n.work}};
    ech_json_add_str(out, "model", path);
    ech_json_add_str(out, "format", ech_weights_format(w));
    ech_json_add_str(out, "architecture", s.type);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        ech_json_add_int(out, ints[i].key, ints[i].value);
    ech_str_init(&tokenizer);
    ech_show_tokenizer(w, &tokenizer);
    ech_json_add_bool(out, "weights_in_place", lm && ech_lm_in_place(lm));
    if (lm)
        ech_json_add_str(out, "numerics", ech_lm_numerics(lm));
    ech_json_add_str(out, "tokenizer", tokenizer.data ? tokenizer.data : "");
    put_json_types(&s, out);
    put_json_files(w, out);
    int code = ech_str_check(&tokenizer, err);
    ech_str_fini(&tokenizer);
    return code == ECH_OK ? ech_str_check(out, err) : code;
}

int ech_show_file(const struct ech_weights *w, const struct ech_lm *lm, const char *path,
                  const struct ech_show_options *o, struct ech_str *out, struct ech_err *err)
{
    return o->json ? put_json(w, lm, path, o, out, err) : put_text(w, lm, path, o, out, err);
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

int ech_check_values(const struct ech_weights *w, struct ech_str *out, struct ech_err *err)
{
    int64_t wrong;
    int code = check_all(w, &wrong, out, err);
    if (code == ECH_OK && wrong)
        code = ech_fail(err, ECH_DATA, "%lld of %lld tensors hold values that are not finite",
                        (long long)wrong, (long long)ech_weights_count(w));
    return code;
}

void ech_check_passed(const struct ech_weights *w, bool tokenizer, int64_t tokens, struct ech_str *out)
{
    struct ech_summary s;
    char text[32];
    ech_summary_read(w, &s);
    ech_str_addf(out, "ok: %lld tensors, %s, all finite; a %s model of ", (long long)ech_weights_count(w),
                 ech_print_bytes(s.bytes, text, sizeof text), s.type[0] ? s.type : "(not stated)");
    put_layers(&s, out);
    ech_str_addf(out, ", %s", tokenizer ? "with its tokenizer" : "without a tokenizer");
    if (tokens)
        ech_str_addf(out, " of %s tokens", ech_print_count(tokens, text, sizeof text));
    ech_str_adds(out, "\n");
}
