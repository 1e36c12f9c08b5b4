/* Vocabulary tree: see trie.h. */
#include "text/trie.h"

#include "base/mem.h"

#include <string.h>

enum { NODES_MAX = 1 << 24 };

static size_t slot_of(const struct ech_trie *trie, uint32_t key)
{
    uint64_t mixed = (uint64_t)key * 0x9E3779B97F4A7C15u;
    return (size_t)(mixed >> 32) & (trie->slots - 1);
}

/* The edge of this key, or the free slot where it belongs. */
static struct ech_trie_edge *edge_at(const struct ech_trie *trie, uint32_t key)
{
    size_t slot = slot_of(trie, key);
    while (trie->edges[slot].child != 0 && trie->edges[slot].key != key)
        slot = (slot + 1) & (trie->slots - 1);
    return &trie->edges[slot];
}

static uint32_t child_of(const struct ech_trie *trie, uint32_t node, unsigned char byte)
{
    return edge_at(trie, node << 8 | byte)->child;
}

static int widen(struct ech_trie *trie, struct ech_err *err)
{
    struct ech_trie wider = *trie;
    wider.slots = trie->slots ? trie->slots * 2 : 1024;
    wider.edges = ech_calloc(wider.slots, sizeof *wider.edges, err);
    if (!wider.edges)
        return ECH_UNAVAILABLE;
    for (size_t i = 0; i < trie->slots; i++)
        if (trie->edges[i].child != 0)
            *edge_at(&wider, trie->edges[i].key) = trie->edges[i];
    ech_free(trie->edges);
    *trie = wider;
    return ECH_OK;
}

static int new_node(struct ech_trie *trie, uint32_t *node, struct ech_err *err)
{
    if (trie->nodes >= NODES_MAX)
        return ech_fail(err, ECH_DATA, "the vocabulary is too large: more than %d nodes", NODES_MAX);
    int code = ech_grow((void **)&trie->values, &trie->capacity, trie->nodes + 1, sizeof *trie->values, err);
    if (code != ECH_OK)
        return code;
    trie->values[trie->nodes] = -1;
    *node = (uint32_t)trie->nodes++;
    return ECH_OK;
}

int ech_trie_init(struct ech_trie *trie, struct ech_err *err)
{
    memset(trie, 0, sizeof *trie);
    int code = widen(trie, err);
    for (uint32_t i = 0, node; code == ECH_OK && i < ECH_TRIE_ROOTS; i++)
        code = new_node(trie, &node, err);
    return code;
}

void ech_trie_fini(struct ech_trie *trie)
{
    ech_free(trie->edges);
    ech_free(trie->values);
    memset(trie, 0, sizeof *trie);
}

int ech_trie_add(struct ech_trie *trie, uint32_t root, const void *text, size_t bytes, int32_t value,
                 struct ech_err *err)
{
    const unsigned char *s = text;
    uint32_t node = root;
    for (size_t i = 0; i < bytes; i++) {
        struct ech_trie_edge *edge = edge_at(trie, node << 8 | s[i]);
        if (edge->child == 0) {
            uint32_t child = 0;
            int code = new_node(trie, &child, err);
            if (code == ECH_OK && trie->nodes * 2 > trie->slots)
                code = widen(trie, err);
            if (code != ECH_OK)
                return code;
            edge = edge_at(trie, node << 8 | s[i]);
            *edge = (struct ech_trie_edge){.key = node << 8 | s[i], .child = child};
        }
        node = edge->child;
    }
    trie->values[node] = value;
    return ECH_OK;
}

size_t ech_trie_longest(const struct ech_trie *trie, uint32_t root, const void *text, size_t bytes,
                        int32_t *value)
{
    const unsigned char *s = text;
    uint32_t node = root;
    size_t longest = 0;
    for (size_t i = 0; i < bytes; i++) {
        node = child_of(trie, node, s[i]);
        if (node == 0)
            break;
        if (trie->values[node] >= 0) {
            longest = i + 1;
            *value = trie->values[node];
        }
    }
    return longest;
}

int32_t ech_trie_exact(const struct ech_trie *trie, uint32_t root, const void *text, size_t bytes)
{
    const unsigned char *s = text;
    uint32_t node = root;
    for (size_t i = 0; i < bytes; i++)
        if ((node = child_of(trie, node, s[i])) == 0)
            return -1;
    return trie->values[node];
}
