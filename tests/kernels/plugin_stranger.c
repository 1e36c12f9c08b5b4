/* Shared objects that plugin.c must refuse: of another version of the interface, or of none. */
#include "kernels/plugin.h"

#ifdef ECH_NO_SYMBOL
#define NAME ech_something_else
#else
#define NAME ECH_PLUGIN_SYMBOL
#endif

extern const struct ech_plugin NAME;
__attribute__((visibility("default")))
const struct ech_plugin NAME = {.abi = ECH_PLUGIN_ABI + 1, .ops_size = sizeof(struct ech_ops)};
