/* Rules that join several keys of a job: see state.h. One function a rule. */
#include "config/state.h"

#include "base/io.h"
#include "base/mem.h"
#include "config/each.h"
#include "config/kinds/classify.h"
#include "config/kinds/retrieve.h"
#include "config/kinds/write.h"
#include "config/precision.h"
#include "config/template.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    struct ech_config *config;
    struct ech_job *job;
    struct ech_problems *problems;
    struct ech_err *err;
};

/* Note a problem at the place of a key. */
#define NOTE(c, path, ...)                                                                                   \
    ech_setting_problem(ech_setting_find((c)->config, path), (c)->problems, __VA_ARGS__)

static int check_name(struct check *c)
{
    const char *name = c->job->name;
    size_t length = strlen(name);
    bool good = length > 0 && length <= 100 && (isalnum((unsigned char)name[0]) || name[0] == '_');
    for (size_t i = 0; i < length; i++)
        good = good && (isalnum((unsigned char)name[i]) || memchr("._-", name[i], 3));
    if (!good)
        NOTE(c, "name",
             "name is \"%.60s\": letters, digits, \".\", \"_\" and \"-\" were expected, a letter, "
             "digit or \"_\" first, at most 100",
             name);
    return ECH_OK;
}

/* A template replaces the column. */
static int check_input(struct check *c)
{
    struct ech_job *job = c->job;
    if (!job->input.template_) {
        if (!ech_column_word(job->input.column, strlen(job->input.column)))
            NOTE(c, "input.column", "input.column is \"%.60s\", which is not the name of a column",
                 job->input.column);
        return ECH_OK;
    }
    if (ech_setting_given(c->config, "input.column"))
        NOTE(c, "input.template",
             "input.column and input.template are both given: one of them says what a "
             "row's input is");
    ech_free(job->input.column);
    job->input.column = NULL;
    struct ech_err why = ECH_ERR_NONE;
    struct ech_template parsed;
    int code = ech_template_parse(job->input.template_, &parsed, &why);
    if (code == ECH_OK)
        ech_template_fini(&parsed);
    else if (code == ECH_CONFIG)
        NOTE(c, "input.template", "input.template: %s", why.text);
    else
        return ech_fail(c->err, code, "%s", why.text);
    return ECH_OK;
}

/* Weights and compute are a pair that kernels have; what was auto becomes what it means. */
static int check_precision(struct check *c)
{
    int weights = c->job->precision.weights, compute = c->job->precision.compute;
    char list[256];
    if (c->job->kind->as_stored && weights == ECH_PRECISION_AUTO)
        return ECH_OK;
    if (ech_precision_resolve(&c->job->precision.weights, &c->job->precision.compute))
        return ECH_OK;
    ech_precision_list(list, sizeof list);
    NOTE(c, ech_setting_given(c->config, "precision.compute") ? "precision.compute" : "precision.weights",
         "precision: weights %s with compute %s is no pair that kernels have: %s",
         ech_precision_name(weights), ech_precision_name(compute), list);
    return ECH_OK;
}

static int check_cache(struct check *c)
{
    if (c->job->precision.kv && !c->job->kind->as_stored)
        NOTE(c, "precision.kv", "precision.kv: kind %s keeps no keys and values", c->job->kind->name);
    return ECH_OK;
}

/* A device and a backend that do not go together; device cuda alone means its backend. */
static int check_device(struct check *c)
{
    int *backend = &c->job->resources.backend, device = c->job->resources.device;
    bool cuda = *backend == ECH_BACKEND_CUDA;
    if (device == ECH_DEVICE_CUDA && *backend == ECH_BACKEND_AUTO)
        *backend = ECH_BACKEND_CUDA;
    else if (device != ECH_DEVICE_AUTO && (device == ECH_DEVICE_CUDA) != cuda && *backend != ECH_BACKEND_AUTO)
        NOTE(c, "resources.backend",
             "resources.device is %s and resources.backend is %s: leave one of them out",
             device == ECH_DEVICE_CUDA ? "cuda" : "cpu", cuda ? "cuda" : "one of the processor's");
    return ECH_OK;
}

static int check_workers(struct check *c)
{
    const struct ech_kind *kind = c->job->kind;
    int64_t ranks = c->job->resources.ranks_per_worker;
    if (ranks > 1 && !kind->splits)
        NOTE(c, "resources.ranks_per_worker",
             "resources.ranks_per_worker is %lld: kind %s runs its model whole on each rank",
             (long long)ranks, kind->name);
    else if (ranks > 1 && c->job->balance.policy == ECH_POLICY_EQUAL)
        NOTE(c, "balance.policy",
             "balance.policy equal speaks of ranks: workers of several ranks are balanced by speed");
    return ECH_OK;
}

static int check_needs(struct check *c)
{
    const struct ech_kind *kind = c->job->kind;
    if (kind->needs_input && !c->job->input.dataset)
        NOTE(c, "input.dataset", "input.dataset is missing: kind %s reads a dataset", kind->name);
    if (kind->needs_model && !c->job->model)
        NOTE(c, "model.path", "model is missing: kind %s needs the folder of a model", kind->name);
    if (c->job->adapter && !c->job->model)
        NOTE(c, "model.adapter", "model.adapter is merged into a model: model.path is missing");
    return ECH_OK;
}

/* Absolute, without links as far as the path is there; false: too long to tell. */
static bool real_place(const char *path, char real[PATH_MAX])
{
    char head[PATH_MAX];
    size_t cut = strlen(path);
    if (cut >= sizeof head)
        return false;
    memcpy(head, path, cut + 1);
    while (!realpath(head, real)) {
        while (cut > 0 && head[--cut] != '/')
            ;
        head[cut] = '\0';
        if (cut == 0) {
            real[0] = '\0';
            break;
        }
    }
    const char *rest = path + cut;
    size_t length = strcmp(real, "/") == 0 ? 0 : strlen(real);
    if (length + strlen(rest) >= PATH_MAX)
        return false;
    memcpy(real + length, rest, strlen(rest) + 1);
    return true;
}

/* Does `inner` lie in the folder `outer`? Both as real_place gives them. */
static bool lies_in(const char *inner, const char *outer)
{
    size_t length = strlen(outer);
    return strncmp(inner, outer, length) == 0 && inner[length] == '/';
}

/* Replacing or removing one dataset must never take another one, the model or the run along. */
static void check_apart(struct check *c, const char *path, const char *place)
{
    char output[PATH_MAX], other[PATH_MAX];
    const char *name = c->job->output.dataset;
    if (!place || !name || !real_place(name, output) || !real_place(place, other))
        return;
    bool runs = strcmp(path, "runs") == 0;
    if (strcmp(output, other) == 0)
        NOTE(c, "output.dataset", "output.dataset and %s are the same folder, %s", path, name);
    else if (lies_in(other, output))
        NOTE(c, "output.dataset", "%s lies inside output.dataset, %s: keep them apart", path, name);
    else if (!runs && lies_in(output, other))
        NOTE(c, "output.dataset", "output.dataset lies inside %s, %s: keep them apart", path, place);
}

static int check_places(struct check *c)
{
    check_apart(c, "input.dataset", c->job->input.dataset);
    check_apart(c, "model.path", c->job->model);
    check_apart(c, "model.adapter", c->job->adapter);
    check_apart(c, "runs", c->job->runs);
    return ECH_OK;
}

static int find_text(const struct ech_list *list, const char *text, int before)
{
    for (int i = 0; i < before; i++)
        if (strcmp(list->items[i], text) == 0)
            return i;
    return -1;
}

/* Names of columns, none twice, each with room for a prefix. */
static void check_columns(struct check *c, const char *path, const struct ech_list *list, size_t prefix)
{
    for (int i = 0; i < list->count; i++) {
        const char *name = list->items[i];
        if (!ech_column_word(name, strlen(name)) || strlen(name) + prefix > 63)
            NOTE(c, path, "%s: \"%.60s\" is not the name of a column", path, name);
        else if (find_text(list, name, i) >= 0)
            NOTE(c, path, "%s: \"%s\" is given twice", path, name);
    }
}

/* Does the kind produce a column of this name? "hits.*" stands for hits.<each of the option's names>. */
static bool produces(struct check *c, const struct ech_kind_column *column, const char *name)
{
    const char *star = strchr(column->name, '*');
    if (!star)
        return strcmp(column->name, name) == 0;
    const struct ech_setting *each = ech_setting_find(c->config, column->each);
    const struct ech_list *list =
        (const void *)((const char *)ech_schema_base(c->job, each->field) + each->field->offset);
    size_t prefix = (size_t)(star - column->name);
    return strncmp(column->name, name, prefix) == 0 && find_text(list, name + prefix, list->count) >= 0;
}

static int check_keep(struct check *c)
{
    const struct ech_list *keep = &c->job->output.keep;
    check_columns(c, "output.keep", keep, 0);
    if (keep->count && !c->job->input.dataset)
        NOTE(c, "output.keep", "output.keep copies columns of input.dataset, which is not given");
    for (int i = 0; i < keep->count; i++)
        for (const struct ech_kind_column *column = c->job->kind->outputs; column->name; column++)
            if (produces(c, column, keep->items[i]))
                NOTE(c, "output.keep", "output.keep: kind %s makes a column \"%s\" itself",
                     c->job->kind->name, keep->items[i]);
    if (c->job->numerics == ECH_NUMERICS_MIXED && find_text(keep, "numerics", keep->count) >= 0)
        NOTE(c, "output.keep", "output.keep: with numerics mixed the job makes a column \"numerics\" itself");
    return ECH_OK;
}

static int check_each(struct check *c)
{
    const struct ech_list *each = &c->job->resources.each;
    if (each->count && c->job->numerics != ECH_NUMERICS_MIXED)
        NOTE(c, "resources.each",
             "resources.each makes ranks compute in ways of their own: it needs numerics: mixed");
    for (int i = 0; i < each->count; i++) {
        const char *wrong = ech_each_wrong(each->items[i]);
        if (wrong)
            NOTE(c, "resources.each", "resources.each: \"%.80s\": %s", each->items[i], wrong);
    }
    return ECH_OK;
}

static int check_numbers(struct check *c)
{
    const struct ech_job *job = c->job;
    if (job->balance.lease_rows && job->balance.lease_rows_max &&
        job->balance.lease_rows > job->balance.lease_rows_max)
        NOTE(c, "balance.lease_rows_max",
             "balance.lease_rows_max is %lld, at least balance.lease_rows (%lld) "
             "was expected",
             (long long)job->balance.lease_rows_max, (long long)job->balance.lease_rows);
    if (job->resources.time > 0 && job->resources.time <= job->limits.stop_margin)
        NOTE(c, "resources.time",
             "resources.time is %.15g s, more than limits.stop_margin (%.15g s) was "
             "expected: no row could begin",
             job->resources.time, job->limits.stop_margin);
    return ECH_OK;
}

static int check_retrieve(struct check *c)
{
    const struct ech_retrieve_options *options = c->job->options;
    check_columns(c, "options.join", &options->join, strlen("hits."));
    if (!ech_column_word(options->column, strlen(options->column)))
        NOTE(c, "options.column", "options.column is \"%.60s\", which is not the name of a column",
             options->column);
    if (c->job->input.dataset && options->query.count)
        NOTE(c, "options.query",
             "options.query and input.dataset are both given: queries come from one of "
             "them");
    if (!c->job->input.dataset && !options->query.count)
        NOTE(c, "options.query", "there are no queries: give input.dataset or options.query");
    if (options->query.count && !c->job->model)
        NOTE(c, "model.path", "model is missing: options.query are texts, a model turns them into vectors");
    check_apart(c, "options.index", options->index);
    return ECH_OK;
}

static int check_classify(struct check *c)
{
    const struct ech_classify_options *options = c->job->options;
    if (options->pair && !ech_column_word(options->pair, strlen(options->pair)))
        NOTE(c, "options.pair", "options.pair is \"%.60s\", which is not the name of a column",
             options->pair);
    return ECH_OK;
}

static int check_generate(struct check *c)
{
    const struct ech_generate_options *options = c->job->options;
    bool none = options->chat == 1; /* auto, none, families */
    for (int i = 0; i < options->stop.count; i++)
        if (!*options->stop.items[i])
            NOTE(c, "options.stop", "options.stop: an empty text would end each text before its first token");
    if (none && options->messages)
        NOTE(c, "options.chat", "options.messages are written in a chat template: options.chat is none");
    if (none && options->system)
        NOTE(c, "options.chat", "options.system is written in a chat template: options.chat is none");
    if (options->messages && options->write.prefix)
        NOTE(c, "options.prefix",
             "options.prefix goes before a text: with options.messages a row is several");
    if (options->write.context && options->max_tokens >= options->write.context)
        NOTE(c, "options.max_tokens",
             "options.max_tokens is %lld, less than options.context (%lld) was expected: the prompt takes "
             "some of it",
             (long long)options->max_tokens, (long long)options->write.context);
    return ECH_OK;
}

static int check_score(struct check *c)
{
    const struct ech_score_options *options = c->job->options;
    if (options->by != ECH_SCORE_SUM && options->mode != ECH_SCORE_CHOICE)
        NOTE(c, "options.by", "options.by says how a choice is made: it needs options.mode: choice");
    return ECH_OK;
}

static int (*const rules[])(struct check *) = {check_name,   check_input, check_precision, check_cache,
                                               check_device, check_needs, check_workers,   check_places,
                                               check_keep,   check_each,  check_numbers};

static const struct {
    const char *kind;
    int (*rule)(struct check *);
} kind_rules[] = {{"retrieve", check_retrieve},
                  {"classify", check_classify},
                  {"generate", check_generate},
                  {"score", check_score}};

int ech_check_job(struct ech_config *config, struct ech_problems *problems, struct ech_err *err)
{
    struct check c = {config, &config->job, problems, err};
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof rules / sizeof rules[0]; i++)
        code = rules[i](&c);
    for (size_t i = 0; code == ECH_OK && i < sizeof kind_rules / sizeof kind_rules[0]; i++)
        if (strcmp(kind_rules[i].kind, config->job.kind->name) == 0)
            code = kind_rules[i].rule(&c);
    return code;
}
