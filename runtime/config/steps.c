/* Files of several jobs: see steps.h. */
#include "config/steps.h"

#include "base/mem.h"
#include "config/loader.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MOST = 40 };

static const struct ech_node *child_of(const struct ech_node *map, const char *key)
{
    for (const struct ech_node *node = map && map->kind == ECH_NODE_MAP ? map->first : NULL; node;
         node = node->next)
        if (strcmp(node->key, key) == 0)
            return node;
    return NULL;
}

const struct ech_node *ech_steps_node(const struct ech_node *root)
{
    return child_of(root, "steps");
}

static const char *name_of(const struct ech_node *step)
{
    const struct ech_node *name = child_of(step, "name");
    return name && name->kind == ECH_NODE_SCALAR && !ech_node_is_null(name) ? name->text : "";
}

const struct ech_node *ech_steps_find(const struct ech_node *steps, const char *name)
{
    for (const struct ech_node *step = steps && steps->kind == ECH_NODE_LIST ? steps->first : NULL; step;
         step = step->next)
        if (*name && strcmp(name_of(step), name) == 0)
            return step;
    return NULL;
}

bool ech_steps_owns(const struct ech_node *map, const char *key)
{
    return ech_steps_node(map) ? strcmp(key, "steps") == 0
                               : strcmp(key, "name") == 0 || strcmp(key, "after") == 0;
}

/* ---- reading ---- */

struct reader {
    const struct ech_node *list;
    struct ech_problems problems;
    struct ech_err *err;
};

static bool is_name(const char *text)
{
    size_t length = strlen(text);
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && (p == text || (*p != '-' && *p != '.')))
            return false;
    return length > 0 && length <= NAME_MOST;
}

static void check_name(struct reader *r, const struct ech_node *step)
{
    const struct ech_node *name = child_of(step, "name"), *first = ech_steps_find(r->list, name_of(step));
    if (!name)
        ech_problem_add(&r->problems, step->line, step->column, "a step without a name (name: ...)");
    else if (!is_name(name_of(step)))
        ech_problem_add(
            &r->problems, name->key_line, name->key_column,
            "a step's name is \"%.60s\": letters, digits, \"_\", \"-\" and \".\" were expected, at "
            "most %d",
            name_of(step), NAME_MOST);
    else if (first != step)
        ech_problem_add(&r->problems, name->key_line, name->key_column,
                        "two steps are called %s (the other one in line %d)", name_of(step), first->line);
}

/* "hit" for "hits". */
static const char *near_name(const struct reader *r, const char *word)
{
    const char *names[ECH_STEPS_MOST + 1];
    int n = 0;
    for (const struct ech_node *step = r->list->first; step && n < ECH_STEPS_MOST; step = step->next)
        names[n++] = name_of(step);
    names[n] = NULL;
    return ech_nearest(word, names);
}

static void check_after(struct reader *r, const struct ech_node *step, const struct ech_node *word)
{
    const char *text = word->kind == ECH_NODE_SCALAR ? word->text : "";
    if (!ech_steps_find(r->list, text)) {
        const char *near = near_name(r, text);
        ech_problem_add(&r->problems, word->line, word->column, "after: no step is called \"%.60s\"%s%s%s",
                        text, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    } else if (strcmp(text, name_of(step)) == 0)
        ech_problem_add(&r->problems, word->line, word->column, "after: step %s would wait for itself", text);
}

static const struct ech_node *first_word(const struct ech_node *after)
{
    if (!after || ech_node_is_null(after))
        return NULL;
    return after->kind == ECH_NODE_LIST ? after->first : after;
}

/* One value is a list of one, and has no neighbour that counts. */
static const struct ech_node *next_word(const struct ech_node *after, const struct ech_node *word)
{
    return after->kind == ECH_NODE_LIST ? word->next : NULL;
}

static void check_step(struct reader *r, const struct ech_node *step)
{
    if (step->kind != ECH_NODE_MAP) {
        ech_problem_add(&r->problems, step->line, step->column,
                        "a step is a %s, a map of keys was expected (name: ..., kind: ...)",
                        ech_node_kind_name(step));
        return;
    }
    const struct ech_node *after = child_of(step, "after"), *inner = child_of(step, "steps");
    check_name(r, step);
    if (inner)
        ech_problem_add(&r->problems, inner->key_line, inner->key_column, "a step has no steps of its own");
    for (const struct ech_node *word = first_word(after); word; word = next_word(after, word))
        check_after(r, step, word);
}

static void check_list(struct reader *r)
{
    const struct ech_node *list = r->list;
    if (list->kind != ECH_NODE_LIST || !list->first)
        ech_problem_add(&r->problems, list->key_line, list->key_column,
                        "steps is %s, a list of jobs with names was expected",
                        list->kind == ECH_NODE_LIST ? "empty" : "no list");
    else if (list->children > ECH_STEPS_MOST)
        ech_problem_add(&r->problems, list->key_line, list->key_column,
                        "steps has %d items, at most %d are read", list->children, ECH_STEPS_MOST);
    else
        for (const struct ech_node *step = list->first; step; step = step->next)
            check_step(r, step);
}

/* ---- order ---- */

static int fill_step(const struct ech_node *node, struct ech_step *out, struct ech_err *err)
{
    const struct ech_node *after = child_of(node, "after");
    int count = 0;
    for (const struct ech_node *word = first_word(after); word; word = next_word(after, word))
        count++;
    out->name = ech_strdup(name_of(node), err);
    out->after.items = ech_calloc((size_t)count + 1, sizeof *out->after.items, err);
    if (!out->name || !out->after.items)
        return ECH_UNAVAILABLE;
    for (const struct ech_node *word = first_word(after); word; word = next_word(after, word))
        if (!(out->after.items[out->after.count++] = ech_strdup(word->text, err)))
            return ECH_UNAVAILABLE;
    return ECH_OK;
}

static bool is_in(const struct ech_steps *steps, const char *name)
{
    for (int i = 0; i < steps->count; i++)
        if (strcmp(steps->items[i].name, name) == 0)
            return true;
    return false;
}

static bool may_follow(const struct ech_steps *steps, const struct ech_node *node)
{
    const struct ech_node *after = child_of(node, "after");
    for (const struct ech_node *word = first_word(after); word; word = next_word(after, word))
        if (!is_in(steps, word->text))
            return false;
    return true;
}

/* Again and again the first of the list that waits for nothing any more. */
static int put_in_order(struct reader *r, struct ech_steps *out)
{
    out->items = ech_calloc((size_t)r->list->children, sizeof *out->items, r->err);
    if (!out->items)
        return ECH_UNAVAILABLE;
    for (int left = r->list->children; left > 0; left--) {
        const struct ech_node *step = r->list->first;
        while (step && (is_in(out, name_of(step)) || !may_follow(out, step)))
            step = step->next;
        if (!step)
            break;
        int code = fill_step(step, &out->items[out->count], r->err);
        out->count++;
        if (code != ECH_OK)
            return code;
    }
    for (const struct ech_node *step = r->list->first; step && out->count < r->list->children;
         step = step->next)
        if (!is_in(out, name_of(step)))
            ech_problem_add(&r->problems, step->line, step->column,
                            "step %s waits for itself through `after` of others", name_of(step));
    return ECH_OK;
}

int ech_steps_load(const char *path, struct ech_steps *out, struct ech_err *err)
{
    struct ech_config_request request = {.path = path};
    struct reader *r = ech_calloc(1, sizeof *r, err);
    struct ech_steps steps = {0};
    struct ech_doc doc = {0};
    struct ech_err why = ECH_ERR_NONE;
    char *text = NULL;
    size_t bytes = 0;
    *out = steps;
    if (!r || strcmp(path, "-") == 0) { /* standard input is read once, as one job */
        int early = r ? ECH_OK : ECH_UNAVAILABLE;
        ech_free(r);
        return early;
    }
    r->problems.file = path;
    r->err = err;
    int code = ech_loader_read(&request, &text, &bytes, &why);
    if (code != ECH_OK && code != ECH_CONFIG)
        *err = why;
    bool parsed = code == ECH_OK && (code = ech_doc_parse(text, bytes, &doc, &r->problems, err)) == ECH_OK;
    r->list = parsed ? ech_steps_node(doc.root) : NULL;
    if (r->list)
        check_list(r);
    if (r->list && !r->problems.count)
        code = put_in_order(r, &steps);
    if (r->list && code == ECH_OK)
        code = ech_problems_report(&r->problems, err);
    if (code == ECH_CONFIG && !r->list) /* no job file: loading says why */
        code = ECH_OK;
    if (code == ECH_OK)
        *out = steps;
    else
        ech_steps_fini(&steps);
    ech_doc_fini(&doc);
    ech_free(text);
    ech_free(r);
    return code;
}

void ech_steps_fini(struct ech_steps *steps)
{
    for (int i = 0; i < steps->count; i++) {
        for (int a = 0; a < steps->items[i].after.count; a++)
            ech_free(steps->items[i].after.items[a]);
        ech_free(steps->items[i].after.items);
        ech_free(steps->items[i].name);
    }
    ech_free(steps->items);
    *steps = (struct ech_steps){0};
}
