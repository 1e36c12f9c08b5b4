/* Walking the YAML of a manifest: see manifest_yaml.h. */
#include "data/manifest_yaml.h"

#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ech_manifest_fail_at(struct ech_manifest_reader *r, yaml_mark_t mark, const char *text)
{
    return ech_fail_at(r->err, ECH_DATA, r->name, (int)mark.line + 1, (int)mark.column + 1, "%s", text);
}

int ech_manifest_fail(struct ech_manifest_reader *r, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return ech_manifest_fail_at(r, r->event.start_mark, text);
}

int ech_manifest_next(struct ech_manifest_reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR)
            return ech_fail(r->err, ECH_UNAVAILABLE, "%s: out of memory", r->name);
        char text[256];
        snprintf(text, sizeof text, "not YAML: %s", r->parser.problem ? r->parser.problem : "unreadable");
        return ech_manifest_fail_at(r, r->parser.problem_mark, text);
    }
    r->has_event = true;
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT)
        return ech_manifest_fail(r, "an alias (*name) is not allowed in a manifest");
    if ((e->type == YAML_SCALAR_EVENT && (e->data.scalar.anchor || e->data.scalar.tag)) ||
        (e->type == YAML_MAPPING_START_EVENT &&
         (e->data.mapping_start.anchor || e->data.mapping_start.tag)) ||
        (e->type == YAML_SEQUENCE_START_EVENT &&
         (e->data.sequence_start.anchor || e->data.sequence_start.tag)))
        return ech_manifest_fail(r, "an anchor (&name) or tag (!name) is not allowed in a manifest");
    return ECH_OK;
}

int ech_manifest_expect(struct ech_manifest_reader *r, yaml_event_type_t type, const char *what)
{
    return r->event.type == type ? ECH_OK : ech_manifest_fail(r, "%s was expected here", what);
}

int ech_manifest_scalar(struct ech_manifest_reader *r, const char *what, size_t most, const char **text)
{
    int code = ech_manifest_expect(r, YAML_SCALAR_EVENT, what);
    if (code != ECH_OK)
        return code;
    size_t length = r->event.data.scalar.length;
    const char *value = (const char *)r->event.data.scalar.value;
    if (length > most || memchr(value, '\0', length))
        return ech_manifest_fail(r, "%s: at most %zu bytes of text were expected", what, most);
    *text = value;
    return ECH_OK;
}

int ech_manifest_integer(struct ech_manifest_reader *r, const char *what, int64_t least, int64_t most,
                         int64_t *out)
{
    const char *text = "";
    int64_t value;
    int code = ech_manifest_scalar(r, what, 32, &text);
    if (code != ECH_OK)
        return code;
    if (!ech_parse_int(text, &value) || value < least || value > most)
        return ech_manifest_fail(r, "%s is '%s', a whole number from %lld to %lld was expected", what, text,
                                 (long long)least, (long long)most);
    *out = value;
    return ECH_OK;
}

int ech_manifest_hash(struct ech_manifest_reader *r, const char *what, struct ech_hash *out)
{
    const char *text = "";
    int code = ech_manifest_scalar(r, what, 64, &text);
    if (code == ECH_OK && !ech_hash_parse(text, out))
        code = ech_manifest_fail(r, "%s is '%s', 32 hexadecimal digits were expected", what, text);
    return code;
}

/* The keys of one mapping, to refuse one that comes twice. */
struct seen {
    struct ech_hash keys[ECH_MANIFEST_KEYS_MOST];
    int count;
};

static int see_key(struct ech_manifest_reader *r, struct seen *seen)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return ech_manifest_fail(r, "a key must be plain text");
    struct ech_hash h = ech_hash_bytes(r->event.data.scalar.value, r->event.data.scalar.length);
    for (int i = 0; i < seen->count; i++)
        if (ech_hash_equal(seen->keys[i], h))
            return ech_manifest_fail(r, "the key '%.64s' comes twice",
                                     (const char *)r->event.data.scalar.value);
    if (seen->count == ECH_MANIFEST_KEYS_MOST)
        return ech_manifest_fail(r, "a mapping with more than %d keys", ECH_MANIFEST_KEYS_MOST);
    seen->keys[seen->count++] = h;
    return ECH_OK;
}

static int skip_mapping(struct ech_manifest_reader *r, int depth)
{
    struct seen seen = {.count = 0};
    int code = ech_manifest_next(r);
    while (code == ECH_OK && r->event.type != YAML_MAPPING_END_EVENT) {
        code = see_key(r, &seen);
        if (code == ECH_OK)
            code = ech_manifest_next(r);
        if (code == ECH_OK)
            code = ech_manifest_skip(r, depth + 1);
        if (code == ECH_OK)
            code = ech_manifest_next(r);
    }
    return code;
}

int ech_manifest_skip(struct ech_manifest_reader *r, int depth)
{
    if (depth > ECH_MANIFEST_DEPTH_MOST)
        return ech_manifest_fail(r, "nested deeper than %d levels", ECH_MANIFEST_DEPTH_MOST);
    if (r->event.type == YAML_SCALAR_EVENT)
        return ECH_OK;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return skip_mapping(r, depth);
    int code = ech_manifest_expect(r, YAML_SEQUENCE_START_EVENT, "a value");
    while (code == ECH_OK && (code = ech_manifest_next(r)) == ECH_OK &&
           r->event.type != YAML_SEQUENCE_END_EVENT)
        code = ech_manifest_skip(r, depth + 1);
    return code;
}

int ech_manifest_mapping(struct ech_manifest_reader *r, const struct ech_manifest_field *fields, size_t count,
                         const char *what)
{
    yaml_mark_t start = r->event.start_mark;
    struct seen seen = {.count = 0};
    unsigned found = 0;
    int code = ech_manifest_expect(r, YAML_MAPPING_START_EVENT, what);
    while (code == ECH_OK && (code = ech_manifest_next(r)) == ECH_OK &&
           r->event.type != YAML_MAPPING_END_EVENT) {
        code = see_key(r, &seen);
        if (code != ECH_OK)
            break;
        size_t f = 0;
        while (f < count && strcmp(fields[f].name, (const char *)r->event.data.scalar.value) != 0)
            f++;
        code = ech_manifest_next(r);
        if (code == ECH_OK && f < count)
            found |= 1u << f;
        if (code == ECH_OK)
            code = f < count ? fields[f].read(r) : ech_manifest_skip(r, 1);
    }
    for (size_t f = 0; f < count && code == ECH_OK; f++)
        if (fields[f].required && !(found & 1u << f)) {
            char text[128];
            snprintf(text, sizeof text, "%s without '%s'", what, fields[f].name);
            code = ech_manifest_fail_at(r, start, text);
        }
    return code;
}

int ech_manifest_sequence(struct ech_manifest_reader *r, int (*item)(struct ech_manifest_reader *),
                          const char *what)
{
    int code = ech_manifest_expect(r, YAML_SEQUENCE_START_EVENT, what);
    while (code == ECH_OK && (code = ech_manifest_next(r)) == ECH_OK &&
           r->event.type != YAML_SEQUENCE_END_EVENT)
        code = item(r);
    return code;
}
