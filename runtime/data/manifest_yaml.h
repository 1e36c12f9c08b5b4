/* Walking the YAML of a manifest: libyaml's events under limits, each value read by name, each error with its
 * place. For manifest.c alone. */
#ifndef ECH_DATA_MANIFEST_YAML_H
#define ECH_DATA_MANIFEST_YAML_H

#include "data/manifest.h"

#include <yaml.h>

struct ech_manifest_reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    const char *name;
    struct ech_manifest m;           /* what was read so far */
    struct ech_manifest_shard shard; /* being read */
    struct ech_column column;        /* being read */
    struct ech_err *err;
};

/* Always ECH_DATA, at a mark or at the current event. */
int ech_manifest_fail_at(struct ech_manifest_reader *r, yaml_mark_t mark, const char *text);
int ech_manifest_fail(struct ech_manifest_reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The next event. Aliases, anchors and tags have no place in a manifest. */
int ech_manifest_next(struct ech_manifest_reader *r);
int ech_manifest_expect(struct ech_manifest_reader *r, yaml_event_type_t type, const char *what);

/* The current scalar. Text: without a NUL inside, at most `most` bytes, borrowed until the next event. */
int ech_manifest_scalar(struct ech_manifest_reader *r, const char *what, size_t most, const char **text);
int ech_manifest_integer(struct ech_manifest_reader *r, const char *what, int64_t least, int64_t most,
                         int64_t *out);
int ech_manifest_hash(struct ech_manifest_reader *r, const char *what, struct ech_hash *out);

/* Pass over the current value, whatever it is; these three end on its last event. */
int ech_manifest_skip(struct ech_manifest_reader *r, int depth);
/* The mapping that begins here, by the table of keys it knows (at most 32); others are skipped. */
struct ech_manifest_field {
    const char *name;
    int (*read)(struct ech_manifest_reader *);
    bool required;
};
int ech_manifest_mapping(struct ech_manifest_reader *r, const struct ech_manifest_field *fields, size_t count,
                         const char *what);
int ech_manifest_sequence(struct ech_manifest_reader *r, int (*item)(struct ech_manifest_reader *),
                          const char *what);

#endif
