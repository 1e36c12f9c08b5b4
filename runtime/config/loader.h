/* One load at work: what every origin gives, before the schema has its say. */
#ifndef ECH_CONFIG_LOADER_H
#define ECH_CONFIG_LOADER_H

#include "config/state.h"

enum { ECH_KEY_MOST = 160 };

struct ech_given {
    char path[ECH_KEY_MOST];
    const struct ech_node *node;
    const char *word;         /* what the node's word means for this key; NULL: what is written */
    struct ech_setting place; /* origin, position, label */
};

struct ech_loader {
    const struct ech_config_request *request;
    struct ech_config *config;
    struct ech_problems problems;
    struct ech_err *err;
    struct ech_doc file;
    struct ech_doc *outside; /* one a value of the environment or --set */
    size_t outside_count, outside_capacity;
    struct ech_given *given;
    size_t given_count, given_capacity;
    bool later; /* a key of a later version was met: what is missing says nothing */
};

/* The text of the job file, at most ECH_DOC_BYTES; what it is called in messages. */
int ech_loader_read(const struct ech_config_request *request, char **text, size_t *bytes,
                    struct ech_err *err);
const char *ech_loader_file_name(const struct ech_config_request *request);

/* Everything that the file (parsed already), the environment and --set give, in rising order of precedence.
 * Errors  ECH_UNAVAILABLE alone: all else is a problem. */
int ech_loader_gather(struct ech_loader *l);

#endif
