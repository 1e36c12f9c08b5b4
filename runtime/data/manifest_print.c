/* Writing a manifest: see manifest.h. Byte for byte the same from the same content. */
#include "data/manifest.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

static void print_head(const struct ech_manifest *m, struct ech_str *out)
{
    char hex[ECH_HASH_HEX];
    ech_str_addf(out, "format: %" PRId64 "\nmin_reader: %" PRId64 "\n", m->format, m->min_reader);
    ech_str_addf(out, "uuid: %s\n", ech_hash_print(m->uuid, hex));
    ech_str_addf(out, "generation: %" PRId64 "\nrows: %" PRId64 "\n", m->generation, m->rows);
    ech_str_adds(out, "encoding: plain\nkeys: []\ncolumns:\n");
    for (size_t c = 0; c < m->column_count; c++)
        ech_str_addf(out, "  - {name: %s, type: %s, dtype: %s, dim: %" PRId64 "}\n", m->columns[c].name,
                     ech_ctype_name(m->columns[c].type), ech_dtype_name(m->columns[c].dtype),
                     m->columns[c].dim);
}

static void print_shards(const struct ech_manifest *m, struct ech_str *out)
{
    char hex[ECH_HASH_HEX];
    ech_str_adds(out, m->shard_count == 0 ? "shards: []\n" : "shards:\n");
    for (size_t i = 0; i < m->shard_count; i++) {
        const struct ech_manifest_shard *s = &m->shards[i];
        ech_str_addf(out, "  - {file: %s, generation: %" PRId64 ", first_row: %" PRId64 ", rows: %" PRId64,
                     s->file, s->generation, s->first_row, s->rows);
        ech_str_addf(out, ", bytes: %" PRId64 ", roots: [", s->bytes);
        for (size_t c = 0; c < m->column_count; c++)
            ech_str_addf(out, "%s%s", c ? ", " : "", ech_hash_print(ech_manifest_root(m, i, c), hex));
        ech_str_adds(out, "]}\n");
    }
}

int ech_manifest_print(struct ech_manifest *m, struct ech_str *out, struct ech_err *err)
{
    char hex[ECH_HASH_HEX];
    m->format = ECH_MANIFEST_FORMAT;
    m->min_reader = 1;
    ech_str_clear(out);
    print_head(m, out);
    print_shards(m, out);
    if (!out->failed)
        m->identity = ech_hash_bytes(out->data, out->length);
    if (m->provenance && m->provenance[0])
        ech_str_addf(out, "provenance:\n%s", m->provenance);
    else
        ech_str_adds(out, "provenance: []\n");
    if (!out->failed)
        ech_str_addf(out, "hash: %s\n", ech_hash_print(ech_hash_bytes(out->data, out->length), hex));
    int code = ech_str_check(out, err);
    if (code != ECH_OK)
        return code;
    struct ech_manifest again;
    code = ech_manifest_parse("new " ECH_MANIFEST_NAME, out->data, out->length, &again, err);
    if (code != ECH_OK)
        return code;
    ech_manifest_fini(&again);
    return ECH_OK;
}

/* The block moves two blanks to the right, under its item. */
int ech_manifest_add_provenance(struct ech_manifest *m, const char *block, struct ech_err *err)
{
    struct ech_str s;
    ech_str_init(&s);
    ech_str_adds(&s, m->provenance ? m->provenance : "");
    ech_str_addf(&s, "  - at_generation: %" PRId64 "\n", m->generation);
    for (const char *line = block; line && *line;) {
        size_t length = strcspn(line, "\n");
        if (length > 0) {
            ech_str_adds(&s, "  ");
            ech_str_add(&s, line, length);
        }
        ech_str_addc(&s, '\n');
        line += length + (line[length] == '\n');
    }
    char *text = ech_str_take(&s, err);
    ech_str_fini(&s);
    if (!text)
        return ECH_UNAVAILABLE;
    ech_free(m->provenance);
    m->provenance = text;
    return ECH_OK;
}
