/* Memory: see mem.h. */
#include "base/mem.h"

#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static void *refuse(size_t bytes, struct ech_err *err)
{
    ech_fail(err, ECH_UNAVAILABLE, "out of memory: %zu bytes wanted", bytes);
    return NULL;
}

void *ech_calloc(size_t count, size_t size, struct ech_err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return refuse(SIZE_MAX, err);
    void *block = ech_fault(ECH_FAULT_ALLOC) ? NULL : calloc(1, bytes ? bytes : 1);
    return block ? block : refuse(bytes, err);
}

void *ech_alloc_aligned(size_t bytes, struct ech_err *err)
{
    void *block = NULL;
    if (ech_fault(ECH_FAULT_ALLOC) || posix_memalign(&block, 64, bytes ? bytes : 1) != 0)
        return refuse(bytes, err);
    return block;
}

void *ech_realloc(void *old, size_t count, size_t size, struct ech_err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return refuse(SIZE_MAX, err);
    void *block = ech_fault(ECH_FAULT_ALLOC) ? NULL : realloc(old, bytes ? bytes : 1);
    return block ? block : refuse(bytes, err);
}

int ech_grow(void **array, size_t *capacity, size_t need, size_t size, struct ech_err *err)
{
    if (need <= *capacity)
        return ECH_OK;
    size_t wanted = *capacity ? *capacity : 16;
    while (wanted < need)
        wanted = wanted > SIZE_MAX / 2 ? need : wanted * 2;
    void *block = ech_realloc(*array, wanted, size, err);
    if (!block)
        return ECH_UNAVAILABLE;
    *array = block;
    *capacity = wanted;
    return ECH_OK;
}

char *ech_strndup(const char *text, size_t bytes, struct ech_err *err)
{
    char *copy = ech_calloc(bytes + 1, 1, err);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

char *ech_strdup(const char *text, struct ech_err *err)
{
    return ech_strndup(text, strlen(text), err);
}

char *ech_sprintf(struct ech_err *err, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = length < 0 ? NULL : ech_calloc((size_t)length + 1, 1, err);
    if (text)
        vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

void ech_free(void *block)
{
    free(block);
}

void ech_mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
