/* A backend in a shared object of its own: how the table finds it, and what it must export.
 * `libech-cuda.so` exports one symbol, ECH_PLUGIN_SYMBOL, a `struct ech_plugin`. Raise ECH_PLUGIN_ABI with
 * each change of ops.h or queue.h that an older shared object would misread. */
#ifndef ECH_KERNELS_PLUGIN_H
#define ECH_KERNELS_PLUGIN_H

#include "kernels/ops.h"

enum { ECH_PLUGIN_ABI = 2 };
#define ECH_PLUGIN_SYMBOL ech_plugin

struct ech_plugin {
    int abi;         /* ECH_PLUGIN_ABI of the header it was compiled with */
    size_t ops_size; /* sizeof(struct ech_ops) there */
    /* The table, its numerics classes filled; NULL: `why` (256 bytes) says what is lacking. */
    const struct ech_ops *(*open)(char *why);
    /* For people, whether a device is there or not: driver, library, devices; one line, "; " between. */
    const char *(*describe)(char *out, size_t bytes);
};

/* The CUDA backend: opened once in a process. NULL: `why` (at least 256 bytes) says what is missing. Looked
 * for as $ECH_CUDA_LIBRARY (not in setuid programs), else beside this executable, else in
 * ../lib/echelon/ of its folder. */
const struct ech_ops *ech_cuda_find(char *why);
/* What the shared object says of this machine; NULL where it cannot be opened (ech_cuda_find says why). */
const char *ech_cuda_describe(char *out, size_t bytes);

#endif
