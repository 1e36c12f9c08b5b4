/* Loading a job: gather what every origin gives as (path, node), find the kind, let the highest origin win
 * for each key of the schema, convert, check. Problems are noted and the work goes on; memory and files that
 * cannot be read end it. */
#include "config/state.h"

#include "base/io.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_MOST = 160 };

struct given {
    char path[PATH_MOST];
    const struct ech_node *node;
    struct ech_setting place; /* origin, position, label */
};

struct loader {
    const struct ech_config_request *request;
    struct ech_config *config;
    struct ech_problems problems;
    struct ech_err *err;
    struct ech_doc file;
    struct ech_doc *outside; /* one a value of the environment or --set */
    size_t outside_count, outside_capacity;
    struct given *given;
    size_t given_count, given_capacity;
    bool later; /* a key of a later version was met: what is missing says nothing */
};

const struct ech_setting *ech_setting_find(const struct ech_config *config, const char *path)
{
    for (int i = 0; i < config->count; i++)
        if (strcmp(config->settings[i].field->path, path) == 0)
            return &config->settings[i];
    ech_bug(__FILE__, __LINE__, "known path", "no key %s", path);
}

bool ech_setting_given(const struct ech_config *config, const char *path)
{
    return ech_setting_find(config, path)->origin != ECH_FROM_DEFAULT;
}

void ech_setting_problem(const struct ech_setting *setting, struct ech_problems *problems, const char *fmt,
                         ...)
{
    char text[sizeof problems->items[0].text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (setting->label)
        ech_problem_add(problems, 0, 0, "%s%.120s%s: %s", setting->origin == ECH_FROM_SET ? "--set " : "",
                        setting->label, strlen(setting->label) > 120 ? "..." : "", text);
    else
        ech_problem_add(problems, setting->line, setting->column, "%s", text);
}

/* --- gathering --- */

static int add_given(struct loader *l, const char *path, const struct ech_node *node,
                     const struct ech_setting *place)
{
    int code = ech_grow((void **)&l->given, &l->given_capacity, l->given_count + 1, sizeof *l->given, l->err);
    if (code != ECH_OK)
        return code;
    struct given *given = &l->given[l->given_count++];
    snprintf(given->path, sizeof given->path, "%s", path);
    given->node = node;
    given->place = *place;
    return ECH_OK;
}

static struct ech_setting place_of(const struct ech_node *node)
{
    return (struct ech_setting){.origin = ECH_FROM_FILE, .line = node->key_line, .column = node->key_column};
}

static void child_path(char *out, const char *parent, const char *key)
{
    snprintf(out, PATH_MOST, "%.40s%s%.100s", parent, parent[0] ? "." : "", key);
}

/* A map where one value belongs: its keys may be those of a later version (model: {path: ..}). */
static bool note_later_map(struct loader *l, const char *path, const struct ech_node *node)
{
    bool found = false;
    for (const struct ech_node *child = node->first; node->kind == ECH_NODE_MAP && child;
         child = child->next) {
        char below[PATH_MOST];
        child_path(below, path, child->key);
        const char *text = ech_schema_later_key(below);
        if (text && !found)
            ech_problem_add(&l->problems, child->key_line, child->key_column, "%s: %s", below, text);
        found = found || text;
    }
    return found;
}

static int gather_key(struct loader *l, const struct ech_node *node)
{
    char path[PATH_MOST];
    struct ech_setting place = place_of(node);
    child_path(path, "", node->key);
    if (!ech_schema_is_section(path))
        return note_later_map(l, path, node) ? ECH_OK : add_given(l, path, node, &place);
    if (ech_node_is_null(node))
        return ECH_OK;
    if (node->kind != ECH_NODE_MAP) {
        ech_setting_problem(&place, &l->problems, "%s is a %s, a map of keys was expected", path,
                            ech_node_kind_name(node));
        return ECH_OK;
    }
    int code = ECH_OK;
    for (const struct ech_node *child = node->first; code == ECH_OK && child; child = child->next) {
        char below[PATH_MOST];
        child_path(below, path, child->key);
        struct ech_setting at = place_of(child);
        code = add_given(l, below, child, &at);
    }
    return code;
}

static int gather_file(struct loader *l)
{
    const struct ech_node *root = l->file.root;
    if (!root || ech_node_is_null(root)) {
        ech_problem_add(&l->problems, 1, 1, "the file is empty, a job was expected (kind: ...)");
        return ECH_OK;
    }
    if (root->kind != ECH_NODE_MAP) {
        ech_problem_add(&l->problems, root->line, root->column,
                        "a %s, a map of keys was expected (kind: ...)", ech_node_kind_name(root));
        return ECH_OK;
    }
    int code = ECH_OK;
    for (const struct ech_node *node = root->first; code == ECH_OK && node; node = node->next)
        code = gather_key(l, node);
    return code;
}

/* A value from outside the file: problems carry its label. */
static int gather_value(struct loader *l, const char *path, const char *value,
                        const struct ech_setting *place)
{
    int code = ech_grow((void **)&l->outside, &l->outside_capacity, l->outside_count + 1, sizeof *l->outside,
                        l->err);
    if (code != ECH_OK)
        return code;
    struct ech_problems found = {0};
    struct ech_doc *doc = &l->outside[l->outside_count++];
    code = ech_doc_parse_value(value, doc, &found, l->err);
    for (int i = 0; i < found.count; i++)
        ech_setting_problem(place, &l->problems, "%s", found.items[i].text);
    if (code == ECH_CONFIG)
        return ECH_OK;
    return code == ECH_OK && doc->root ? add_given(l, path, doc->root, place) : code;
}

static int gather_set(struct loader *l, const char *text)
{
    char label[256], path[PATH_MOST];
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;
    while (length && text[length - 1] == ' ')
        length--;
    if (length == 0 || length >= sizeof path) {
        snprintf(label, sizeof label, "--set %.200s", text);
        ech_problem_add(&l->problems, 0, 0, "%s: key=value was expected", label);
        return ECH_OK;
    }
    snprintf(path, sizeof path, "%.*s", (int)length, text);
    struct ech_setting place = {.origin = ECH_FROM_SET, .label = text};
    return gather_value(l, path, equals + 1, &place);
}

static int gather_env(struct loader *l, const char *text)
{
    static const char prefix[] = "ECHELON_";
    char name[PATH_MOST], path[PATH_MOST];
    const char *equals = strchr(text, '=');
    if (strncmp(text, prefix, sizeof prefix - 1) != 0 || !equals)
        return ECH_OK;
    struct ech_setting place = {.origin = ECH_FROM_ENV, .label = text};
    size_t length = (size_t)(equals - text);
    if (length >= sizeof name) {
        ech_setting_problem(&place, &l->problems, "the name is too long to be a key of a job");
        return ECH_OK;
    }
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    if (ech_schema_env_other(name) || !ech_schema_env_path(name, path, sizeof path))
        return ECH_OK;
    return gather_value(l, path, equals + 1, &place);
}

static int gather(struct loader *l)
{
    int code = gather_file(l);
    const struct ech_config_request *request = l->request;
    for (size_t i = 0; code == ECH_OK && request->env && !request->saved && request->env[i]; i++)
        code = gather_env(l, request->env[i]);
    for (size_t i = 0; code == ECH_OK && request->sets && request->sets[i]; i++)
        code = gather_set(l, request->sets[i]);
    return code;
}

/* --- the kind --- */

static const struct ech_kind *note_kind(struct loader *l, const struct given *given)
{
    const char *word = given->node->kind == ECH_NODE_SCALAR ? given->node->text : "";
    const struct ech_kind *kind = ech_kind_find(word);
    const char *later = ech_schema_later_value("kind", word);
    if (kind)
        return kind;
    const char *names[32];
    char list[256] = "";
    int n = 0;
    for (; ech_kinds()[n] && n < 31; n++) {
        names[n] = ech_kinds()[n]->name;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", n ? ", " : "", names[n]);
    }
    names[n] = NULL;
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
static const struct ech_kind *find_kind(struct loader *l)
{
    const struct given *best = NULL;
    for (size_t i = 0; i < l->given_count; i++)
        if (strcmp(l->given[i].path, "kind") == 0 && !ech_node_is_null(l->given[i].node) &&
            (!best || l->given[i].place.origin >= best->place.origin))
            best = &l->given[i];
    return best ? note_kind(l, best) : NULL;
}

/* --- from given to settings --- */

/* A file nests keys; "a.b" as one key would be a second way to give the same value. */
static bool is_dotted(const struct given *given)
{
    return given->place.origin == ECH_FROM_FILE && strchr(given->node->key, '.');
}

static void note_unknown(struct loader *l, const struct ech_kind *kind, const struct given *given)
{
    const char *later = ech_schema_later_key(given->path);
    const char *near = ech_schema_nearest(kind, given->path);
    char name[PATH_MOST + 16];
    l->later = l->later || later;
    if (later)
        ech_setting_problem(&given->place, &l->problems, "%s: %s", given->path, later);
    else if (is_dotted(given) && ech_schema_find(kind, given->node->key) >= 0)
        ech_setting_problem(&given->place, &l->problems, "unknown key \"%s\": write a map, %.*s: {%s: ...}",
                            given->node->key, (int)strcspn(given->node->key, "."), given->node->key,
                            strchr(given->node->key, '.') + 1);
    else {
        if (!near || given->place.origin != ECH_FROM_ENV || !ech_schema_env_name(near, name, sizeof name))
            snprintf(name, sizeof name, "%s", near ? near : "");
        bool option = strncmp(given->path, "options.", 8) == 0;
        ech_setting_problem(&given->place, &l->problems, "unknown key \"%s\"%s%s%s%s%s", given->path,
                            option && kind ? " of kind " : "", option && kind ? kind->name : "",
                            near ? ": did you mean " : "", name, near ? "?" : "");
    }
}

static int make_settings(struct loader *l, const struct ech_kind *kind)
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
static void apply_given(struct loader *l, const struct ech_kind *kind)
{
    for (size_t i = 0; i < l->given_count; i++) {
        const struct given *given = &l->given[i];
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
        if (ech_node_is_null(given->node))
            *setting = (struct ech_setting){.field = field};
    }
}

/* Where a missing key should have been: its section, else the start of the file. */
static void place_missing(const struct loader *l, struct ech_setting *setting)
{
    const char *path = setting->field->path;
    size_t section = strcspn(path, ".");
    setting->line = setting->column = 1;
    for (const struct ech_node *node = l->file.root ? l->file.root->first : NULL; node && path[section];
         node = node->next)
        if (node->key && strlen(node->key) == section && strncmp(node->key, path, section) == 0) {
            setting->line = node->key_line;
            setting->column = node->key_column;
        }
}

static int convert(struct loader *l, struct ech_setting *setting)
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
    int code = later ? ECH_CONFIG : ech_value_set(field, setting->node, base, why, sizeof why, l->err);
    if (code == ECH_CONFIG)
        ech_setting_problem(setting, &l->problems, "%s", later ? later : why);
    return code == ECH_CONFIG ? ECH_OK : code;
}

static int convert_all(struct loader *l, const struct ech_kind *kind)
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
static int default_name(struct loader *l)
{
    struct ech_job *job = &l->config->job;
    if (job->name)
        return ECH_OK;
    const char *base = ech_path_base(l->request->path), *dot = strrchr(base, '.');
    size_t length = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    length = length > 100 ? 100 : length;
    bool stdin_ = strcmp(l->request->path, "-") == 0;
    job->name = stdin_ ? ech_strdup("job", l->err) : ech_strndup(base, length, l->err);
    for (char *p = job->name; p && *p; p++)
        if (!isalnum((unsigned char)*p) && !memchr("._-", *p, 3))
            *p = '-';
    if (job->name && !isalnum((unsigned char)job->name[0]))
        job->name[0] = '_';
    return job->name ? ECH_OK : ECH_UNAVAILABLE;
}

static int resolve(struct loader *l)
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

/* --- the file --- */

static int read_job(struct loader *l, char **text, size_t *bytes)
{
    bool stdin_ = strcmp(l->request->path, "-") == 0;
    const char *path = stdin_ ? "/dev/stdin" : l->request->path;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > ECH_DOC_BYTES)
        return ech_fail_at(l->err, ECH_CONFIG, l->config->file, 0, 0,
                           "the file has %lld bytes, a job file has at most %d: is it a job?",
                           (long long)st.st_size, ECH_DOC_BYTES);
    int code = ech_read_file(path, ECH_DOC_BYTES, text, bytes, l->err);
    if (code == ECH_DATA && l->err)
        l->err->code = ECH_CONFIG;
    return code == ECH_DATA ? ECH_CONFIG : code;
}

static int load(struct loader *l)
{
    char *text = NULL;
    size_t bytes = 0;
    int code = read_job(l, &text, &bytes);
    if (code == ECH_OK) {
        code = ech_doc_parse(text, bytes, &l->file, &l->problems, l->err);
        if (code == ECH_OK)
            code = gather(l);
        if (code == ECH_OK && !(l->file.root == NULL || l->file.root->kind != ECH_NODE_MAP))
            code = resolve(l);
    }
    ech_free(text);
    if (code == ECH_OK || code == ECH_CONFIG) {
        int found = ech_problems_report(&l->problems, l->err);
        code = found != ECH_OK ? found : code;
    }
    return code;
}

int ech_config_load(const struct ech_config_request *request, struct ech_config **out, struct ech_err *err)
{
    struct ech_config *config = ech_calloc(1, sizeof *config, err);
    struct loader *l = ech_calloc(1, sizeof *l, err);
    int code = config && l ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        *l = (struct loader){.request = request, .config = config, .err = err};
        config->file = ech_strdup(strcmp(request->path, "-") == 0 ? "standard input" : request->path, err);
        l->problems.file = config->file;
        code = config->file ? load(l) : ECH_UNAVAILABLE;
        for (int i = 0; i < config->count; i++) {
            config->settings[i].label = NULL;
            config->settings[i].node = NULL;
        }
        ech_doc_fini(&l->file);
        for (size_t i = 0; i < l->outside_count; i++)
            ech_doc_fini(&l->outside[i]);
        ech_free(l->outside);
        ech_free(l->given);
    }
    ech_free(l);
    if (code != ECH_OK) {
        ech_config_destroy(config);
        return code;
    }
    *out = config;
    return ECH_OK;
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

const struct ech_job *ech_config_job(const struct ech_config *config)
{
    return &config->job;
}
