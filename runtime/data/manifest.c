/* Reading a manifest: see manifest.h. A table of keys for each mapping, what each key's
 * value may be, and at the end the sums and the hash. */
#include "data/manifest.h"

#include "base/io.h"
#include "base/mem.h"
#include "data/layout.h"
#include "data/manifest_yaml.h"

#include <stdio.h>
#include <string.h>

static int read_column_name(struct ech_manifest_reader *r)
{
    const char *text = "";
    int code = ech_manifest_scalar(r, "name of a column", ECH_NAME_MAX - 1, &text);
    if (code == ECH_OK)
        snprintf(r->column.name, sizeof r->column.name, "%s", text);
    return code;
}

static int read_column_type(struct ech_manifest_reader *r)
{
    const char *text = "";
    int code = ech_manifest_scalar(r, "type of a column", ECH_NAME_MAX, &text);
    if (code == ECH_OK && !ech_ctype_parse(text, &r->column.type))
        code = ech_manifest_fail(r, "'%s' is no type of a column (text, json, tensor, ints)", text);
    return code;
}

static int read_column_dtype(struct ech_manifest_reader *r)
{
    const char *text = "";
    int code = ech_manifest_scalar(r, "dtype of a column", ECH_NAME_MAX, &text);
    if (code == ECH_OK && !ech_dtype_parse(text, &r->column.dtype))
        code = ech_manifest_fail(r, "'%s' is no dtype (u8, f16, f32, f64, i64)", text);
    return code;
}

static int read_column_dim(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "dim of a column", 0, INT32_MAX, &r->column.dim);
}

static int read_column(struct ech_manifest_reader *r)
{
    static const struct ech_manifest_field fields[] = {
        {"name", read_column_name, true},
        {"type", read_column_type, true},
        {"dtype", read_column_dtype, true},
        {"dim", read_column_dim, true},
    };
    yaml_mark_t start = r->event.start_mark;
    r->column = (struct ech_column){0};
    int code = ech_manifest_mapping(r, fields, sizeof fields / sizeof fields[0], "a column");
    struct ech_manifest *m = &r->m;
    if (code == ECH_OK && m->column_count == ECH_COLUMNS_MAX)
        code = ech_manifest_fail_at(r, start, "more columns than can be stored");
    if (code == ECH_OK)
        code = ech_grow((void **)&m->columns, &m->column_capacity, m->column_count + 1, sizeof *m->columns,
                        r->err);
    if (code != ECH_OK)
        return code;
    m->columns[m->column_count++] = r->column;
    struct ech_err reason = ECH_ERR_NONE;
    if (ech_columns_check(m->columns, (int)m->column_count, &reason) != ECH_OK)
        return ech_manifest_fail_at(r, start, reason.text);
    return ECH_OK;
}

static int read_shard_file(struct ech_manifest_reader *r)
{
    char expected[ECH_SHARD_NAME];
    const char *text = "";
    int code = ech_manifest_scalar(r, "file of a shard", 255, &text);
    ech_shard_name((int64_t)r->m.shard_count, expected);
    if (code == ECH_OK && strcmp(text, expected) != 0)
        code = ech_manifest_fail(r, "the file of shard %zu is '%s', %s was expected", r->m.shard_count, text,
                                 expected);
    if (code == ECH_OK)
        memcpy(r->shard.file, expected, sizeof expected);
    return code;
}

static int read_shard_generation(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "generation of a shard", 1, INT64_MAX, &r->shard.generation);
}

static int read_shard_first(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "first_row of a shard", 0, INT64_MAX, &r->shard.first_row);
}

static int read_shard_rows(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "rows of a shard", 1, INT64_MAX, &r->shard.rows);
}

static int read_shard_bytes(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "bytes of a shard", 1, INT64_MAX, &r->shard.bytes);
}

static int read_root(struct ech_manifest_reader *r)
{
    struct ech_manifest *m = &r->m;
    if (m->root_count == (m->shard_count + 1) * m->column_count)
        return ech_manifest_fail(r, "more roots than the %zu columns listed above", m->column_count);
    int code = ech_grow((void **)&m->roots, &m->root_capacity, m->root_count + 1, sizeof *m->roots, r->err);
    if (code == ECH_OK)
        code = ech_manifest_hash(r, "a root", &m->roots[m->root_count]);
    if (code == ECH_OK)
        m->root_count++;
    return code;
}

static int read_roots(struct ech_manifest_reader *r)
{
    return ech_manifest_sequence(r, read_root, "a list of roots");
}

/* A shard follows its predecessor and has a root a column. */
static int check_shard(struct ech_manifest_reader *r, yaml_mark_t start)
{
    struct ech_manifest *m = &r->m;
    int64_t first = 0;
    if (m->shard_count > 0)
        first = m->shards[m->shard_count - 1].first_row + m->shards[m->shard_count - 1].rows;
    if (r->shard.first_row != first || r->shard.rows > INT64_MAX - first)
        return ech_manifest_fail_at(r, start, "first_row does not follow the shard before");
    if (m->shard_count > 0 && r->shard.generation < m->shards[m->shard_count - 1].generation)
        return ech_manifest_fail_at(r, start, "the generation is below that of the shard before");
    if (m->column_count == 0 || m->root_count != (m->shard_count + 1) * m->column_count)
        return ech_manifest_fail_at(r, start,
                                    "a shard needs one root a column, and the columns before the shards");
    for (size_t c = 0; c < m->column_count; c++) {
        int64_t width = m->columns[c].dim > 0 ? ech_column_row_bytes(&m->columns[c]) : 8;
        if (r->shard.rows > r->shard.bytes / width)
            return ech_manifest_fail_at(r, start, "more rows than a file of that many bytes can hold");
    }
    return ECH_OK;
}

static int read_shard(struct ech_manifest_reader *r)
{
    static const struct ech_manifest_field fields[] = {
        {"file", read_shard_file, true},       {"generation", read_shard_generation, true},
        {"first_row", read_shard_first, true}, {"rows", read_shard_rows, true},
        {"bytes", read_shard_bytes, true},     {"roots", read_roots, true},
    };
    yaml_mark_t start = r->event.start_mark;
    struct ech_manifest *m = &r->m;
    r->shard = (struct ech_manifest_shard){0};
    int code = ech_manifest_mapping(r, fields, sizeof fields / sizeof fields[0], "a shard");
    if (code == ECH_OK)
        code = check_shard(r, start);
    if (code == ECH_OK)
        code =
            ech_grow((void **)&m->shards, &m->shard_capacity, m->shard_count + 1, sizeof *m->shards, r->err);
    if (code == ECH_OK)
        m->shards[m->shard_count++] = r->shard;
    return code;
}

static int read_format(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "format", 1, INT32_MAX, &r->m.format);
}

static int read_min_reader(struct ech_manifest_reader *r)
{
    int code = ech_manifest_integer(r, "min_reader", 1, INT32_MAX, &r->m.min_reader);
    if (code == ECH_OK && r->m.min_reader > ECH_MANIFEST_FORMAT)
        code = ech_manifest_fail(
            r,
            "this dataset needs a reader of format %lld, this program knows format %d: use a newer "
            "version of the program",
            (long long)r->m.min_reader, ECH_MANIFEST_FORMAT);
    return code;
}

static int read_uuid(struct ech_manifest_reader *r)
{
    return ech_manifest_hash(r, "uuid", &r->m.uuid);
}

static int read_generation(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "generation", 1, INT64_MAX, &r->m.generation);
}

static int read_rows(struct ech_manifest_reader *r)
{
    return ech_manifest_integer(r, "rows", 0, INT64_MAX, &r->m.rows);
}

static int read_encoding(struct ech_manifest_reader *r)
{
    const char *text = "";
    int code = ech_manifest_scalar(r, "encoding", 64, &text);
    if (code == ECH_OK && strcmp(text, "plain") != 0)
        code = ech_manifest_fail(r, "encoding '%s' is not known, 'plain' was expected", text);
    return code;
}

static int refuse_key(struct ech_manifest_reader *r)
{
    return ech_manifest_fail(r, "an encoding of 'plain' has no keys");
}

static int read_keys(struct ech_manifest_reader *r)
{
    return ech_manifest_sequence(r, refuse_key, "a list of keys");
}

static int read_columns(struct ech_manifest_reader *r)
{
    if (r->m.shard_count > 0)
        return ech_manifest_fail(r, "the columns must stand before the shards");
    return ech_manifest_sequence(r, read_column, "a list of columns");
}

static int read_shards(struct ech_manifest_reader *r)
{
    return ech_manifest_sequence(r, read_shard, "a list of shards");
}

static int read_provenance(struct ech_manifest_reader *r)
{
    return ech_manifest_skip(r, 1);
}

static int read_hash(struct ech_manifest_reader *r)
{
    struct ech_hash unused; /* compared over the text, see check_hash */
    return ech_manifest_hash(r, "hash", &unused);
}

static int read_document(struct ech_manifest_reader *r)
{
    static const struct ech_manifest_field fields[] = {
        {"format", read_format, true}, {"min_reader", read_min_reader, true},
        {"uuid", read_uuid, true},     {"generation", read_generation, true},
        {"rows", read_rows, true},     {"encoding", read_encoding, true},
        {"keys", read_keys, true},     {"columns", read_columns, true},
        {"shards", read_shards, true}, {"provenance", read_provenance, true},
        {"hash", read_hash, true},
    };
    int code = ech_manifest_next(r);
    if (code == ECH_OK)
        code = ech_manifest_expect(r, YAML_STREAM_START_EVENT, "the start of a manifest");
    if (code == ECH_OK)
        code = ech_manifest_next(r);
    if (code == ECH_OK)
        code = ech_manifest_expect(r, YAML_DOCUMENT_START_EVENT, "a manifest");
    if (code == ECH_OK)
        code = ech_manifest_next(r);
    if (code == ECH_OK)
        code = ech_manifest_mapping(r, fields, sizeof fields / sizeof fields[0], "a manifest");
    if (code == ECH_OK)
        code = ech_manifest_next(r);
    if (code == ECH_OK)
        code = ech_manifest_expect(r, YAML_DOCUMENT_END_EVENT, "the end of the manifest");
    if (code == ECH_OK)
        code = ech_manifest_next(r);
    return code == ECH_OK ? ech_manifest_expect(r, YAML_STREAM_END_EVENT, "the end of the file") : code;
}

static int check_sums(struct ech_manifest_reader *r)
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
static int check_hash(struct ech_manifest_reader *r, const char *text, size_t bytes)
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
    struct ech_manifest_reader r = {.name = name, .err = err};
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

int ech_manifest_read_file(const char *path, struct ech_manifest *out, struct ech_err *err)
{
    char *text = NULL;
    size_t bytes = 0;
    int code = ech_read_file(path, ECH_MANIFEST_BYTES_MOST, &text, &bytes, err);
    if (code == ECH_OK)
        code = ech_manifest_parse(path, text, bytes, out, err);
    ech_free(text);
    return code;
}

int ech_manifest_read(const char *folder, struct ech_manifest *out, struct ech_err *err)
{
    char *path = ech_path_join(folder, ECH_MANIFEST_NAME, err);
    int code = path ? ech_manifest_read_file(path, out, err) : ECH_UNAVAILABLE;
    if (code == ECH_NOINPUT)
        ech_prefix(err, "%s is not a dataset", folder);
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
