/* Where things that can be made again are kept between runs. */
#ifndef ECH_BASE_CACHE_H
#define ECH_BASE_CACHE_H

/* $XDG_CACHE_HOME/echelon/NAME, else ~/.cache/echelon/NAME; nothing is made. NULL: the user has no such
 * folder (neither variable is an absolute path), or no memory. Owner: the caller, ech_free. */
char *ech_cache_path(const char *name);

#endif
