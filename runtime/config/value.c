/* Text to typed values: see value.h. Types come from the schema alone: quotes make no difference, and YAML's
 * own guesses (no -> false, 012 -> 10, 1:30 -> 90) have no say. */
#include "config/value.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static void *member(const struct ech_field *field, void *base)
{
    return (char *)base + field->offset;
}

/* Absolute, without "." and doubled slashes. ".." stays: it depends on links. */
static char *absolute_path(const char *text, struct ech_err *err)
{
    char cwd[4096];
    if (text[0] != '/' && !getcwd(cwd, sizeof cwd)) {
        ech_fail(err, ECH_UNAVAILABLE, "the working directory cannot be told, so %s has no place", text);
        return NULL;
    }
    char *joined = ech_path_join(text[0] == '/' ? "" : cwd, text, err);
    if (!joined)
        return NULL;
    char *to = joined;
    for (const char *from = joined; *from;) {
        from += strspn(from, "/");
        size_t length = strcspn(from, "/");
        if (length && !(length == 1 && from[0] == '.')) {
            *to++ = '/';
            memmove(to, from, length);
            to += length;
        }
        from += length;
    }
    if (to == joined)
        *to++ = '/';
    *to = '\0';
    return joined;
}

static bool has_choice(const struct ech_field *field, const char *name, int *index)
{
    for (int i = 0; field->choices[i]; i++)
        if (strcmp(field->choices[i], name) == 0) {
            *index = i;
            return true;
        }
    return false;
}

/* A choice by name; where "yes" and "no" are choices every spelling of a truth value is one. */
static bool parse_choice(const struct ech_field *field, const char *text, int *out)
{
    bool truth;
    int no;
    if (has_choice(field, text, out))
        return true;
    return has_choice(field, "no", &no) && ech_parse_bool(text, &truth) &&
           has_choice(field, truth ? "yes" : "no", out);
}

/* Both limits 0: none below (but integers are never negative), none above. */
static bool in_limits(const struct ech_field *field, double value)
{
    double least = field->type == ECH_F_AUTO && field->least < 1 ? 1 : field->least;
    return value >= least && (field->most <= 0 || value <= field->most);
}

/* A limit as people write it: 1KiB, 366d, 4096. */
static const char *print_limit(const struct ech_field *field, double limit, char *out, size_t bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    if (field->type == ECH_F_BYTES)
        for (; limit >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
            limit /= 1024;
    bool days = field->type == ECH_F_TIME && limit >= 86400;
    snprintf(out, bytes, "%.15g%s", days ? limit / 86400 : limit,
             field->type == ECH_F_BYTES  ? units[unit]
             : field->type != ECH_F_TIME ? ""
             : days                      ? "d"
                                         : "s");
    return out;
}

const char *ech_value_expected(const struct ech_field *field, char *out, size_t bytes)
{
    static const char *const names[] = {"a text",
                                        "a path",
                                        "an integer",
                                        "a number",
                                        "true or false",
                                        "a time (90s, 15m, 1:30:00)",
                                        "a size (4096, 64KiB, 16GiB)",
                                        "one of",
                                        "\"auto\" or an integer",
                                        "a list of texts"};
    char range[96] = "", from[32], to[32];
    bool open = (field->type == ECH_F_TIME || field->type == ECH_F_BYTES) && field->least <= 0;
    double least = field->type == ECH_F_AUTO && field->least < 1 ? 1 : field->least;
    if (field->most > 0)
        snprintf(range, sizeof range, "%s%s%s%s", open ? "" : " from ",
                 open ? "" : print_limit(field, least, from, sizeof from), open ? " up to " : " to ",
                 print_limit(field, field->most, to, sizeof to));
    int n = snprintf(out, bytes, "%s%s", names[field->type], range);
    for (int i = 0; field->type == ECH_F_CHOICE && field->choices[i] && n > 0 && (size_t)n < bytes; i++)
        n += snprintf(out + n, bytes - (size_t)n, "%s%s", i ? ", " : " ", field->choices[i]);
    return out;
}

/* Value found, value expected, and the nearest choice. */
static int wrong(const struct ech_field *field, const char *found, char *why, size_t bytes)
{
    char expected[200];
    const char *near = field->type == ECH_F_CHOICE ? ech_nearest(found, field->choices) : NULL;
    snprintf(why, bytes, "%s is \"%.60s%s\", %s was expected%s%s%s", field->path, found,
             strlen(found) > 60 ? "..." : "", ech_value_expected(field, expected, sizeof expected),
             near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    return ECH_CONFIG;
}

static int set_text(const struct ech_field *field, const char *text, char **to, char *why, size_t bytes,
                    struct ech_err *err)
{
    if (field->type == ECH_F_PATH && !text[0]) {
        snprintf(why, bytes, "%s is empty, a path was expected", field->path);
        return ECH_CONFIG;
    }
    char *copy = field->type == ECH_F_PATH ? absolute_path(text, err) : ech_strdup(text, err);
    if (!copy)
        return ECH_UNAVAILABLE;
    ech_free(*to);
    *to = copy;
    return ECH_OK;
}

/* Numbers of every kind. */
static bool set_number(const struct ech_field *field, const char *text, void *to)
{
    int64_t whole = 0;
    double number = 0;
    int choice = 0;
    bool truth = false;
    switch (field->type) {
    case ECH_F_INT:
        if (!ech_parse_int(text, &whole) || !in_limits(field, (double)whole))
            return false;
        *(int64_t *)to = whole;
        return true;
    case ECH_F_AUTO:
        if (strcmp(text, "auto") != 0 && (!ech_parse_int(text, &whole) || !in_limits(field, (double)whole)))
            return false;
        *(int64_t *)to = whole;
        return true;
    case ECH_F_BYTES:
        if (!ech_parse_bytes(text, &whole) || !in_limits(field, (double)whole))
            return false;
        *(int64_t *)to = whole;
        return true;
    case ECH_F_FLOAT:
    case ECH_F_TIME:
        if (!(field->type == ECH_F_TIME ? ech_parse_time(text, &number) : ech_parse_float(text, &number)) ||
            !in_limits(field, number))
            return false;
        *(double *)to = number;
        return true;
    case ECH_F_BOOL:
        if (!ech_parse_bool(text, &truth))
            return false;
        *(bool *)to = truth;
        return true;
    default:
        if (!parse_choice(field, text, &choice))
            return false;
        *(int *)to = choice;
        return true;
    }
}

static void list_fini(struct ech_list *list)
{
    for (int i = 0; i < list->count; i++)
        ech_free(list->items[i]);
    ech_free(list->items);
    *list = (struct ech_list){0};
}

static int set_list(const struct ech_field *field, const struct ech_node *node, struct ech_list *to,
                    char *why, size_t bytes, struct ech_err *err)
{
    bool one = node->kind == ECH_NODE_SCALAR;
    struct ech_list list = {0};
    list.items = ech_calloc((size_t)(one ? 1 : node->children) + 1, sizeof *list.items, err);
    int code = list.items ? ECH_OK : ECH_UNAVAILABLE;
    for (const struct ech_node *item = one ? node : node->first; code == ECH_OK && item;
         item = one ? NULL : item->next) {
        if (item->kind != ECH_NODE_SCALAR) {
            snprintf(why, bytes, "item %d of %s is a %s, a text was expected", list.count + 1, field->path,
                     ech_node_kind_name(item));
            code = ECH_CONFIG;
            break;
        }
        list.items[list.count] = ech_strdup(item->text, err);
        code = list.items[list.count] ? ECH_OK : ECH_UNAVAILABLE;
        list.count += code == ECH_OK;
    }
    if (code != ECH_OK) {
        list_fini(&list);
        return code;
    }
    list_fini(to);
    *to = list;
    return ECH_OK;
}

int ech_value_set(const struct ech_field *field, const struct ech_node *node, void *base, char *why,
                  size_t bytes, struct ech_err *err)
{
    bool list = field->type == ECH_F_LIST;
    if (node->kind != ECH_NODE_SCALAR && !(list && node->kind == ECH_NODE_LIST)) {
        char expected[200];
        snprintf(why, bytes, "%s is a %s, %s was expected%s", field->path, ech_node_kind_name(node),
                 ech_value_expected(field, expected, sizeof expected),
                 field->type == ECH_F_STRING ? " (a text that begins with { or [ needs quotes)" : "");
        return ECH_CONFIG;
    }
    void *to = member(field, base);
    if (list)
        return set_list(field, node, to, why, bytes, err);
    if (field->type == ECH_F_STRING || field->type == ECH_F_PATH)
        return set_text(field, node->text, to, why, bytes, err);
    return set_number(field, node->text, to) ? ECH_OK : wrong(field, node->text, why, bytes);
}

int ech_value_set_fallback(const struct ech_field *field, void *base, struct ech_err *err)
{
    char why[256] = "";
    if (!field->fallback)
        return ECH_OK;
    struct ech_node node = {.kind = ECH_NODE_SCALAR, .text = (char *)(uintptr_t)field->fallback};
    int code = ech_value_set(field, &node, base, why, sizeof why, err);
    ECH_ASSERT(code != ECH_CONFIG, "the default of %s: %s", field->path, why);
    return code;
}

void ech_value_fini(const struct ech_field *field, void *base)
{
    void *to = member(field, base);
    if (field->type == ECH_F_LIST)
        list_fini(to);
    else if (field->type == ECH_F_STRING || field->type == ECH_F_PATH) {
        ech_free(*(char **)to);
        *(char **)to = NULL;
    }
}
