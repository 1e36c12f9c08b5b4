/* Loading a job: gather what every origin gives as (path, node), find the kind, let the highest origin win
 * for each key of the schema, convert, check. Problems are noted and the work goes on; memory and files that
 * cannot be read end it. */
#include "config/loader.h"
#include "config/steps.h"

#include "base/io.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* "embed, retrieve", and the names for a search. */
static void list_kinds(char *list, size_t bytes, const char **names, int most)
{
    int n = 0;
    list[0] = '\0';
    for (; ech_kinds()[n] && n < most; n++) {
        names[n] = ech_kinds()[n]->name;
        snprintf(list + strlen(list), bytes - strlen(list), "%s%s", n ? ", " : "", names[n]);
    }
    names[n] = NULL;
}

static const struct ech_kind *note_kind(struct ech_loader *l, const struct ech_given *given)
{
    const char *word = given->node->kind == ECH_NODE_SCALAR ? given->node->text : "";
    const struct ech_kind *kind = ech_kind_find(word);
    if (kind)
        return kind;
    const char *names[32], *later = ech_schema_later_value("kind", word);
    char list[256];
    list_kinds(list, sizeof list, names, 31);
    const char *near = ech_nearest(word, names);
    if (later)
        ech_setting_problem(&given->place, &l->problems, "%s (this one has %s)", later, list);
    else if (given->node->kind != ECH_NODE_SCALAR)
        ech_setting_problem(&given->place, &l->problems, "kind is a %s, one of %s was expected",
                            ech_node_kind_name(given->node), list);
    else
        ech_setting_problem(&given->place, &l->problems, "kind is \"%.60s\", one of %s was expected%s%s%s",
                            word, list, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    return NULL;
}

/* The kind decides which options there are, so it is found first. NULL: missing or wrong (noted). */
static const struct ech_kind *find_kind(struct ech_loader *l)
{
    const struct ech_given *best = NULL;
    for (size_t i = 0; i < l->given_count; i++)
        if (strcmp(l->given[i].path, "kind") == 0 && !ech_node_is_null(l->given[i].node) &&
            (!best || l->given[i].place.origin >= best->place.origin))
            best = &l->given[i];
    return best ? note_kind(l, best) : NULL;
}

/* A file nests keys; "a.b" as one key would be a second way to give the same value. */
static bool is_dotted(const struct ech_given *given)
{
    return given->place.origin == ECH_FROM_FILE && strchr(given->node->key, '.');
}

/* ": did you mean X?" in the spelling of the origin, or the kind that has such an option, or nothing. */
static void advise(const struct ech_kind *kind, const struct ech_given *given, char *out, size_t bytes)
{
    char name[ECH_KEY_MOST + 16];
    const char *near = ech_schema_nearest(kind, given->path);
    const struct ech_kind *other = kind && !near ? ech_schema_other_kind(kind, given->path) : NULL;
    out[0] = '\0';
    if (other)
        snprintf(out, bytes, ": it is an option of kind %s", other->name);
    if (!near)
        return;
    if (given->place.origin == ECH_FROM_ENV && ech_schema_env_name(near, name, sizeof name))
        near = name;
    snprintf(out, bytes, ": did you mean %s?", near);
}

static void note_unknown(struct ech_loader *l, const struct ech_kind *kind, const struct ech_given *given)
{
    const char *later = ech_schema_later_key(given->path);
    l->later = l->later || later;
    if (l->problems.count == ECH_PROBLEMS_MOST) {
        l->problems.more++; /* not shown: spare the search for a near name */
        return;
    }
    if (later)
        ech_setting_problem(&given->place, &l->problems, "%s: %s", given->path, later);
    else if (is_dotted(given) && ech_schema_find(kind, given->node->key) >= 0)
        ech_setting_problem(&given->place, &l->problems, "unknown key \"%s\": write a map, %.*s: {%s: ...}",
                            given->node->key, (int)strcspn(given->node->key, "."), given->node->key,
                            strchr(given->node->key, '.') + 1);
    else {
        char advice[ECH_KEY_MOST + 64];
        bool option = kind && strncmp(given->path, "options.", 8) == 0;
        advise(kind, given, advice, sizeof advice);
        ech_setting_problem(&given->place, &l->problems, "unknown key \"%s\"%s%s%s", given->path,
                            option ? " of kind " : "", option ? kind->name : "", advice);
    }
}

static int make_settings(struct ech_loader *l, const struct ech_kind *kind)
{
    struct ech_config *config = l->config;
    int count = ech_schema_count(kind);
    config->settings = ech_calloc((size_t)count, sizeof *config->settings, l->err);
    if (!config->settings)
        return ECH_UNAVAILABLE;
    config->count = count;
    for (int i = 0; i < count; i++)
        config->settings[i].field = ech_schema_at(kind, i);
    return ECH_OK;
}

/* Later origins win; within --set the last one. null takes a value back to its default. */
static void apply_given(struct ech_loader *l, const struct ech_kind *kind)
{
    for (size_t i = 0; i < l->given_count; i++) {
        const struct ech_given *given = &l->given[i];
        if (!kind && strncmp(given->path, "options.", 8) == 0)
            continue;
        int index = is_dotted(given) ? -1 : ech_schema_find(kind, given->path);
        if (index < 0) {
            note_unknown(l, kind, given);
            continue;
        }
        struct ech_setting *setting = &l->config->settings[index];
        const struct ech_field *field = setting->field;
        *setting = given->place;
        setting->field = field;
        setting->node = given->node;
        setting->word = given->word;
        if (ech_node_is_null(given->node))
            *setting = (struct ech_setting){.field = field};
    }
}

/* Where a missing key should have been: its section, else the start of the file. */
static void place_missing(const struct ech_loader *l, struct ech_setting *setting)
{
    const char *path = setting->field->path;
    size_t section = strcspn(path, ".");
    const char *name = l->request->step;
    const struct ech_node *step = name ? ech_steps_find(ech_steps_node(l->file.root), name) : NULL;
    const struct ech_node *map = step ? step : l->file.root;
    setting->line = step ? step->line : 1;
    setting->column = step ? step->column : 1;
    for (const struct ech_node *node = map ? map->first : NULL; node && path[section]; node = node->next)
        if (node->key && strlen(node->key) == section && strncmp(node->key, path, section) == 0) {
            setting->line = node->key_line;
            setting->column = node->key_column;
        }
}

static int convert(struct ech_loader *l, struct ech_setting *setting)
{
    const struct ech_field *field = setting->field;
    char why[360] = "";
    void *base = ech_schema_base(&l->config->job, field);
    if (!setting->node) {
        place_missing(l, setting);
        if (field->required && !l->later)
            ech_setting_problem(setting, &l->problems, "%s is missing: %s", field->path, field->doc);
        return ech_value_set_fallback(field, base, l->err);
    }
    const char *later = setting->node->kind == ECH_NODE_SCALAR && strcmp(field->path, "kind") != 0
                            ? ech_schema_later_value(field->path, setting->node->text)
                            : NULL;
    struct ech_node word = {.kind = ECH_NODE_SCALAR, .text = (char *)(uintptr_t)setting->word, .plain = true};
    const struct ech_node *node = setting->word ? &word : setting->node;
    int code = later ? ECH_CONFIG : ech_value_set(field, node, base, why, sizeof why, l->err);
    if (code == ECH_CONFIG)
        ech_setting_problem(setting, &l->problems, "%s", later ? later : why);
    return code == ECH_CONFIG ? ECH_OK : code;
}

static int convert_all(struct ech_loader *l, const struct ech_kind *kind)
{
    struct ech_job *job = &l->config->job;
    job->kind = kind;
    if (kind && !(job->options = ech_calloc(1, kind->options_bytes, l->err)))
        return ECH_UNAVAILABLE;
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < l->config->count; i++)
        code = convert(l, &l->config->settings[i]);
    return code;
}

/* The file's name without ending; what a name may not have becomes "-". */
static char *name_of_file(const struct ech_loader *l)
{
    const char *base = ech_path_base(l->request->path), *dot = strrchr(base, '.');
    size_t length = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    length = length > 100 ? 100 : length;
    if (strcmp(l->request->path, "-") == 0)
        return ech_strdup("job", l->err);
    char *name = ech_strndup(base, length, l->err);
    for (char *p = name; p && *p; p++)
        if (!isalnum((unsigned char)*p) && !memchr("._-", *p, 3))
            *p = '-';
    if (name && !isalnum((unsigned char)name[0]))
        name[0] = '_';
    return name;
}

/* The job's name: its own, else the file's; a step's comes behind it. */
static int default_name(struct ech_loader *l)
{
    struct ech_job *job = &l->config->job;
    if (!job->name)
        job->name = name_of_file(l);
    if (!job->name || !l->request->step)
        return job->name ? ECH_OK : ECH_UNAVAILABLE;
    char *whole = ech_sprintf(l->err, "%.*s-%s", 59, job->name, l->request->step);
    ech_free(job->name);
    job->name = whole;
    return whole ? ECH_OK : ECH_UNAVAILABLE;
}

static int resolve(struct ech_loader *l)
{
    const struct ech_kind *kind = find_kind(l);
    int code = make_settings(l, kind);
    if (code != ECH_OK)
        return code;
    apply_given(l, kind);
    code = convert_all(l, kind);
    if (code == ECH_OK)
        code = default_name(l);
    /* Rules read typed values: only where every value has its type. */
    if (code == ECH_OK && kind && l->problems.count == 0)
        code = ech_check_job(l->config, &l->problems, l->err);
    return code;
}

static bool is_stdin(const struct ech_config_request *request)
{
    return strcmp(request->path, "-") == 0;
}

const char *ech_loader_file_name(const struct ech_config_request *request)
{
    return is_stdin(request) ? "standard input" : request->path;
}

/* A size that no job has is refused before a byte is read. */
int ech_loader_read(const struct ech_config_request *request, char **text, size_t *bytes, struct ech_err *err)
{
    const char *path = is_stdin(request) ? "/dev/stdin" : request->path;
    struct stat st;
    struct ech_err why = ECH_ERR_NONE;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > ECH_DOC_BYTES)
        return ech_fail_at(err, ECH_CONFIG, ech_loader_file_name(request), 0, 0,
                           "the file has %lld bytes, a job file has at most %d: is it a job?",
                           (long long)st.st_size, ECH_DOC_BYTES);
    int code = ech_read_file(path, ECH_DOC_BYTES, text, bytes, &why);
    if (code == ECH_OK)
        return code;
    return ech_fail(err, code == ECH_DATA ? ECH_CONFIG : code, "%s", why.text);
}

static int load(struct ech_loader *l, const char *text, size_t bytes)
{
    int code = ech_doc_parse(text, bytes, &l->file, &l->problems, l->err);
    if (code == ECH_OK)
        code = ech_loader_gather(l);
    if (code == ECH_OK && l->file.root && l->file.root->kind == ECH_NODE_MAP)
        code = resolve(l);
    if (code != ECH_OK && code != ECH_CONFIG)
        return code;
    int found = ech_problems_report(&l->problems, l->err);
    return found != ECH_OK ? found : code;
}

/* What is needed only while loading goes; settings keep no pointer into it. */
static void loader_fini(struct ech_loader *l)
{
    for (int i = 0; i < l->config->count; i++) {
        l->config->settings[i].label = NULL;
        l->config->settings[i].node = NULL;
    }
    ech_doc_fini(&l->file);
    for (size_t i = 0; i < l->outside_count; i++)
        ech_doc_fini(&l->outside[i]);
    ech_free(l->outside);
    ech_free(l->given);
}

int ech_config_load_text(const struct ech_config_request *request, const char *text, size_t bytes,
                         struct ech_config **out, struct ech_err *err)
{
    struct ech_config *config = ech_calloc(1, sizeof *config, err);
    struct ech_loader *l = ech_calloc(1, sizeof *l, err);
    int code = config && l ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        *l = (struct ech_loader){.request = request, .config = config, .err = err};
        config->file = ech_strdup(ech_loader_file_name(request), err);
        l->problems.file = config->file;
        code = config->file ? load(l, text, bytes) : ECH_UNAVAILABLE;
        loader_fini(l);
    }
    ech_free(l);
    if (code != ECH_OK) {
        ech_config_destroy(config);
        return code;
    }
    *out = config;
    return ECH_OK;
}

int ech_config_load(const struct ech_config_request *request, struct ech_config **out, struct ech_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    int code = ech_loader_read(request, &text, &bytes, err);
    if (code == ECH_OK)
        code = ech_config_load_text(request, text, bytes, out, err);
    ech_free(text);
    return code;
}

void ech_config_destroy(struct ech_config *config)
{
    if (!config)
        return;
    for (int i = 0; i < config->count; i++) {
        const struct ech_field *field = config->settings[i].field;
        if (!ech_schema_is_option(field) || config->job.options)
            ech_value_fini(field, ech_schema_base(&config->job, field));
    }
    ech_free(config->job.options);
    ech_free(config->settings);
    ech_free(config->file);
    ech_free(config);
}

bool ech_config_given(const struct ech_config *config, const char *path)
{
    return ech_setting_given(config, path);
}

const struct ech_job *ech_config_job(const struct ech_config *config)
{
    return &config->job;
}
