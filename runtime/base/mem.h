/* Memory: every allocation of the project goes through here, so that it can be counted, refused over a
 * budget, and made to fail by a test. All return NULL on failure and fill err with the bytes wanted. */
#ifndef ECH_BASE_MEM_H
#define ECH_BASE_MEM_H

#include "base/err.h"

#include <stddef.h>

/* count * size bytes, overflow-checked; zeroed. Zero bytes give a valid pointer. Free with ech_free. */
void *ech_calloc(size_t count, size_t size, struct ech_err *err);
/* Not zeroed, 64-byte aligned (SIMD buffers). Free with ech_free. */
void *ech_alloc_aligned(size_t bytes, struct ech_err *err);
/* As realloc; on failure the old block stays valid. Never for aligned blocks. */
void *ech_realloc(void *old, size_t count, size_t size, struct ech_err *err);
/* Grow *array to hold at least `need` elements (doubling). *capacity is in elements. Returns a code. */
int ech_grow(void **array, size_t *capacity, size_t need, size_t size, struct ech_err *err);
char *ech_strdup(const char *text, struct ech_err *err);
char *ech_strndup(const char *text, size_t bytes, struct ech_err *err);
char *ech_sprintf(struct ech_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ech_free(void *block);
/* After large blocks were freed: what the allocator holds of them goes back to the system, where it can. */
void ech_mem_trim(void);

#endif
