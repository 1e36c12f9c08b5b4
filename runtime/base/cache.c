#include "base/cache.h"

#include "base/mem.h"

#include <stdlib.h>

char *ech_cache_path(const char *name)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return ech_sprintf(NULL, "%s/echelon/%s", xdg, name);
    if (home && home[0] == '/')
        return ech_sprintf(NULL, "%s/.cache/echelon/%s", home, name);
    return NULL;
}
