/* Gathering: see loader.h. A file becomes a flat list of (path, node); values of the environment and of --set
 * are parsed alone and keep the words they came in for messages. */
#include "config/loader.h"
#include "config/steps.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static int add_given(struct ech_loader *l, const char *path, const struct ech_node *node,
                     const struct ech_setting *place)
{
    int code = ech_grow((void **)&l->given, &l->given_capacity, l->given_count + 1, sizeof *l->given, l->err);
    if (code != ECH_OK)
        return code;
    struct ech_given *given = &l->given[l->given_count++];
    snprintf(given->path, sizeof given->path, "%s", path);
    given->node = node;
    given->place = *place;
    given->word = NULL;
    return ECH_OK;
}

static struct ech_setting place_of(const struct ech_node *node)
{
    return (struct ech_setting){.origin = ECH_FROM_FILE, .line = node->key_line, .column = node->key_column};
}

static void child_path(char *out, const char *parent, const char *key)
{
    snprintf(out, ECH_KEY_MOST, "%.40s%s%.100s", parent, parent[0] ? "." : "", key);
}

/* A map where one value belongs: its keys may be those of a later version (model: {path: ..}). */
static bool note_later_map(struct ech_loader *l, const char *path, const struct ech_node *node)
{
    bool found = false;
    for (const struct ech_node *child = node->first; node->kind == ECH_NODE_MAP && child;
         child = child->next) {
        char below[ECH_KEY_MOST];
        child_path(below, path, child->key);
        const char *text = ech_schema_later_key(below);
        if (text && !found)
            ech_problem_add(&l->problems, child->key_line, child->key_column, "%s: %s", below, text);
        found = found || text;
    }
    return found;
}

/* One word for a whole section: each of its keys gets what the word means for it. */
static int gather_word(struct ech_loader *l, const char *section, const struct ech_node *node,
                       const struct ech_setting *place)
{
    size_t length = strlen(section);
    int code = ECH_OK;
    if (!ech_node_is_null(node) && !ech_schema_word(section, node->text, "")) {
        ech_setting_problem(place, &l->problems, "%s is \"%.60s\", one of %s or %s was expected", section,
                            node->text, ech_schema_words(section),
                            place->origin == ECH_FROM_FILE ? "a map of keys" : "a key of it by name");
        return ECH_OK;
    }
    for (int i = 0; code == ECH_OK && i < ech_schema_count(NULL); i++) {
        const char *path = ech_schema_at(NULL, i)->path;
        if (strncmp(path, section, length) != 0 || path[length] != '.')
            continue;
        code = add_given(l, path, node, place);
        if (code == ECH_OK && !ech_node_is_null(node))
            l->given[l->given_count - 1].word = ech_schema_word(section, node->text, path + length + 1);
    }
    return code;
}

static int gather_key(struct ech_loader *l, const struct ech_node *node)
{
    char path[ECH_KEY_MOST];
    struct ech_setting place = place_of(node);
    child_path(path, "", node->key);
    if (!ech_schema_is_section(path))
        return note_later_map(l, path, node) ? ECH_OK : add_given(l, path, node, &place);
    if (ech_node_is_null(node))
        return ECH_OK;
    if (node->kind == ECH_NODE_SCALAR && ech_schema_scalar(path))
        return add_given(l, ech_schema_scalar(path), node, &place);
    if (node->kind == ECH_NODE_SCALAR && ech_schema_words(path))
        return gather_word(l, path, node, &place);
    if (node->kind != ECH_NODE_MAP) {
        ech_setting_problem(&place, &l->problems, "%s is a %s, a map of keys was expected", path,
                            ech_node_kind_name(node));
        return ECH_OK;
    }
    int code = ECH_OK;
    for (const struct ech_node *child = node->first; code == ECH_OK && child; child = child->next) {
        char below[ECH_KEY_MOST];
        child_path(below, path, child->key);
        struct ech_setting at = place_of(child);
        code = add_given(l, below, child, &at);
    }
    return code;
}

/* The keys of a job; of a file with steps those that all share, or one step's own, which come later and win.
 */
static int gather_map(struct ech_loader *l, const struct ech_node *map, bool stepped)
{
    int code = ECH_OK;
    for (const struct ech_node *node = map->first; code == ECH_OK && node; node = node->next)
        if (!stepped || !ech_steps_owns(map, node->key))
            code = gather_key(l, node);
    return code;
}

static int gather_file(struct ech_loader *l)
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
    const struct ech_node *step = NULL, *steps = ech_steps_node(root);
    if (l->request->step && !(step = ech_steps_find(steps, l->request->step))) {
        ech_problem_add(&l->problems, steps ? steps->key_line : 1, steps ? steps->key_column : 1,
                        steps ? "steps: none of them is called %s"
                              : "the file has no steps, thus none called %s",
                        l->request->step);
        l->later = true;
        return ECH_OK;
    }
    if (steps && !step) {
        ech_problem_add(&l->problems, steps->key_line, steps->key_column,
                        "steps: this is a file of several jobs: --step NAME takes one of them (run and "
                        "submit, of a file, "
                        "take them all)");
        l->later = true;
        return ECH_OK;
    }
    int code = gather_map(l, root, step != NULL);
    return code == ECH_OK && step ? gather_map(l, step, true) : code;
}

/* A value from outside the file: problems carry its label. */
static int gather_value(struct ech_loader *l, const char *path, const char *value,
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
    if (code != ECH_OK || !doc->root)
        return code;
    if (!ech_schema_is_section(path))
        return add_given(l, path, doc->root, place);
    if (doc->root->kind == ECH_NODE_SCALAR && ech_schema_scalar(path))
        return add_given(l, ech_schema_scalar(path), doc->root, place);
    if (doc->root->kind == ECH_NODE_SCALAR && ech_schema_words(path))
        return gather_word(l, path, doc->root, place);
    ech_setting_problem(place, &l->problems, "%s is a section: set its keys by name, %s", path,
                        place->origin == ECH_FROM_ENV ? "ECHELON_SECTION__KEY=value" : "section.key=value");
    return ECH_OK;
}

static int gather_set(struct ech_loader *l, const char *text)
{
    char label[256], path[ECH_KEY_MOST];
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

static int gather_env(struct ech_loader *l, const char *text)
{
    static const char prefix[] = "ECHELON_";
    char name[ECH_KEY_MOST], path[ECH_KEY_MOST];
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

int ech_loader_gather(struct ech_loader *l)
{
    int code = gather_file(l);
    const struct ech_config_request *request = l->request;
    for (size_t i = 0; code == ECH_OK && request->env && !request->saved && request->env[i]; i++)
        code = gather_env(l, request->env[i]);
    for (size_t i = 0; code == ECH_OK && request->sets && request->sets[i]; i++)
        code = gather_set(l, request->sets[i]);
    return code;
}
