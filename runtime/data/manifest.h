/* The manifest, dataset.yaml: what a dataset is. Readers believe it and nothing else.
 *
 *   format: 1                 version of this layout
 *   min_reader: 1             oldest format version a reader must know
 *   uuid: 32 hex digits       of the job, or from the content
 *   generation: 1             grows by 1 with each append
 *   rows: 5000
 *   encoding: plain
 *   keys: []
 *   columns:
 *     - {name: text, type: text, dtype: u8, dim: 0}
 *   shards:                   in order; the i-th file is shard-<i>.h5
 *     - {file: shard-00000.h5, generation: 1, first_row: 0, rows: 5000, bytes: 123456, roots: [hex, ...]}
 *   provenance:               one item a generation; free YAML of the job that made it
 *     - at_generation: 1
 *       ...
 *   hash: 32 hex digits       XXH3-128 of all bytes before this line
 *
 * `bytes` is the file's size; a root is the hash of the column's block hashes (data/shard.h). Everything
 * above `provenance:` follows from columns, content and generation alone; its hash is the dataset's identity.
 * Unknown keys are skipped: what an older reader must not skip raises min_reader.
 *
 * Cost: 72 + 16 bytes a column for each shard; in the file about 110 + 34 bytes a column. */
#ifndef ECH_DATA_MANIFEST_H
#define ECH_DATA_MANIFEST_H

#include "base/hash.h"
#include "base/str.h"
#include "data/column.h"
#include "data/shard.h"

enum {
    ECH_MANIFEST_FORMAT = 1,
    ECH_MANIFEST_BYTES_MOST = 64 << 20,
    ECH_MANIFEST_SHARD_BYTES = 200, /* no shard's line is longer ... */
    ECH_MANIFEST_ROOT_BYTES = 34,   /* ... than this and so much a column */
    ECH_MANIFEST_DEPTH_MOST = 16,
    ECH_MANIFEST_KEYS_MOST = 64 /* of one mapping */
};
#define ECH_MANIFEST_NAME "dataset.yaml"

struct ech_manifest_shard {
    char file[ECH_SHARD_NAME];
    int64_t generation; /* that added it */
    int64_t first_row, rows, bytes;
};

struct ech_manifest {
    int64_t format, min_reader;
    struct ech_hash uuid;
    int64_t generation, rows;
    struct ech_column *columns;
    size_t column_count, column_capacity;
    struct ech_manifest_shard *shards;
    size_t shard_count, shard_capacity;
    struct ech_hash *roots; /* [shard_count][column_count] */
    size_t root_count, root_capacity;
    char *provenance;         /* the items under `provenance:`, "" where there are none */
    struct ech_hash identity; /* of the text above `provenance:` */
};

void ech_manifest_fini(struct ech_manifest *m);
/* Root of one column in one shard. */
struct ech_hash ech_manifest_root(const struct ech_manifest *m, size_t shard, size_t column);

/* Parse and check a whole manifest; `name` stands in errors. *out is set on success; owner: the caller,
 * ech_manifest_fini. Hostile input: size, depth and counts are limited; aliases, tags, duplicate keys,
 * several documents and a wrong hash are refused. Errors  ECH_DATA with file:line:column. */
int ech_manifest_parse(const char *name, const char *text, size_t bytes, struct ech_manifest *out,
                       struct ech_err *err);
/* dataset.yaml of a folder. Errors  also ECH_NOINPUT. */
int ech_manifest_read(const char *folder, struct ech_manifest *out, struct ech_err *err);
int ech_manifest_read_file(const char *path, struct ech_manifest *out, struct ech_err *err);

/* The text of a manifest; format, min_reader and hashes are filled in here, m->identity too. The result is
 * parsed before it is returned: what cannot be read back (a provenance that is no YAML) is an error. */
int ech_manifest_print(struct ech_manifest *m, struct ech_str *out, struct ech_err *err);
/* Append an item to m->provenance: `block` is YAML indented by two blanks, or NULL. */
int ech_manifest_add_provenance(struct ech_manifest *m, const char *block, struct ech_err *err);

#endif
