/* Double array: see sentencepiece_trie.h. Nodes get their places depth first; a node's children are put at
 * the first base that fits among the free places of the last blocks, so that building is linear. */
#include "text/sentencepiece_trie.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ROOT_LABEL: the root is no one's child; the base from which this label would lead to it is never given, nor
 * is base 0, which leaves have. */
enum { BLOCK = 256, OPEN_BLOCKS = 16, NODES_MOST = 1 << 23, TAKEN = 0x100, ROOT_LABEL = 1 };

/* What is known of a place while the array grows: its neighbours in the list of free places. */
struct slot {
    int32_t next, prev;
    bool base_used;
};

struct range {
    size_t low, high, depth;
    uint32_t node;
};

struct builder {
    struct ech_sp_trie *trie;
    const struct ech_sp_key *keys;
    struct slot *slots;
    size_t slots_capacity;
    int32_t free_first, free_last; /* -1: none */
    struct range *stack;
    size_t depth, stack_capacity;
};

static void list_remove(struct builder *b, int32_t i)
{
    struct slot *s = &b->slots[i];
    if (s->prev >= 0)
        b->slots[s->prev].next = s->next;
    else
        b->free_first = s->next;
    if (s->next >= 0)
        b->slots[s->next].prev = s->prev;
    else
        b->free_last = s->prev;
}

static void list_append(struct builder *b, int32_t i)
{
    b->slots[i] = (struct slot){.next = -1, .prev = b->free_last};
    if (b->free_last >= 0)
        b->slots[b->free_last].next = i;
    else
        b->free_first = i;
    b->free_last = i;
}

/* One more block; the places that are still free in the oldest open one are given up. */
static int add_block(struct builder *b, struct ech_err *err)
{
    struct ech_sp_trie *t = b->trie;
    size_t start = t->count;
    if (start + BLOCK > NODES_MOST)
        return ech_fail(err, ECH_DATA, "the vocabulary is too large: more than %d nodes", NODES_MOST);
    int code = ech_grow((void **)&t->nodes, &t->capacity, start + BLOCK, sizeof *t->nodes, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&b->slots, &b->slots_capacity, start + BLOCK, sizeof *b->slots, err);
    if (code != ECH_OK)
        return code;
    t->count = start + BLOCK;
    size_t keep = start >= OPEN_BLOCKS * BLOCK ? start + BLOCK - OPEN_BLOCKS * BLOCK : 0;
    while (b->free_first >= 0 && (size_t)b->free_first < keep)
        list_remove(b, b->free_first);
    for (size_t i = start; i < start + BLOCK; i++) {
        t->nodes[i] = (struct ech_sp_node){.value = -1};
        list_append(b, (int32_t)i);
    }
    return ECH_OK;
}

static bool fits(const struct builder *b, uint32_t base, const unsigned char *labels, size_t count)
{
    if (base == 0 || base == ROOT_LABEL || b->slots[base].base_used)
        return false;
    for (size_t i = 0; i < count; i++)
        if (b->trie->nodes[base ^ labels[i]].link & TAKEN)
            return false;
    return true;
}

static int find_base(struct builder *b, const unsigned char *labels, size_t count, uint32_t *base,
                     struct ech_err *err)
{
    for (int32_t i = b->free_first; i >= 0; i = b->slots[i].next)
        if (fits(b, *base = (uint32_t)i ^ labels[0], labels, count))
            return ECH_OK;
    size_t start = b->trie->count;
    int code = add_block(b, err);
    *base = (uint32_t)start ^ labels[0];
    return code;
}

/* Equal strings: the larger value first, which is then the one that is kept. */
static int compare_keys(const void *a, const void *b)
{
    const struct ech_sp_key *x = a, *y = b;
    size_t least = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->text, y->text, least);
    if (order == 0 && x->bytes != y->bytes)
        order = x->bytes < y->bytes ? -1 : 1;
    return order ? order : (x->value < y->value) - (x->value > y->value);
}

/* Give the children of a range's node their places and leave their ranges on the stack. */
static int place(struct builder *b, struct range r, struct ech_err *err)
{
    unsigned char labels[256];
    size_t starts[257], count = 0;
    struct ech_sp_trie *t = b->trie;
    if (b->keys[r.low].bytes == r.depth)
        t->nodes[r.node].value = b->keys[r.low].value;
    while (r.low < r.high && b->keys[r.low].bytes == r.depth)
        r.low++;
    for (size_t i = r.low; i < r.high; i++)
        if (count == 0 || labels[count - 1] != b->keys[i].text[r.depth]) {
            labels[count] = b->keys[i].text[r.depth];
            starts[count++] = i;
        }
    if (count == 0)
        return ECH_OK;
    starts[count] = r.high;
    uint32_t base = 0;
    int code = find_base(b, labels, count, &base, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&b->stack, &b->stack_capacity, b->depth + count, sizeof *b->stack, err);
    if (code != ECH_OK)
        return code;
    b->slots[base].base_used = true;
    t->nodes[r.node].link |= base << 9;
    for (size_t i = 0; i < count; i++) {
        uint32_t child = base ^ labels[i];
        t->nodes[child].link = TAKEN | labels[i];
        list_remove(b, (int32_t)child);
        b->stack[b->depth++] = (struct range){starts[i], starts[i + 1], r.depth + 1, child};
    }
    return ECH_OK;
}

int ech_sp_trie_build(struct ech_sp_trie *trie, struct ech_sp_key *keys, size_t count, struct ech_err *err)
{
    struct builder b = {.trie = trie, .keys = keys, .free_first = -1, .free_last = -1};
    memset(trie, 0, sizeof *trie);
    qsort(keys, count, sizeof *keys, compare_keys);
    int code = add_block(&b, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&b.stack, &b.stack_capacity, 1, sizeof *b.stack, err);
    if (code == ECH_OK) {
        list_remove(&b, 0);
        trie->nodes[0].link = TAKEN | ROOT_LABEL;
        b.stack[b.depth++] = (struct range){.high = count};
        trie->any = count > 0;
    }
    for (size_t i = 0; i < count; i++)
        trie->first[keys[i].text[0]] = true;
    while (code == ECH_OK && count > 0 && b.depth > 0)
        code = place(&b, b.stack[--b.depth], err);
    ech_free(b.slots);
    ech_free(b.stack);
    if (code != ECH_OK)
        ech_sp_trie_fini(trie);
    return code;
}

void ech_sp_trie_fini(struct ech_sp_trie *trie)
{
    ech_free(trie->nodes);
    memset(trie, 0, sizeof *trie);
}

size_t ech_sp_trie_longest(const struct ech_sp_trie *trie, const unsigned char *text, size_t bytes,
                           int32_t *value)
{
    uint32_t node = 0;
    size_t longest = 0;
    for (size_t i = 0; i < bytes && ech_sp_trie_step(trie->nodes, &node, text[i]); i++)
        if (trie->nodes[node].value >= 0) {
            longest = i + 1;
            *value = trie->nodes[node].value;
        }
    return longest;
}
