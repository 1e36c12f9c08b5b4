/* YAML to a tree: see doc.h. libyaml's parser gives events; a stack (the parents' chain) builds the tree. */
#include "config/doc.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const char *text;
    size_t bytes;
    struct ech_doc *doc;
    struct ech_node *parent; /* open list or map */
    struct ech_node *key;    /* key read, its value is next (a node that is only a holder) */
    int depth;
    struct ech_problems *problems;
    struct ech_err *err;
};

static int line_of(yaml_mark_t mark)
{
    return mark.line < 100000000 ? (int)mark.line + 1 : 0;
}

static int column_of(yaml_mark_t mark)
{
    return mark.column < 100000000 ? (int)mark.column + 1 : 0;
}

static int refuse(struct reader *r, const yaml_event_t *event, const char *text)
{
    ech_problem_add(r->problems, line_of(event->start_mark), column_of(event->start_mark), "%s", text);
    return ECH_CONFIG;
}

/* Line and column (in characters) of a byte of the text. */
static void place(const char *text, size_t at, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at; i++) {
        bool newline = text[i] == '\n';
        *line += newline;
        *column = newline ? 1 : *column + (((unsigned char)text[i] & 0xC0) != 0x80);
    }
}

/* Start of a line (from 1), or NULL. */
static const char *line_start(const char *text, size_t bytes, int line)
{
    const char *p = text, *end = text + bytes;
    for (int i = 1; i < line && p; i++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    return p;
}

/* Column of a tab that indents the given line, 0 where there is none. */
static int tab_in_indent(const char *text, size_t bytes, int line)
{
    const char *p = line_start(text, bytes, line), *end = text + bytes;
    for (int column = 1; p && p < end && (*p == ' ' || *p == '\t'); p++, column++)
        if (*p == '\t')
            return column;
    return 0;
}

/* "key: {a} {b}": a text that begins with a brace and has no quotes. */
static bool has_bare_braces(const char *text, size_t bytes, int line)
{
    const char *p = line_start(text, bytes, line), *end = text + bytes;
    while (p && p + 3 < end && *p != '\n' && !(p[0] == ':' && p[1] == ' ' && p[2] == '{'))
        p++;
    return p && p + 3 < end && *p == ':';
}

static int syntax_error(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return ech_fail(r->err, ECH_UNAVAILABLE, "out of memory while parsing YAML");
    int line = line_of(p->problem_mark), column = column_of(p->problem_mark);
    if (p->error == YAML_READER_ERROR)
        place(r->text, p->problem_offset < r->bytes ? p->problem_offset : r->bytes, &line, &column);
    for (int back = 0; back < 2 && line - back > 0; back++) {
        int tab = tab_in_indent(r->text, r->bytes, line - back);
        if (tab) {
            ech_problem_add(r->problems, line - back, tab,
                            "a tab in the indentation: YAML allows spaces only");
            return ECH_CONFIG;
        }
    }
    char context[200] = "";
    if (p->context)
        snprintf(context, sizeof context, " %s (begun in line %d)", p->context, line_of(p->context_mark));
    const char *hint =
        has_bare_braces(r->text, r->bytes, line) ? "; a text that begins with { needs quotes" : "";
    ech_problem_add(r->problems, line, column, "not valid YAML: %s%s%s",
                    p->problem ? p->problem : "unreadable", context, hint);
    return ECH_CONFIG;
}

static struct ech_node *new_node(struct reader *r, enum ech_node_kind kind, const yaml_event_t *event)
{
    struct ech_node *node = ech_calloc(1, sizeof *node, r->err);
    if (!node)
        return NULL;
    node->kind = kind;
    node->line = line_of(event->start_mark);
    node->column = column_of(event->start_mark);
    node->all = r->doc->all;
    r->doc->all = node;
    r->doc->nodes++;
    return node;
}

/* The text of a scalar. libyaml lets "\0" through. */
static int take_text(struct reader *r, const yaml_event_t *event, char **out)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(value, '\0', length))
        return refuse(r, event, "a NUL character in a value");
    if (ech_utf8_invalid_at(value, length) >= 0)
        return refuse(r, event, "an escape that is not a valid character");
    *out = ech_strndup(value, length, r->err);
    return *out ? ECH_OK : ECH_UNAVAILABLE;
}

static const struct ech_node *find_key(const struct ech_node *map, const char *key)
{
    for (const struct ech_node *child = map->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

static int take_key(struct reader *r, const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(r, event, "a key must be a word");
    if (r->parent->children >= ECH_DOC_KEYS)
        return refuse(r, event, "more than 1000 keys in one map");
    r->key = new_node(r, ECH_NODE_SCALAR, event);
    return r->key ? take_text(r, event, &r->key->key) : ECH_UNAVAILABLE;
}

/* Hang a value into its parent; the holder of the key gives up its place and text. A second value of the
 * same key is noted and stays outside the tree. */
static void attach(struct reader *r, struct ech_node *node)
{
    struct ech_node *parent = r->parent;
    node->parent = parent;
    if (!parent) {
        r->doc->root = node;
        return;
    }
    if (parent->kind == ECH_NODE_MAP) {
        struct ech_node *holder = r->key;
        r->key = NULL;
        node->key = holder->key;
        holder->key = NULL;
        node->key_line = holder->line;
        node->key_column = holder->column;
        const struct ech_node *same = find_key(parent, node->key);
        if (same) {
            ech_problem_add(r->problems, node->key_line, node->key_column,
                            "the key \"%s\" is given twice, first in line %d", node->key, same->key_line);
            return;
        }
    }
    parent->children++;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
}

static int take_scalar(struct reader *r, const yaml_event_t *event)
{
    struct ech_node *node = new_node(r, ECH_NODE_SCALAR, event);
    if (!node)
        return ECH_UNAVAILABLE;
    int code = take_text(r, event, &node->text);
    if (code != ECH_OK)
        return code;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    attach(r, node);
    return ECH_OK;
}

static int open_group(struct reader *r, const yaml_event_t *event, enum ech_node_kind kind)
{
    if (r->depth >= ECH_DOC_DEPTH)
        return refuse(r, event, "nested more than 64 levels deep");
    struct ech_node *node = new_node(r, kind, event);
    if (!node)
        return ECH_UNAVAILABLE;
    attach(r, node);
    r->parent = node;
    r->depth++;
    return ECH_OK;
}

static int refuse_extras(struct reader *r, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT)
        return refuse(r, event, "aliases (*name) are not allowed here: write the value out");
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor)
        return refuse(r, event, "anchors (&name) are not allowed here: write the value out");
    if (tag)
        return refuse(r, event, "tags (!name) are not allowed here: types come from the schema");
    if (r->doc->nodes >= ECH_DOC_NODES)
        return refuse(r, event, "more than 100000 values in one file: large inputs belong into a dataset");
    return ECH_OK;
}

static int take_event(struct reader *r, const yaml_event_t *event)
{
    int code = refuse_extras(r, event);
    if (code != ECH_OK)
        return code;
    bool ends = event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;
    bool value = event->type == YAML_SCALAR_EVENT || event->type == YAML_SEQUENCE_START_EVENT ||
                 event->type == YAML_MAPPING_START_EVENT;
    if (ends) {
        r->parent = r->parent->parent;
        r->depth--;
        return ECH_OK;
    }
    if (value && r->parent && r->parent->kind == ECH_NODE_MAP && !r->key)
        return take_key(r, event);
    if (event->type == YAML_SCALAR_EVENT)
        return take_scalar(r, event);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return open_group(r, event, ECH_NODE_LIST);
    if (event->type == YAML_MAPPING_START_EVENT)
        return open_group(r, event, ECH_NODE_MAP);
    if (event->type == YAML_DOCUMENT_START_EVENT && r->doc->root)
        return refuse(r, event, "a second document in one file: one job a file");
    return ECH_OK;
}

static int read_events(struct reader *r)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event))
            return syntax_error(r);
        bool last = event.type == YAML_STREAM_END_EVENT;
        int code = take_event(r, &event);
        yaml_event_delete(&event);
        if (code != ECH_OK || last)
            return code;
    }
}

int ech_doc_parse(const char *text, size_t bytes, struct ech_doc *out, struct ech_problems *problems,
                  struct ech_err *err)
{
    *out = (struct ech_doc){0};
    int64_t bad = ech_utf8_invalid_at(text, bytes);
    if (bad >= 0) {
        int line, column;
        place(text, (size_t)bad, &line, &column);
        ech_problem_add(problems, line, column, "not valid UTF-8 (byte 0x%02x)", (unsigned char)text[bad]);
        return ECH_CONFIG;
    }
    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    struct reader r = {.text = text, .bytes = bytes, .doc = out, .problems = problems, .err = err};
    if (!yaml_parser_initialize(&r.parser))
        return ech_fail(err, ECH_UNAVAILABLE, "out of memory while parsing YAML");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    int code = read_events(&r);
    yaml_parser_delete(&r.parser);
    return code;
}

/* Text taken as it is. */
static int literal_value(const char *text, struct ech_doc *out, struct ech_err *err)
{
    size_t length = strlen(text);
    while (length && text[length - 1] == ' ')
        length--;
    struct ech_node *node = ech_calloc(1, sizeof *node, err);
    if (!node)
        return ECH_UNAVAILABLE;
    node->plain = true;
    out->root = out->all = node;
    out->nodes = 1;
    node->text = ech_strndup(text, length, err);
    return node->text ? ECH_OK : ECH_UNAVAILABLE;
}

int ech_doc_parse_value(const char *text, struct ech_doc *out, struct ech_problems *problems,
                        struct ech_err *err)
{
    *out = (struct ech_doc){0};
    text += strspn(text, " ");
    if (*text && strchr("[\"'", *text))
        return ech_doc_parse(text, strlen(text), out, problems, err);
    if (ech_utf8_invalid_at(text, strlen(text)) < 0)
        return literal_value(text, out, err);
    ech_problem_add(problems, 0, 0, "not valid UTF-8");
    return ECH_CONFIG;
}

void ech_doc_fini(struct ech_doc *doc)
{
    for (struct ech_node *node = doc->all, *next; node; node = next) {
        next = node->all;
        ech_free(node->text);
        ech_free(node->key);
        ech_free(node);
    }
    *doc = (struct ech_doc){0};
}

const char *ech_node_kind_name(const struct ech_node *node)
{
    static const char *const names[] = {"value", "list", "map"};
    return names[node->kind];
}

bool ech_node_is_null(const struct ech_node *node)
{
    return node->kind == ECH_NODE_SCALAR && node->plain &&
           (!node->text[0] || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
