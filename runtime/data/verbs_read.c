/* Verbs that read a dataset: show, head, verify. Rank 0 does the work; the others wait for its verdict. */
#include "data/verbs_internal.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "comm/comm.h"
#include "data/blocks.h"
#include "data/dataset.h"
#include "data/manifest.h"
#include "data/text_row.h"
#include "data/verify.h"

#include <string.h>

enum { HEAD_ROWS = 10, SHOWN_BYTES = 200, SHOWN_VALUES = 8 };

static void describe_type(const struct ech_column *c, char *out, size_t size)
{
    if (c->type == ECH_TEXT || c->type == ECH_JSON)
        snprintf(out, size, "%s", ech_ctype_name(c->type));
    else if (c->dim == 0)
        snprintf(out, size, "%s %s[]", ech_ctype_name(c->type), ech_dtype_name(c->dtype));
    else
        snprintf(out, size, "%s %s[%lld]", ech_ctype_name(c->type), ech_dtype_name(c->dtype),
                 (long long)c->dim);
}

static int64_t shard_bytes(const struct ech_manifest *m)
{
    int64_t bytes = 0;
    for (size_t s = 0; s < m->shard_count; s++)
        bytes += m->shards[s].bytes;
    return bytes;
}

static void show_human(const struct ech_dataset *ds, struct ech_str *text)
{
    const struct ech_manifest *m = ech_dataset_manifest(ds);
    char rows[32], bytes[32], type[64], hex[ECH_HASH_HEX];
    ech_str_addf(
        text, "%s\n  rows        %s\n  size        %s in %zu shard%s\n  generation  %lld\n  uuid        %s\n",
        ech_dataset_path(ds), ech_print_count(m->rows, rows, sizeof rows),
        ech_print_bytes(shard_bytes(m), bytes, sizeof bytes), m->shard_count, m->shard_count == 1 ? "" : "s",
        (long long)m->generation, ech_hash_print(m->uuid, hex));
    ech_str_adds(text, "  columns\n");
    for (size_t c = 0; c < m->column_count; c++) {
        describe_type(&m->columns[c], type, sizeof type);
        ech_str_addf(text, "    %-20s %s\n", m->columns[c].name, type);
    }
    if (!m->provenance || !m->provenance[0])
        return;
    ech_str_adds(text, "  provenance\n");
    for (const char *line = m->provenance; *line;) {
        size_t length = strcspn(line, "\n");
        ech_str_addf(text, "  %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void put_columns(struct ech_str *s, const struct ech_manifest *m)
{
    ech_json_key(s, "columns");
    ech_str_addc(s, '[');
    for (size_t c = 0; c < m->column_count; c++) {
        if (c > 0)
            ech_str_addc(s, ',');
        ech_str_addf(s, "{\"name\":\"%s\",\"type\":\"%s\",\"dtype\":\"%s\",\"dim\":%lld}", m->columns[c].name,
                     ech_ctype_name(m->columns[c].type), ech_dtype_name(m->columns[c].dtype),
                     (long long)m->columns[c].dim);
    }
    ech_str_addc(s, ']');
}

static void put_shards(struct ech_str *s, const struct ech_manifest *m)
{
    ech_json_key(s, "shards");
    ech_str_addc(s, '[');
    for (size_t i = 0; i < m->shard_count; i++) {
        const struct ech_manifest_shard *shard = &m->shards[i];
        if (i > 0)
            ech_str_addc(s, ',');
        ech_str_addf(s,
                     "{\"file\":\"%s\",\"generation\":%lld,\"first_row\":%lld,\"rows\":%lld,\"bytes\":%lld}",
                     shard->file, (long long)shard->generation, (long long)shard->first_row,
                     (long long)shard->rows, (long long)shard->bytes);
    }
    ech_str_addc(s, ']');
}

static void show_json(const struct ech_dataset *ds, struct ech_str *text)
{
    const struct ech_manifest *m = ech_dataset_manifest(ds);
    char hex[ECH_HASH_HEX];
    ech_json_add_str(text, "path", ech_dataset_path(ds));
    ech_json_add_str(text, "uuid", ech_hash_print(m->uuid, hex));
    ech_json_add_str(text, "identity", ech_hash_print(ech_dataset_identity(ds), hex));
    ech_json_add_int(text, "generation", m->generation);
    ech_json_add_int(text, "rows", m->rows);
    ech_json_add_int(text, "bytes", shard_bytes(m));
    put_columns(text, m);
    put_shards(text, m);
    ech_json_add_str(text, "provenance", m->provenance ? m->provenance : "");
    ech_str_adds(text, "}\n");
}

int ech_verb_show(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_dataset *ds;
    if (call->out && ech_dataset_open(args->operands[0], &ds, err) == ECH_OK) {
        if (ech_args_given(args, "json"))
            show_json(ds, &call->text);
        else
            show_human(ds, &call->text);
        ech_str_check(&call->text, err);
        ech_dataset_close(ds);
    }
    return ech_agree(call->context, err);
}

/* Length of at most `most` bytes of a text, not inside a character. */
static size_t cut_length(const unsigned char *text, size_t bytes, size_t most)
{
    if (bytes <= most)
        return bytes;
    while (most > 0 && (text[most] & 0xC0) == 0x80)
        most--;
    return most;
}

static void put_short(struct ech_str *s, const struct ech_column *column, const unsigned char *cell,
                      size_t bytes)
{
    bool text = column->type == ECH_TEXT || column->type == ECH_JSON;
    size_t shown = text ? cut_length(cell, bytes, SHOWN_BYTES) : bytes;
    char whole[32];
    ech_text_put_json(s, column, cell, shown, SHOWN_VALUES);
    if (shown < bytes)
        ech_str_addf(s, "... (%s)", ech_print_bytes((int64_t)bytes, whole, sizeof whole));
}

static void put_row(struct ech_str *s, const struct ech_blocks *b, int64_t row, bool json)
{
    if (!json)
        ech_str_addf(s, "row %lld\n", (long long)(b->first + row));
    for (int c = 0; c < b->column_count; c++) {
        const struct ech_column *column = ech_dataset_column(b->ds, b->columns[c]);
        size_t bytes;
        const unsigned char *cell = ech_blocks_cell(b, c, row, &bytes);
        if (json) {
            ech_str_addf(s, "%c\"%s\":", c ? ',' : '{', column->name);
            ech_text_put_json(s, column, cell, bytes, INT64_MAX);
            continue;
        }
        ech_str_addf(s, "  %-16s ", column->name);
        put_short(s, column, cell, bytes);
        ech_str_addc(s, '\n');
    }
    if (json)
        ech_str_adds(s, "}\n");
}

/* All rows of blocks that are set but not open. */
static int print_blocks(struct ech_blocks *blocks, bool json, FILE *out, struct ech_err *err)
{
    struct ech_str s = {0};
    int code = ech_blocks_open(blocks, err);
    do {
        code = code == ECH_OK ? ech_blocks_next(blocks, err) : code;
        for (int64_t i = 0; code == ECH_OK && i < blocks->rows; i++) {
            ech_str_clear(&s);
            put_row(&s, blocks, i, json);
            code = ech_str_check(&s, err);
            if (code == ECH_OK)
                fwrite(s.data, 1, s.length, out);
        }
    } while (code == ECH_OK && blocks->rows > 0);
    ech_blocks_close(blocks);
    ech_str_fini(&s);
    return code;
}

/* Indices of the named columns, or of all. Owner: the caller. */
static int find_columns(const struct ech_dataset *ds, const char *list, int **columns, int *count,
                        struct ech_err *err)
{
    char *copy = NULL;
    const char **names = NULL;
    *count = ech_dataset_columns(ds);
    int code = list ? ech_verb_names(list, &copy, &names, count, err) : ECH_OK;
    *columns = code == ECH_OK ? ech_calloc((size_t)*count, sizeof(*columns)[0], err) : NULL;
    if (code == ECH_OK && !*columns)
        code = ECH_UNAVAILABLE;
    for (int c = 0; code == ECH_OK && c < *count; c++) {
        (*columns)[c] = c;
        if (list)
            code = ech_dataset_find(ds, names[c], &(*columns)[c], err);
    }
    ech_free(copy);
    ech_free(names);
    return code;
}

static int head_local(const struct ech_args *args, FILE *out, struct ech_err *err)
{
    struct ech_dataset *ds;
    int64_t rows = HEAD_ROWS;
    int *columns = NULL, count, code = ech_args_get_int(args, "n", 0, INT64_MAX, &rows, err);
    if (code == ECH_OK)
        code = ech_dataset_open(args->operands[0], &ds, err);
    if (code != ECH_OK)
        return code;
    code = find_columns(ds, ech_args_get(args, "columns"), &columns, &count, err);
    if (code == ECH_OK) {
        struct ech_blocks blocks = {.ds = ds,
                                    .columns = columns,
                                    .column_count = count,
                                    .end = ech_min64(rows, ech_dataset_rows(ds))};
        code = print_blocks(&blocks, ech_args_given(args, "json"), out, err);
    }
    ech_free(columns);
    ech_dataset_close(ds);
    return code;
}

int ech_verb_head(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    if (call->out)
        head_local(args, call->out, err);
    return ech_agree(call->context, err);
}

enum { NOTED_LINES = 100 };

/* The problems of a rank's part, kept until all ranks have looked at theirs. */
struct problems {
    struct ech_str lines;
    int64_t count;
};

static void note_damage(const struct ech_damage *damage, void *context)
{
    struct problems *p = context;
    if (p->count++ >= NOTED_LINES)
        return;
    ech_str_addf(&p->lines, "%s, column \"%s\", row %lld", damage->file, damage->column,
                 (long long)damage->first_row);
    if (damage->end_row - 1 > damage->first_row)
        ech_str_addf(&p->lines, " to %lld", (long long)damage->end_row - 1);
    ech_str_addf(&p->lines, ": %s%s\n", damage->text, damage->note ? " (as it was imported: no damage)" : "");
}

static int verify_local(const char *path, struct ech_comm *comm, struct ech_verify *found,
                        struct problems *problems, struct ech_err *err)
{
    struct ech_dataset *ds;
    int code = ech_dataset_open(path, &ds, err);
    if (code != ECH_OK)
        return code;
    code = ech_verify(ds, ech_comm_rank(comm), ech_comm_size(comm), note_damage, problems, found, err);
    ech_dataset_close(ds);
    if (problems->count > NOTED_LINES)
        ech_str_addf(&problems->lines, "... and %lld more\n", (long long)problems->count - NOTED_LINES);
    return code == ECH_OK ? ech_str_check(&problems->lines, err) : code;
}

/* What the ranks noted, in their order; for rank 0. */
static int gather_lines(struct ech_comm *comm, const struct ech_str *lines, struct ech_str *text,
                        struct ech_err *err)
{
    void *all = NULL;
    size_t total = 0, *counts = ech_calloc((size_t)ech_comm_size(comm), sizeof *counts, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_allgatherv(comm, lines->data, lines->length, &all, counts, err);
    for (int r = 0; code == ECH_OK && r < ech_comm_size(comm); r++)
        total += counts[r];
    if (code == ECH_OK && ech_comm_rank(comm) == 0)
        ech_str_add(text, all, total);
    ech_free(all);
    ech_free(counts);
    return code;
}

int ech_verb_verify(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct ech_comm *comm = call->context;
    struct ech_verify found = {0};
    struct problems problems = {{0}, 0};
    char bytes[32], blocks[32];
    const char *path = args->operands[0];
    verify_local(path, comm, &found, &problems, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = gather_lines(comm, &problems.lines, &call->text, err);
    ech_str_fini(&problems.lines);
    int64_t sums[] = {found.damages, found.bytes, found.blocks};
    if (code == ECH_OK)
        code = ech_sum_i64(comm, sums, 3, err);
    if (code != ECH_OK)
        return code;
    ech_str_addf(&call->text, "%s: %s in %s blocks read, %s\n", path,
                 ech_print_bytes(sums[1], bytes, sizeof bytes),
                 ech_print_count(sums[2], blocks, sizeof blocks), sums[0] ? "DAMAGED" : "whole");
    return sums[0] ? ech_fail(err, ECH_DATA, "%s is damaged: %lld problem%s", path, (long long)sums[0],
                              sums[0] == 1 ? "" : "s")
                   : ECH_OK;
}
