/* Reading a manifest: see manifest.h. libyaml's events walked by a small descent; each mapping has a table of
 * the keys it knows, the rest is skipped under the same limits. */
#include "data/manifest.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    const char *name;
    struct ech_manifest m;
    struct ech_manifest_shard shard; /* being read */
    struct ech_column column;
    struct ech_err *err;
};

static int fail_mark(struct reader *r, yaml_mark_t mark, const char *text)
{
    return ech_fail_at(r->err, ECH_DATA, r->name, (int)mark.line + 1, (int)mark.column + 1, "%s", text);
}

#define FAIL(r, ...) fail_here((r), __VA_ARGS__)
static int fail_here(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail_here(struct reader *r, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fail_mark(r, r->event.start_mark, text);
}

/* The next event. Aliases, anchors and tags have no place in a manifest. */
static int next(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR)
            return ech_fail(r->err, ECH_UNAVAILABLE, "%s: out of memory", r->name);
        char text[256];
        snprintf(text, sizeof text, "not YAML: %s", r->parser.problem ? r->parser.problem : "unreadable");
        return fail_mark(r, r->parser.problem_mark, text);
    }
    r->has_event = true;
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT)
        return FAIL(r, "an alias (*name) is not allowed in a manifest");
    if ((e->type == YAML_SCALAR_EVENT && (e->data.scalar.anchor || e->data.scalar.tag)) ||
        (e->type == YAML_MAPPING_START_EVENT &&
         (e->data.mapping_start.anchor || e->data.mapping_start.tag)) ||
        (e->type == YAML_SEQUENCE_START_EVENT &&
         (e->data.sequence_start.anchor || e->data.sequence_start.tag)))
        return FAIL(r, "an anchor (&name) or tag (!name) is not allowed in a manifest");
    return ECH_OK;
}

static int expect(struct reader *r, yaml_event_type_t type, const char *what)
{
    return r->event.type == type ? ECH_OK : FAIL(r, "%s was expected here", what);
}

/* Text of the current scalar, without a NUL inside, at most `most` bytes. */
static int scalar(struct reader *r, const char *what, size_t most, const char **text)
{
    int code = expect(r, YAML_SCALAR_EVENT, what);
    if (code != ECH_OK)
        return code;
    size_t length = r->event.data.scalar.length;
    const char *value = (const char *)r->event.data.scalar.value;
    if (length > most || memchr(value, '\0', length))
        return FAIL(r, "%s: at most %zu bytes of text were expected", what, most);
    *text = value;
    return ECH_OK;
}

static int integer(struct reader *r, const char *what, int64_t least, int64_t most, int64_t *out)
{
    const char *text = "";
    int64_t value;
    int code = scalar(r, what, 32, &text);
    if (code != ECH_OK)
        return code;
    if (!ech_parse_int(text, &value) || value < least || value > most)
        return FAIL(r, "%s is '%s', a whole number from %lld to %lld was expected", what, text,
                    (long long)least, (long long)most);
    *out = value;
    return ECH_OK;
}

static int hash(struct reader *r, const char *what, struct ech_hash *out)
{
    const char *text = "";
    int code = scalar(r, what, 64, &text);
    if (code == ECH_OK && !ech_hash_parse(text, out))
        code = FAIL(r, "%s is '%s', 32 hexadecimal digits were expected", what, text);
    return code;
}

/* The keys of one mapping, to refuse one that comes twice. */
struct seen {
    struct ech_hash keys[ECH_MANIFEST_KEYS_MOST];
    int count;
};

static int see_key(struct reader *r, struct seen *seen)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return FAIL(r, "a key must be plain text");
    struct ech_hash h = ech_hash_bytes(r->event.data.scalar.value, r->event.data.scalar.length);
    for (int i = 0; i < seen->count; i++)
        if (ech_hash_equal(seen->keys[i], h))
            return FAIL(r, "the key '%.64s' comes twice", (const char *)r->event.data.scalar.value);
    if (seen->count == ECH_MANIFEST_KEYS_MOST)
        return FAIL(r, "a mapping with more than %d keys", ECH_MANIFEST_KEYS_MOST);
    seen->keys[seen->count++] = h;
    return ECH_OK;
}

static int skip(struct reader *r, int depth);

static int skip_mapping(struct reader *r, int depth)
{
    struct seen seen = {.count = 0};
    int code = next(r);
    while (code == ECH_OK && r->event.type != YAML_MAPPING_END_EVENT) {
        code = see_key(r, &seen);
        if (code == ECH_OK)
            code = next(r);
        if (code == ECH_OK)
            code = skip(r, depth + 1);
        if (code == ECH_OK)
            code = next(r);
    }
    return code;
}

/* Pass over the current value, whatever it is; ends on its last event. */
static int skip(struct reader *r, int depth)
{
    if (depth > ECH_MANIFEST_DEPTH_MOST)
        return FAIL(r, "nested deeper than %d levels", ECH_MANIFEST_DEPTH_MOST);
    if (r->event.type == YAML_SCALAR_EVENT)
        return ECH_OK;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return skip_mapping(r, depth);
    int code = expect(r, YAML_SEQUENCE_START_EVENT, "a value");
    while (code == ECH_OK && (code = next(r)) == ECH_OK && r->event.type != YAML_SEQUENCE_END_EVENT)
        code = skip(r, depth + 1);
    return code;
}

struct field {
    const char *name;
    int (*read)(struct reader *);
    bool required;
};

/* The mapping that begins at the current event, by its table. */
static int mapping(struct reader *r, const struct field *fields, size_t count, const char *what)
{
    yaml_mark_t start = r->event.start_mark;
    struct seen seen = {.count = 0};
    unsigned found = 0;
    int code = expect(r, YAML_MAPPING_START_EVENT, what);
    while (code == ECH_OK && (code = next(r)) == ECH_OK && r->event.type != YAML_MAPPING_END_EVENT) {
        code = see_key(r, &seen);
        if (code != ECH_OK)
            break;
        size_t f = 0;
        while (f < count && strcmp(fields[f].name, (const char *)r->event.data.scalar.value) != 0)
            f++;
        code = next(r);
        if (code == ECH_OK && f < count)
            found |= 1u << f;
        if (code == ECH_OK)
            code = f < count ? fields[f].read(r) : skip(r, 1);
    }
    for (size_t f = 0; f < count && code == ECH_OK; f++)
        if (fields[f].required && !(found & 1u << f)) {
            char text[128];
            snprintf(text, sizeof text, "%s without '%s'", what, fields[f].name);
            code = fail_mark(r, start, text);
        }
    return code;
}

/* Each item of the sequence that begins at the current event. */
static int sequence(struct reader *r, int (*item)(struct reader *), const char *what)
{
    int code = expect(r, YAML_SEQUENCE_START_EVENT, what);
    while (code == ECH_OK && (code = next(r)) == ECH_OK && r->event.type != YAML_SEQUENCE_END_EVENT)
        code = item(r);
    return code;
}

static int read_column_name(struct reader *r)
{
    const char *text = "";
    int code = scalar(r, "name of a column", ECH_NAME_MAX - 1, &text);
    if (code == ECH_OK)
        snprintf(r->column.name, sizeof r->column.name, "%s", text);
    return code;
}

static int read_column_type(struct reader *r)
{
    const char *text = "";
    int code = scalar(r, "type of a column", ECH_NAME_MAX, &text);
    if (code == ECH_OK && !ech_ctype_parse(text, &r->column.type))
        code = FAIL(r, "'%s' is no type of a column (text, json, tensor, ints)", text);
    return code;
}

static int read_column_dtype(struct reader *r)
{
    const char *text = "";
    int code = scalar(r, "dtype of a column", ECH_NAME_MAX, &text);
    if (code == ECH_OK && !ech_dtype_parse(text, &r->column.dtype))
        code = FAIL(r, "'%s' is no dtype (u8, f16, f32, f64, i64)", text);
    return code;
}

static int read_column_dim(struct reader *r)
{
    return integer(r, "dim of a column", 0, INT32_MAX, &r->column.dim);
}

static int read_column(struct reader *r)
{
    static const struct field fields[] = {
        {"name", read_column_name, true},
        {"type", read_column_type, true},
        {"dtype", read_column_dtype, true},
        {"dim", read_column_dim, true},
    };
    yaml_mark_t start = r->event.start_mark;
    r->column = (struct ech_column){0};
    int code = mapping(r, fields, sizeof fields / sizeof fields[0], "a column");
    struct ech_manifest *m = &r->m;
    if (code == ECH_OK && m->column_count == ECH_COLUMNS_MAX)
        code = fail_mark(r, start, "more columns than can be stored");
    if (code == ECH_OK)
        code = ech_grow((void **)&m->columns, &m->column_capacity, m->column_count + 1, sizeof *m->columns,
                        r->err);
    if (code != ECH_OK)
        return code;
    m->columns[m->column_count++] = r->column;
    struct ech_err reason = ECH_ERR_NONE;
    if (ech_columns_check(m->columns, (int)m->column_count, &reason) != ECH_OK)
        return fail_mark(r, start, reason.text);
    return ECH_OK;
}

static int read_shard_file(struct reader *r)
{
    char expected[ECH_SHARD_NAME];
    const char *text = "";
    int code = scalar(r, "file of a shard", 255, &text);
    ech_shard_name((int64_t)r->m.shard_count, expected);
    if (code == ECH_OK && strcmp(text, expected) != 0)
        code = FAIL(r, "the file of shard %zu is '%s', %s was expected", r->m.shard_count, text, expected);
    if (code == ECH_OK)
        memcpy(r->shard.file, expected, sizeof expected);
    return code;
}

static int read_shard_generation(struct reader *r)
{
    return integer(r, "generation of a shard", 1, INT64_MAX, &r->shard.generation);
}

static int read_shard_first(struct reader *r)
{
    return integer(r, "first_row of a shard", 0, INT64_MAX, &r->shard.first_row);
}

static int read_shard_rows(struct reader *r)
{
    return integer(r, "rows of a shard", 1, INT64_MAX, &r->shard.rows);
}

static int read_shard_bytes(struct reader *r)
{
    return integer(r, "bytes of a shard", 1, INT64_MAX, &r->shard.bytes);
}

static int read_root(struct reader *r)
{
    struct ech_manifest *m = &r->m;
    if (m->root_count == (m->shard_count + 1) * m->column_count)
        return FAIL(r, "more roots than the %zu columns listed above", m->column_count);
    int code = ech_grow((void **)&m->roots, &m->root_capacity, m->root_count + 1, sizeof *m->roots, r->err);
    if (code == ECH_OK)
        code = hash(r, "a root", &m->roots[m->root_count]);
    if (code == ECH_OK)
        m->root_count++;
    return code;
}

static int read_roots(struct reader *r)
{
    return sequence(r, read_root, "a list of roots");
}

/* A shard follows its predecessor and has a root a column. */
static int check_shard(struct reader *r, yaml_mark_t start)
{
    struct ech_manifest *m = &r->m;
    int64_t first = 0;
    if (m->shard_count > 0)
        first = m->shards[m->shard_count - 1].first_row + m->shards[m->shard_count - 1].rows;
    if (r->shard.first_row != first || r->shard.rows > INT64_MAX - first)
        return fail_mark(r, start, "first_row does not follow the shard before");
    if (m->shard_count > 0 && r->shard.generation < m->shards[m->shard_count - 1].generation)
        return fail_mark(r, start, "the generation is below that of the shard before");
    if (m->column_count == 0 || m->root_count != (m->shard_count + 1) * m->column_count)
        return fail_mark(r, start, "a shard needs one root a column, and the columns before the shards");
    for (size_t c = 0; c < m->column_count; c++) {
        int64_t width = m->columns[c].dim > 0 ? ech_column_row_bytes(&m->columns[c]) : 8;
        if (r->shard.rows > r->shard.bytes / width)
            return fail_mark(r, start, "more rows than a file of that many bytes can hold");
    }
    return ECH_OK;
}

static int read_shard(struct reader *r)
{
    static const struct field fields[] = {
        {"file", read_shard_file, true},       {"generation", read_shard_generation, true},
        {"first_row", read_shard_first, true}, {"rows", read_shard_rows, true},
        {"bytes", read_shard_bytes, true},     {"roots", read_roots, true},
    };
    yaml_mark_t start = r->event.start_mark;
    struct ech_manifest *m = &r->m;
    r->shard = (struct ech_manifest_shard){0};
    int code = mapping(r, fields, sizeof fields / sizeof fields[0], "a shard");
    if (code == ECH_OK)
        code = check_shard(r, start);
    if (code == ECH_OK)
        code =
            ech_grow((void **)&m->shards, &m->shard_capacity, m->shard_count + 1, sizeof *m->shards, r->err);
    if (code == ECH_OK)
        m->shards[m->shard_count++] = r->shard;
    return code;
}

static int read_format(struct reader *r)
{
    return integer(r, "format", 1, INT32_MAX, &r->m.format);
}

static int read_min_reader(struct reader *r)
{
    int code = integer(r, "min_reader", 1, INT32_MAX, &r->m.min_reader);
    if (code == ECH_OK && r->m.min_reader > ECH_MANIFEST_FORMAT)
        code = FAIL(r,
                    "this dataset needs a reader of format %lld, this program knows format %d: use a newer "
                    "version of the program",
                    (long long)r->m.min_reader, ECH_MANIFEST_FORMAT);
    return code;
}

static int read_uuid(struct reader *r)
{
    return hash(r, "uuid", &r->m.uuid);
}

static int read_generation(struct reader *r)
{
    return integer(r, "generation", 1, INT64_MAX, &r->m.generation);
}

static int read_rows(struct reader *r)
{
    return integer(r, "rows", 0, INT64_MAX, &r->m.rows);
}

static int read_encoding(struct reader *r)
{
    const char *text = "";
    int code = scalar(r, "encoding", 64, &text);
    if (code == ECH_OK && strcmp(text, "plain") != 0)
        code = FAIL(r, "encoding '%s' is not known, 'plain' was expected", text);
    return code;
}

static int refuse_key(struct reader *r)
{
    return FAIL(r, "an encoding of 'plain' has no keys");
}

static int read_keys(struct reader *r)
{
    return sequence(r, refuse_key, "a list of keys");
}

static int read_columns(struct reader *r)
{
    if (r->m.shard_count > 0)
        return FAIL(r, "the columns must stand before the shards");
    return sequence(r, read_column, "a list of columns");
}

static int read_shards(struct reader *r)
{
    return sequence(r, read_shard, "a list of shards");
}

static int read_provenance(struct reader *r)
{
    return skip(r, 1);
}

static int read_hash(struct reader *r)
{
    struct ech_hash unused; /* compared over the text, see check_hash */
    return hash(r, "hash", &unused);
}

static int read_document(struct reader *r)
{
    static const struct field fields[] = {
        {"format", read_format, true}, {"min_reader", read_min_reader, true},
        {"uuid", read_uuid, true},     {"generation", read_generation, true},
        {"rows", read_rows, true},     {"encoding", read_encoding, true},
        {"keys", read_keys, true},     {"columns", read_columns, true},
        {"shards", read_shards, true}, {"provenance", read_provenance, true},
        {"hash", read_hash, true},
    };
    int code = next(r);
    if (code == ECH_OK)
        code = expect(r, YAML_STREAM_START_EVENT, "the start of a manifest");
    if (code == ECH_OK)
        code = next(r);
    if (code == ECH_OK)
        code = expect(r, YAML_DOCUMENT_START_EVENT, "a manifest");
    if (code == ECH_OK)
        code = next(r);
    if (code == ECH_OK)
        code = mapping(r, fields, sizeof fields / sizeof fields[0], "a manifest");
    if (code == ECH_OK)
        code = next(r);
    if (code == ECH_OK)
        code = expect(r, YAML_DOCUMENT_END_EVENT, "the end of the manifest");
    if (code == ECH_OK)
        code = next(r);
    return code == ECH_OK ? expect(r, YAML_STREAM_END_EVENT, "the end of the file") : code;
}

static int check_sums(struct reader *r)
{
    const struct ech_manifest *m = &r->m;
    int64_t rows = 0;
    if (m->shard_count > 0)
        rows = m->shards[m->shard_count - 1].first_row + m->shards[m->shard_count - 1].rows;
    if (m->column_count == 0)
        return ech_fail_at(r->err, ECH_DATA, r->name, 1, 1, "a dataset without columns");
    if (rows != m->rows)
        return ech_fail_at(r->err, ECH_DATA, r->name, 1, 1, "rows is %lld, the shards have %lld",
                           (long long)m->rows, (long long)rows);
    if (m->shard_count > 0 && m->shards[m->shard_count - 1].generation > m->generation)
        return ech_fail_at(r->err, ECH_DATA, r->name, 1, 1, "a shard is newer than generation %lld",
                           (long long)m->generation);
    return ECH_OK;
}

/* The last line holds the hash of what is before it; the part above `provenance:` gives the identity. */
static int check_hash(struct reader *r, const char *text, size_t bytes)
{
    enum { LINE = 6 + 32 + 1 };
    char hex[ECH_HASH_HEX] = "";
    const char *line = bytes >= LINE ? text + bytes - LINE : NULL;
    struct ech_hash stored;
    if (line && memcmp(line, "hash: ", 6) == 0 && text[bytes - 1] == '\n')
        memcpy(hex, line + 6, 32);
    if (!ech_hash_parse(hex, &stored))
        return ech_fail_at(
            r->err, ECH_DATA, r->name, 0, 0,
            "the last line is not 'hash: ' and 32 hexadecimal digits: the manifest is cut off or "
            "was edited");
    if (!ech_hash_equal(stored, ech_hash_bytes(text, (size_t)(line - text))))
        return ech_fail_at(r->err, ECH_DATA, r->name, 0, 0,
                           "the hash in the last line does not fit the text: the manifest is damaged or was "
                           "edited");
    static const char head[] = "\nprovenance:";
    const char *at = memmem(text, (size_t)(line - text), head, sizeof head - 1);
    if (!at)
        return ech_fail_at(r->err, ECH_DATA, r->name, 0, 0, "no line begins with 'provenance:'");
    at++;
    r->m.identity = ech_hash_bytes(text, (size_t)(at - text));
    const char *items = at + sizeof head - 2;
    size_t length = items[0] == '\n' ? (size_t)(line - items - 1) : 0;
    r->m.provenance = ech_strndup(items + 1, length, r->err);
    return r->m.provenance ? ECH_OK : ECH_UNAVAILABLE;
}

int ech_manifest_parse(const char *name, const char *text, size_t bytes, struct ech_manifest *out,
                       struct ech_err *err)
{
    struct reader r = {.name = name, .err = err};
    if (bytes > ECH_MANIFEST_BYTES_MOST)
        return ech_fail_at(err, ECH_DATA, name, 0, 0, "a manifest of %zu bytes, at most %d are read", bytes,
                           ECH_MANIFEST_BYTES_MOST);
    if (!yaml_parser_initialize(&r.parser))
        return ech_fail(err, ECH_UNAVAILABLE, "%s: out of memory", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    int code = read_document(&r);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (code == ECH_OK)
        code = check_sums(&r);
    if (code == ECH_OK)
        code = check_hash(&r, text, bytes);
    if (code == ECH_OK)
        *out = r.m;
    else
        ech_manifest_fini(&r.m);
    return code;
}

int ech_manifest_read(const char *folder, struct ech_manifest *out, struct ech_err *err)
{
    char *path = ech_path_join(folder, ECH_MANIFEST_NAME, err), *text = NULL;
    size_t bytes = 0;
    if (!path)
        return ECH_UNAVAILABLE;
    int code = ech_read_file(path, ECH_MANIFEST_BYTES_MOST, &text, &bytes, err);
    if (code == ECH_NOINPUT)
        ech_prefix(err, "%s is not a dataset", folder);
    if (code == ECH_OK)
        code = ech_manifest_parse(path, text, bytes, out, err);
    ech_free(text);
    ech_free(path);
    return code;
}

void ech_manifest_fini(struct ech_manifest *m)
{
    ech_free(m->columns);
    ech_free(m->shards);
    ech_free(m->roots);
    ech_free(m->provenance);
    *m = (struct ech_manifest){0};
}

struct ech_hash ech_manifest_root(const struct ech_manifest *m, size_t shard, size_t column)
{
    return m->roots[shard * m->column_count + column];
}
