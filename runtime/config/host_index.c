/* Hosts by name: see host_index.h. Sorted by what comes before the first dot, then by the rest, so that all
 * names of a host stand together and the one without a domain stands first. */
#include "config/host_index.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int ech_host_index_add(struct ech_host_index *index, const char *name, int64_t value, struct ech_err *err)
{
    int code =
        ech_grow((void **)&index->items, &index->capacity, index->count + 1, sizeof *index->items, err);
    if (code == ECH_OK)
        index->items[index->count++] = (struct ech_host_entry){name, value};
    return code;
}

void ech_host_index_fini(struct ech_host_index *index)
{
    ech_free(index->items);
    *index = (struct ech_host_index){0};
}

static int compare_short(const char *a, const char *b)
{
    size_t n = strcspn(a, "."), m = strcspn(b, ".");
    int order = memcmp(a, b, n < m ? n : m);
    return order ? order : n < m ? -1 : n > m;
}

static int compare(const char *a, const char *b)
{
    int order = compare_short(a, b);
    return order ? order : strcmp(a, b);
}

static int by_name(const void *a, const void *b)
{
    const struct ech_host_entry *x = a, *y = b;
    int order = compare(x->name, y->name);
    return order ? order : x->value < y->value ? -1 : x->value > y->value;
}

void ech_host_index_sort(struct ech_host_index *index)
{
    if (index->count)
        qsort(index->items, index->count, sizeof *index->items, by_name);
}

/* The first entry that is not before `name`. */
static size_t lower(const struct ech_host_index *index, const char *name,
                    int (*order)(const char *a, const char *b))
{
    size_t from = 0, to = index->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (order(index->items[middle].name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

const struct ech_host_entry *ech_host_index_find(const struct ech_host_index *index, const char *name)
{
    size_t at = lower(index, name, compare);
    if (at < index->count && strcmp(index->items[at].name, name) == 0)
        return &index->items[at];
    at = lower(index, name, compare_short);
    bool there = at < index->count && ech_host_is_same(index->items[at].name, name);
    return there ? &index->items[at] : NULL;
}

bool ech_host_is_same(const char *a, const char *b)
{
    size_t n = strcspn(a, "."), m = strcspn(b, ".");
    return strcmp(a, b) == 0 || (n == m && memcmp(a, b, n) == 0 && (!a[n] || !b[m]));
}
