/* XXH3-128 (libxxhash): finds damage, is no protection against forgery. */
#ifndef ECH_BASE_HASH_H
#define ECH_BASE_HASH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ech_hash {
    uint64_t high, low;
};
enum { ECH_HASH_HEX = 33, ECH_HASH_BLOCK = 1 << 20 };

struct ech_hash ech_hash_bytes(const void *data, size_t bytes);
/* Fold `bytes` into a running hash: h' = XXH3-128(h || data). For small identities, order matters. */
void ech_hash_add(struct ech_hash *h, const void *data, size_t bytes);
void ech_hash_add_str(struct ech_hash *h, const char *text); /* with its length: no two lists collide */
/* Root of a tree of blocks: the hash of the blocks' hashes (little endian high, low) in order. */
struct ech_hash ech_hash_root(const struct ech_hash *blocks, int64_t count);
bool ech_hash_equal(struct ech_hash a, struct ech_hash b);
const char *ech_hash_print(struct ech_hash h, char out[ECH_HASH_HEX]);
bool ech_hash_parse(const char *hex, struct ech_hash *out);

#endif
