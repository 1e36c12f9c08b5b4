/* The schema: one row a key. From it come parsing, checking, `config show`, `config schema` and
 * configs/reference.yaml. */
#ifndef ECH_CONFIG_FIELD_H
#define ECH_CONFIG_FIELD_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum ech_ftype {               /* C type at `offset` */
                 ECH_F_STRING, /* char *, NULL where not given */
                 ECH_F_PATH,   /* char *, made absolute against the working directory */
                 ECH_F_INT,    /* int64_t */
                 ECH_F_FLOAT,  /* double */
                 ECH_F_BOOL,   /* bool */
                 ECH_F_TIME,   /* double, seconds; 0: none */
                 ECH_F_BYTES,  /* int64_t; 0: none */
                 ECH_F_CHOICE, /* int: index in `choices` */
                 ECH_F_AUTO,   /* int64_t: 0 for "auto", else an integer >= 1 */
                 ECH_F_LIST    /* struct ech_list of strings; one scalar is a list of one */
};

struct ech_list {
    char **items; /* count, then NULL */
    int count;
};

struct ech_field {
    const char *path; /* "resources.threads" */
    enum ech_ftype type;
    size_t offset;
    const char *fallback;       /* as written in YAML; NULL: none (empty, 0) */
    const char *const *choices; /* NULL-terminated, ECH_F_CHOICE */
    double least, most;         /* of numbers, times, bytes; both 0: no limits */
    bool required;
    bool affects;    /* part of the job's identity */
    const char *doc; /* one line for the reference file and the JSON Schema */
    const char *example;
};

#endif
