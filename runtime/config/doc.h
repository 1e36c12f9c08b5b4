/* A YAML text as a small tree with the place of every node. What a configuration does not need is refused
 * with its position: anchors, aliases, tags, several documents, keys that are not plain words. */
#ifndef ECH_CONFIG_DOC_H
#define ECH_CONFIG_DOC_H

#include "config/problem.h"

#include <stddef.h>

enum {
    ECH_DOC_BYTES = 16 << 20, /* of a file */
    ECH_DOC_DEPTH = 64,
    ECH_DOC_NODES = 100000, /* values of a file */
    ECH_DOC_KEYS = 1000     /* keys of one map */
};

enum ech_node_kind { ECH_NODE_SCALAR, ECH_NODE_LIST, ECH_NODE_MAP };

struct ech_node {
    enum ech_node_kind kind;
    int line, column; /* 1-based */
    char *text;       /* scalar: its content, no NUL inside */
    bool plain;       /* scalar without quotes */
    char *key;        /* in a map */
    int key_line, key_column;
    int children;
    struct ech_node *parent, *first, *last, *next;
    struct ech_node *all; /* every node of the document */
};

struct ech_doc {
    struct ech_node *root, *all;
    int nodes;
};

/* Parse `bytes` of text. Syntax ends the parse with one problem; duplicate keys are noted and left out.
 * Owner   the caller, ech_doc_fini (also after an error).
 * Errors  ECH_UNAVAILABLE (memory) through err; everything else is a problem, then ECH_CONFIG. */
int ech_doc_parse(const char *text, size_t bytes, struct ech_doc *out, struct ech_problems *problems,
                  struct ech_err *err);
/* A value given outside a file: "[a, b]" is a flow list, quotes are YAML's, anything else is taken as it is
 * written. Positions in the tree are meaningless. */
int ech_doc_parse_value(const char *text, struct ech_doc *out, struct ech_problems *problems,
                        struct ech_err *err);
void ech_doc_fini(struct ech_doc *doc);

/* "map", "list" or "value", for messages. */
const char *ech_node_kind_name(const struct ech_node *node);
/* Nothing was written (empty, "~" or "null" without quotes): the key counts as not given. */
bool ech_node_is_null(const struct ech_node *node);

#endif
