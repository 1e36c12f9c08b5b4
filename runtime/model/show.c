/* What a model is: see show.h. Here what the engine says of a sentence encoder; show_file.c: any file. */
#include "model/show_impl.h"

#include "base/json.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/engine_impl.h"
#include "model/summary.h"

#include <string.h>

static int load(const char *path, const struct ech_show_options *asked, struct ech_engine **out,
                struct ech_err *err)
{
    struct ech_engine_options options = {
        .model = path, .backend = "auto", .threads = 1, .max_tokens = asked->tokens};
    if (asked->batch)
        options.microbatch_tokens = asked->batch * (asked->tokens ? asked->tokens : 1);
    /* With its head of classes, where it has one that is known. */
    options.classes = true;
    if (ech_engine_load(&options, out, NULL) == ECH_OK)
        return ECH_OK;
    options.classes = false;
    return ech_engine_load(&options, out, err);
}

/* The first few names. */
static void put_labels(const struct ech_labels *labels, struct ech_str *out)
{
    enum { FEW = 6 };
    char count[32];
    ech_str_addf(out, "labels         %s of each %s (kind classify): ",
                 ech_print_count(labels->count, count, sizeof count), labels->tokens ? "token" : "row");
    for (int64_t i = 0; i < labels->count && i < FEW; i++)
        ech_str_addf(out, "%s%s", i ? ", " : "", labels->names[i]);
    ech_str_adds(out, labels->count > FEW ? ", ...\n" : "\n");
}

static const char *pooling_name(const struct ech_engine *e)
{
    static const char *const names[] = {
        [ECH_POOL_MEAN] = "mean", [ECH_POOL_CLS] = "cls", [ECH_POOL_MAX] = "max"};
    return names[e->net.pooling];
}

/* Weights that computing uses; the file may hold more (heads, poolers). */
static int64_t used_parameters(const struct ech_engine *e, int64_t *tensors)
{
    int64_t sets = e->net.spec.groups ? e->net.spec.groups : e->net.spec.layers, total = 0;
    *tensors = 0;
    for (int64_t i = 0; i < ECH_T_LAYER + sets * ECH_T_PER_LAYER; i++)
        if (e->bound.tensors[i]) {
            total += e->bound.tensors[i]->elements;
            ++*tensors;
        }
    return total;
}

/* "F32 103, F16 2": tensors by stored type. */
static void put_types(const struct ech_engine *e, struct ech_str *out)
{
    int64_t counts[ECH_STYPES] = {0};
    const char *gap = "";
    for (int64_t i = 0; i < ech_weights_count(e->weights); i++)
        counts[ech_weights_at(e->weights, i)->dtype]++;
    for (int type = 0; type < ECH_STYPES; type++)
        if (counts[type]) {
            ech_str_addf(out, "%s%s %lld", gap, ech_stype_name((enum ech_stype)type),
                         (long long)counts[type]);
            gap = ", ";
        }
}

/* Of a file of the model: in the folder that is named, or of an adapter in its base. */
static int64_t file_bytes(const struct ech_engine *e, const char *folder, const char *name,
                          struct ech_err *err)
{
    char *path = ech_path_join(folder, name, err);
    if (path && !ech_path_exists(path)) {
        ech_free(path);
        path = ech_path_join(ech_weights_folder(e->weights), name, err);
    }
    int64_t bytes = path ? ech_file_size(path, err) : -1;
    ech_free(path);
    return bytes;
}

static int put_text(const struct ech_engine *e, const char *path, struct ech_str *out, struct ech_err *err)
{
    const struct ech_spec *s = &e->net.spec;
    int64_t tensors, used = used_parameters(e, &tensors);
    char a[32], b[32];
    ech_str_addf(out, "model          %s\n", path);
    ech_str_addf(out, "architecture   %s: %lld layers, hidden %lld, %lld heads of %lld, intermediate %lld\n",
                 s->model_type, (long long)s->layers, (long long)s->hidden, (long long)s->heads,
                 (long long)s->head_dim, (long long)s->intermediate);
    ech_str_addf(out, "parameters     %s in %lld tensors used, of %lld in the files (",
                 ech_print_count(used, a, sizeof a), (long long)tensors,
                 (long long)ech_weights_count(e->weights));
    put_types(e, out);
    ech_str_addf(out, ")\nvocabulary     %s\n", ech_print_count(s->vocab, a, sizeof a));
    ech_str_addf(out, "tokenizer      %s\n", e->tokenizer ? ech_tokenizer_files(e->tokenizer)[0] : "none");
    ech_str_addf(out, "max tokens     %lld (the positions end at %lld)\n", (long long)e->max_tokens,
                 (long long)ech_spec_max_tokens(s));
    ech_str_addf(out, "output         %lld values, %s pooling%s\n", (long long)s->hidden, pooling_name(e),
                 e->net.normalize ? ", normalised" : "");
    if (e->labels.count)
        put_labels(&e->labels, out);
    ech_str_addf(out, "memory         %s packed, %s a thread at micro-batches of %lld tokens (%s)\n",
                 ech_print_bytes((int64_t)ech_engine_packed_bytes(e), a, sizeof a),
                 ech_print_bytes((int64_t)ech_engine_workspace_bytes(e), b, sizeof b),
                 (long long)e->microbatch, e->net.ops->name);
    ech_str_adds(out, "files\n");
    for (const char *const *f = ech_engine_files(e); *f; f++) {
        int64_t bytes = file_bytes(e, path, *f, err);
        if (bytes < 0)
            return err ? err->code : ECH_NOINPUT;
        ech_str_addf(out, "  %-40s %s\n", *f, ech_print_bytes(bytes, a, sizeof a));
    }
    return ECH_OK;
}

static int put_json(const struct ech_engine *e, const char *path, struct ech_str *out, struct ech_err *err)
{
    const struct ech_spec *s = &e->net.spec;
    int64_t tensors, used = used_parameters(e, &tensors);
    struct ech_str types;
    ech_str_init(&types);
    put_types(e, &types);
    ech_json_add_str(out, "model", path);
    ech_json_add_str(out, "architecture", s->model_type);
    ech_json_add_int(out, "parameters", used);
    ech_json_add_int(out, "layers", s->layers);
    ech_json_add_int(out, "hidden", s->hidden);
    ech_json_add_int(out, "heads", s->heads);
    ech_json_add_int(out, "intermediate", s->intermediate);
    ech_json_add_int(out, "vocabulary", s->vocab);
    ech_json_add_int(out, "max_tokens", e->max_tokens);
    ech_json_add_int(out, "positions", ech_spec_max_tokens(s));
    ech_json_add_str(out, "pooling", pooling_name(e));
    ech_json_add_bool(out, "normalize", e->net.normalize);
    ech_json_add_int(out, "labels", e->labels.count);
    ech_json_add_bool(out, "labels_of_tokens", e->labels.tokens);
    ech_json_add_bool(out, "tokenizer", e->tokenizer != NULL);
    ech_json_add_str(out, "stored_types", types.data ? types.data : "");
    ech_json_add_int(out, "packed_bytes", (int64_t)ech_engine_packed_bytes(e));
    ech_json_add_int(out, "workspace_bytes", (int64_t)ech_engine_workspace_bytes(e));
    ech_json_add_int(out, "microbatch_tokens", e->microbatch);
    ech_json_add_str(out, "backend", e->net.ops->name);
    ech_json_add_str(out, "numerics", ech_engine_numerics(e));
    ech_json_key(out, "files");
    ech_str_addc(out, '[');
    int code = ech_str_check(&types, err);
    for (const char *const *f = ech_engine_files(e); code == ECH_OK && *f; f++) {
        int64_t bytes = file_bytes(e, path, *f, err);
        code = bytes < 0 ? (err ? err->code : ECH_NOINPUT) : ECH_OK;
        ech_str_adds(out, f == ech_engine_files(e) ? "{\"name\":" : ",{\"name\":");
        ech_json_put_str(out, *f, strlen(*f));
        ech_str_addf(out, ",\"bytes\":%lld}", (long long)bytes);
    }
    ech_str_adds(out, "]}\n");
    ech_str_fini(&types);
    return code;
}

static int show_engine(const char *path, const struct ech_show_options *options, struct ech_str *out,
                       struct ech_err *err)
{
    struct ech_engine *e;
    int code = load(path, options, &e, err);
    if (code != ECH_OK)
        return code;
    code = options->json ? put_json(e, path, out, err) : put_text(e, path, out, err);
    ech_engine_close(e);
    return code;
}

/* A sentence encoder lies in a folder of safetensors, perhaps below the folder that is named. */
static bool is_for_engine(const struct ech_weights *w)
{
    struct ech_summary summary;
    ech_summary_read(w, &summary);
    return strcmp(ech_weights_format(w), "safetensors") == 0 && !summary.generates;
}

static int load_lm(const char *path, const struct ech_show_options *asked, struct ech_lm **out,
                   struct ech_err *err)
{
    struct ech_lm_options options = {
        .model = path, .threads = 1, .context = asked->tokens, .sequences = asked->batch};
    return ech_lm_load(&options, out, err);
}

/* The page comes first: it is there also where the model cannot be computed, and then why. */
static int show_weights(const struct ech_weights *w, const char *path, const struct ech_show_options *options,
                        bool generates, struct ech_str *out, struct ech_err *err)
{
    struct ech_lm *lm = NULL;
    struct ech_err why = ECH_ERR_NONE;
    int loaded = generates ? load_lm(path, options, &lm, &why) : ECH_OK;
    int code = ech_show_file(w, lm, path, options, out, err);
    ech_lm_close(lm);
    if (code == ECH_OK && loaded != ECH_OK && err)
        *err = why;
    return code == ECH_OK ? loaded : code;
}

int ech_model_show(const char *path, const struct ech_show_options *options, struct ech_str *out,
                   struct ech_err *err)
{
    struct ech_weights *w;
    struct ech_err found = ECH_ERR_NONE;
    int code = ech_weights_open(path, &w, &found);
    if (code == ECH_NOINPUT)
        return show_engine(path, options, out, err);
    if (code != ECH_OK) {
        if (err)
            *err = found;
        return code;
    }
    struct ech_summary summary;
    ech_summary_read(w, &summary);
    if (!is_for_engine(w))
        code = show_weights(w, path, options, summary.generates, out, err);
    else {
        code = show_engine(path, options, out, err);
        if (code == ECH_DATA && out->length == 0)
            ech_show_file(w, NULL, path, options, out, NULL);
    }
    ech_weights_close(w);
    return code;
}

/* Every value first, so that the file is read whole also where nothing can compute it; then names, shapes and
 * the tokenizer. */
static int check_engine(const struct ech_weights *w, const char *path, struct ech_str *out,
                        struct ech_err *err)
{
    struct ech_engine *e;
    struct ech_show_options none = {0};
    int code = w ? ech_check_values(w, out, err) : ECH_OK;
    if (code == ECH_OK)
        code = load(path, &none, &e, err);
    if (code != ECH_OK)
        return code;
    if (!w)
        code = ech_check_values(e->weights, out, err);
    if (code == ECH_OK)
        ech_check_passed(e->weights, e->tokenizer != NULL,
                         e->tokenizer ? ech_tokenizer_largest_id(e->tokenizer) + 1 : 0, out);
    ech_engine_close(e);
    return code;
}

static int check_weights(const struct ech_weights *w, const char *path, struct ech_str *out,
                         struct ech_err *err)
{
    struct ech_summary summary;
    struct ech_lm *lm = NULL;
    struct ech_show_options none = {0};
    int64_t tokens = 0;
    ech_summary_read(w, &summary);
    int code = ech_check_values(w, out, err);
    if (code == ECH_OK && summary.generates)
        code = load_lm(path, &none, &lm, err);
    ech_lm_close(lm);
    if (code == ECH_OK)
        code = ech_check_tokenizer(w, summary.vocab, &tokens, err);
    if (code == ECH_OK)
        ech_check_passed(w, ech_show_has_tokenizer(w), tokens, out);
    return code;
}

int ech_model_check(const char *path, struct ech_str *out, struct ech_err *err)
{
    struct ech_weights *w;
    struct ech_err found = ECH_ERR_NONE;
    int code = ech_weights_open(path, &w, &found);
    if (code == ECH_NOINPUT)
        return check_engine(NULL, path, out, err);
    if (code != ECH_OK) {
        if (err)
            *err = found;
        return code;
    }
    code = is_for_engine(w) ? check_engine(w, path, out, err) : check_weights(w, path, out, err);
    ech_weights_close(w);
    return code;
}
