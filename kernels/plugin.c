/* Opens the CUDA backend's shared object (plugin.h), once in a process; a failure is remembered too. */
#include "kernels/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

#include "kernels/backends.h"

enum { WHY = 256 };
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

static struct {
    once_flag once;
    char path[PATH_MAX], why[WHY];
    const struct ech_plugin *plugin; /* NULL: not opened, `why` */
    struct ech_ops table;
    bool usable;
} cuda = {.once = ONCE_FLAG_INIT};

#ifdef ECH_HAVE_CUDA
enum { BUILT = 1 };
#else
enum { BUILT = 0 };
#endif

/* FOLDER of this executable + `below` + the library's name; false: it does not fit or is not there. */
static bool beside(const char *below, char *out)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = 0;
    int length = snprintf(out, PATH_MAX, "%s/%slibech-cuda.so", self, below);
    return length > 0 && length < PATH_MAX && access(out, R_OK) == 0;
}

/* A setuid program does not load what its caller names. */
static bool locate(void)
{
    const char *named = secure_getenv("ECH_CUDA_LIBRARY");
    if (named && *named) {
        snprintf(cuda.path, sizeof cuda.path, "%s", named);
        if (access(cuda.path, R_OK) == 0)
            return true;
        snprintf(cuda.why, sizeof cuda.why, "ECH_CUDA_LIBRARY names '%.180s', which cannot be read", named);
        return false;
    }
    if (beside("", cuda.path) || beside("../lib/echelon/", cuda.path))
        return true;
    snprintf(cuda.path, sizeof cuda.path, "libech-cuda.so");
    snprintf(cuda.why, sizeof cuda.why, "%s",
             BUILT ? "libech-cuda.so is neither beside this program nor in ../lib/echelon/ of its folder; "
                     "ECH_CUDA_LIBRARY may name it"
                   : "this build has no CUDA backend: nvcc was not found (configure with WITH_CUDA=ON to "
                     "see why)");
    return false;
}

static bool load(void)
{
    void *object = dlopen(cuda.path, RTLD_NOW | RTLD_LOCAL);
    if (!object) {
        const char *text = dlerror();
        snprintf(cuda.why, sizeof cuda.why, "%.240s", text ? text : "the library cannot be opened");
        return false;
    }
    const struct ech_plugin *plugin = dlsym(object, TEXT(ECH_PLUGIN_SYMBOL));
    if (!plugin)
        snprintf(cuda.why, sizeof cuda.why, "%.180s is not a backend of Echelon", cuda.path);
    else if (plugin->abi != ECH_PLUGIN_ABI || plugin->ops_size != sizeof(struct ech_ops))
        snprintf(cuda.why, sizeof cuda.why,
                 "%.120s was built for another version of Echelon (interface %d, this program has %d)",
                 cuda.path, plugin->abi, ECH_PLUGIN_ABI);
    else
        cuda.plugin = plugin;
    if (!cuda.plugin)
        dlclose(object);
    return cuda.plugin != NULL;
}

static void open_cuda(void)
{
    if (!locate() || !load())
        return;
    char why[WHY] = "";
    const struct ech_ops *own = cuda.plugin->open(why);
    if (!own) {
        snprintf(cuda.why, sizeof cuda.why, "%s", why);
        return;
    }
    cuda.usable = ech_device_table(own, &cuda.table);
    if (!cuda.usable)
        snprintf(cuda.why, sizeof cuda.why, "%.180s lacks an operation", cuda.path);
}

const struct ech_ops *ech_cuda_find(char *why)
{
    call_once(&cuda.once, open_cuda);
    if (!cuda.usable && why)
        snprintf(why, WHY, "%s", cuda.why);
    return cuda.usable ? &cuda.table : NULL;
}

const char *ech_cuda_describe(char *out, size_t bytes)
{
    call_once(&cuda.once, open_cuda);
    return cuda.plugin ? cuda.plugin->describe(out, bytes) : NULL;
}
