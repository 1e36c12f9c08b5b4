/* Heads of encoders: see heads.h. Computing them is in head.c. */
#include "model/heads.h"

#include "base/mem.h"
#include "model/spec_read.h"

#include <stdio.h>

enum { CLASSES_MOST = 1 << 20 };

#define NAMES(slot, name)                                                                                    \
    [ECH_T_##slot##_W - ECH_T_POOL_W] = name ".weight", [ECH_T_##slot##_B - ECH_T_POOL_W] = "?" name ".bias"

static const struct ech_head_names inner_pooler = {{NAMES(POOL, "pooler.dense")}},
                                   albert_pooler = {{NAMES(POOL, "pooler")}},
                                   on_inner = {{NAMES(POOL, "pooler.dense"), NAMES(CLASS, "/classifier")}},
                                   on_albert = {{NAMES(POOL, "pooler"), NAMES(CLASS, "/classifier")}},
                                   on_outer = {{NAMES(POOL, "/pooler.dense"), NAMES(CLASS, "/classifier")}},
                                   own_dense = {{NAMES(POOL, "/classifier.dense"),
                                                 NAMES(CLASS, "/classifier.out_proj")}},
                                   distil = {{NAMES(POOL, "/pre_classifier"), NAMES(CLASS, "/classifier")}},
                                   modern = {{NAMES(POOL, "/head.dense"), NAMES(POOLNORM, "/head.norm"),
                                              NAMES(CLASS, "/classifier")}},
                                   tokens = {{NAMES(CLASS, "/classifier")}};

/* What each type of model puts behind its layers. */
static const struct row {
    const char *type;
    const struct ech_head_names *pooler, *classes; /* NULL: none */
    enum ech_act act;                              /* of the dense layer before the classes */
    const char *act_key;                           /* where the config may say another */
} rows[] = {
    {"bert", &inner_pooler, &on_inner, ECH_ACT_TANH, NULL},
    {"albert", &albert_pooler, &on_albert, ECH_ACT_TANH, NULL},
    {"roberta", &inner_pooler, &own_dense, ECH_ACT_TANH, NULL},
    {"xlm-roberta", &inner_pooler, &own_dense, ECH_ACT_TANH, NULL},
    {"camembert", &inner_pooler, &own_dense, ECH_ACT_TANH, NULL},
    {"mpnet", &inner_pooler, &own_dense, ECH_ACT_TANH, NULL},
    {"electra", NULL, &own_dense, ECH_ACT_GELU, NULL},
    {"distilbert", NULL, &distil, ECH_ACT_RELU, NULL},
    {"deberta-v2", NULL, &on_outer, ECH_ACT_GELU, "pooler_hidden_act"},
    {"modernbert", NULL, &modern, ECH_ACT_GELU, "classifier_activation"},
};

static const struct row *row_of(const struct ech_spec *s)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ech_spec_is(s, rows[i].type))
            return &rows[i];
    return NULL;
}

int ech_spec_read_pooler(const char *path, struct ech_spec *s, struct ech_err *err)
{
    const struct row *row = row_of(s);
    if (!row || !row->pooler)
        return ech_fail(err, ECH_CONFIG, "%s: models of type %s have no pooler that is known here", path,
                        s->model_type);
    s->head = ECH_HEAD_POOLER;
    s->head_names = row->pooler;
    s->pool = ECH_POOL_CLS;
    s->pool_act = ECH_ACT_TANH;
    s->pool_dense = true;
    return ECH_OK;
}

/* --- which head --- */

static bool ends_with(const char *text, const char *end)
{
    size_t all = strlen(text), tail = strlen(end);
    return all >= tail && strcmp(text + all - tail, end) == 0;
}

static int choose_head(const char *path, const json_t *config, struct ech_spec *s, struct ech_err *err)
{
    const char *class = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    const struct row *row = row_of(s);
    if (class && ends_with(class, "ForSequenceClassification"))
        s->head = ECH_HEAD_CLASSES;
    else if (class && ends_with(class, "ForTokenClassification"))
        s->head = ECH_HEAD_TOKEN_CLASSES;
    else
        return ech_fail(err, ECH_DATA,
                        "%s: \"architectures\" says %.80s: a model ...ForSequenceClassification or "
                        "...ForTokenClassification was expected",
                        path, class ? class : "nothing");
    if (!row)
        return ech_fail(err, ECH_DATA, "%s: the head of %.80s is not supported", path, class);
    bool each = s->head == ECH_HEAD_TOKEN_CLASSES;
    s->pool_norm = row->classes == &modern;
    s->pool_dense = !each || s->pool_norm;
    s->head_names = each && !s->pool_norm ? &tokens : row->classes;
    s->pool = ECH_POOL_CLS;
    s->pool_act = row->act;
    return ECH_OK;
}

/* What the config says of the head itself. */
static int read_settings(const char *path, const json_t *config, struct ech_spec *s, struct ech_err *err)
{
    const struct row *row = row_of(s);
    const char *pooling = "cls";
    struct ech_spec other = {0};
    int code = ECH_OK;
    if (row->act_key && json_object_get(config, row->act_key)) {
        code = ech_spec_act(config, path, row->act_key, "gelu", &other, err);
        s->pool_act = other.act;
    }
    if (code == ECH_OK && s->pool_norm)
        code = ech_json_get_str(config, path, "classifier_pooling", false, &pooling, err);
    if (code == ECH_OK && strcmp(pooling, "mean") == 0)
        s->pool = ECH_POOL_MEAN;
    else if (code == ECH_OK && strcmp(pooling, "cls") != 0)
        code = ech_fail(err, ECH_DATA, "%s: classifier_pooling \"%.60s\" is not supported (known: cls, mean)",
                        path, pooling);
    return code;
}

/* --- labels --- */

static int read_label(const char *path, const json_t *names, int64_t i, char **out, struct ech_err *err)
{
    char key[32];
    snprintf(key, sizeof key, "%lld", (long long)i);
    const json_t *name = json_object_get(names, key);
    if (!json_is_string(name))
        return ech_fail(err, ECH_DATA, "%s: id2label has no text for label %s of %zu", path, key,
                        json_object_size(names));
    *out = ech_strdup(json_string_value(name), err);
    return *out ? ECH_OK : ECH_UNAVAILABLE;
}

/* Without names they are LABEL_0 and so on, two where no number is given either. */
static int read_labels(const char *path, const json_t *config, struct ech_labels *out, struct ech_err *err)
{
    const json_t *names = json_object_get(config, "id2label");
    bool named = json_is_object(names);
    int64_t count = named ? (int64_t)json_object_size(names) : 2;
    int code = ECH_OK;
    if (names && !named && !json_is_null(names))
        return ech_fail(err, ECH_DATA, "%s: id2label is not an object", path);
    if (!named)
        code = ech_json_get_int(config, path, "num_labels", false, &count, err);
    if (code == ECH_OK && (count < 1 || count > CLASSES_MOST))
        code = ech_fail(err, ECH_DATA, "%s: %lld labels, 1 to %d were expected", path, (long long)count,
                        CLASSES_MOST);
    if (code == ECH_OK && !(out->names = ech_calloc((size_t)count, sizeof *out->names, err)))
        code = ECH_UNAVAILABLE;
    for (; code == ECH_OK && out->count < count; out->count++) {
        char **to = &out->names[out->count];
        if (named)
            code = read_label(path, names, out->count, to, err);
        else if (!(*to = ech_sprintf(err, "LABEL_%lld", (long long)out->count)))
            code = ECH_UNAVAILABLE;
    }
    return code;
}

/* --- scores --- */

/* What a cross-encoder was saved with: the class of a torch module. */
static int read_module(const char *path, const char *name, enum ech_class_act *out, struct ech_err *err)
{
    if (ends_with(name, ".Identity"))
        *out = ECH_CLASS_NONE;
    else if (ends_with(name, ".Sigmoid"))
        *out = ECH_CLASS_SIGMOID;
    else
        return ech_fail(err, ECH_DATA,
                        "%s: the activation %.100s of the scores is not supported (known: Identity, Sigmoid)",
                        path, name);
    return ECH_OK;
}

static int read_problem(const char *path, const char *type, enum ech_class_act *out, struct ech_err *err)
{
    static const struct {
        const char *name;
        enum ech_class_act act;
    } known[] = {{"regression", ECH_CLASS_NONE},
                 {"single_label_classification", ECH_CLASS_SOFTMAX},
                 {"multi_label_classification", ECH_CLASS_SIGMOID}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, type) == 0) {
            *out = known[i].act;
            return ECH_OK;
        }
    return ech_fail(err, ECH_DATA,
                    "%s: problem_type \"%.60s\" is not supported (known: regression, "
                    "single_label_classification, multi_label_classification)",
                    path, type);
}

static int read_act(const char *path, const json_t *config, struct ech_labels *out, struct ech_err *err)
{
    const json_t *saved = json_object_get(json_object_get(config, "sentence_transformers"), "activation_fn");
    const json_t *older = json_object_get(config, "sbert_ce_default_activation_function");
    const char *module = json_string_value(saved ? saved : older);
    const char *problem = json_string_value(json_object_get(config, "problem_type"));
    out->act = out->count == 1 ? ECH_CLASS_SIGMOID : ECH_CLASS_SOFTMAX;
    if (out->tokens)
        out->act = ECH_CLASS_SOFTMAX;
    else if (module)
        return read_module(path, module, &out->act, err);
    else if (problem)
        return read_problem(path, problem, &out->act, err);
    return ECH_OK;
}

int ech_spec_read_classes(const char *path, const json_t *config, struct ech_spec *s, struct ech_labels *out,
                          struct ech_err *err)
{
    struct ech_labels labels = {0};
    int code = choose_head(path, config, s, err);
    if (code == ECH_OK)
        code = read_settings(path, config, s, err);
    labels.tokens = s->head == ECH_HEAD_TOKEN_CLASSES;
    if (code == ECH_OK)
        code = read_labels(path, config, &labels, err);
    if (code == ECH_OK)
        code = read_act(path, config, &labels, err);
    if (code != ECH_OK) {
        ech_labels_fini(&labels);
        return code;
    }
    s->classes = labels.count;
    *out = labels;
    return ECH_OK;
}

void ech_labels_fini(struct ech_labels *labels)
{
    for (int64_t i = 0; i < labels->count; i++)
        ech_free(labels->names[i]);
    ech_free(labels->names);
    *labels = (struct ech_labels){0};
}
