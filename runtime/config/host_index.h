/* Hosts by name, found in O(log n): a name with a domain is the same host as the one without ("n1",
 * "n1.site"), two with different domains are not. */
#ifndef ECH_CONFIG_HOST_INDEX_H
#define ECH_CONFIG_HOST_INDEX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_host_entry {
    const char *name; /* borrowed */
    int64_t value;
};
struct ech_host_index {
    struct ech_host_entry *items;
    size_t count, capacity;
};

/* Add all, then sort once: before it nothing is found.
 * Owner   ech_host_index_fini. */
int ech_host_index_add(struct ech_host_index *index, const char *name, int64_t value, struct ech_err *err);
void ech_host_index_sort(struct ech_host_index *index);
void ech_host_index_fini(struct ech_host_index *index);
/* The entry of exactly this name before one that only has a domain more or less; of equal ones that of the
 * least value. NULL: none. */
const struct ech_host_entry *ech_host_index_find(const struct ech_host_index *index, const char *name);

bool ech_host_is_same(const char *a, const char *b);

#endif
