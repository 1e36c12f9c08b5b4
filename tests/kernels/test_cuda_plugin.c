/* What is said where the CUDA backend cannot be had, one process a reason: `test_cuda_plugin REASON LIBRARY`.
 * Prints nothing and returns 0 where the words are right. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"
#include "kernels/plugin.h"

static const struct {
    const char *reason, *says;
    bool opened; /* it can describe the machine */
} REASONS[] = {
    {"missing", "which cannot be read", false},
    {"no_library", "ELF", false},
    {"stranger", "not a backend of Echelon", false},
    {"version", "another version of Echelon", false},
    {"no_driver", "the driver is older than the toolkit", true},
};

/* The emulator without a device: as on a machine that has the toolkit and no driver. */
static int take_devices_away(const char *library)
{
    void *object = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void (*set_devices)(int) = NULL;
    if (object)
        *(void **)&set_devices = dlsym(object, "ech_emu_set_devices");
    if (!set_devices)
        return 1;
    set_devices(0);
    return 0;
}

int main(int argc, char **argv)
{
    char why[256] = "", line[512] = "";
    if (argc != 3 || setenv("ECH_CUDA_LIBRARY", argv[2], 1) != 0)
        return 64;
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (strcmp(REASONS[i].reason, argv[1]) != 0)
            continue;
        if (strcmp(argv[1], "no_driver") == 0 && take_devices_away(argv[2]))
            return 2;
        const struct ech_ops *ops = ech_ops_find("cuda", why), *again = ech_ops_find("cuda", NULL);
        bool described = ech_cuda_describe(line, sizeof line) != NULL;
        bool listed = false;
        for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
            listed = listed || strcmp((*o)->name, "cuda") == 0;
        if (!ops && !again && !listed && strstr(why, REASONS[i].says) && strstr(why, "'cuda'") &&
            described == REASONS[i].opened && ech_ops_find("auto", why))
            return 0;
        fprintf(stderr, "%s: found %d, listed %d, described as '%s', said: %s\n", argv[1], ops != NULL,
                listed, line, why);
        return 1;
    }
    return 64;
}
