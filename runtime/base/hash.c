/* Hashing: see hash.h. */
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include <xxhash.h>

_Static_assert(sizeof(struct ech_hash) == 16, "a hash is 16 bytes");

static struct ech_hash from_xxh(XXH128_hash_t x)
{
    return (struct ech_hash){x.high64, x.low64};
}

struct ech_hash ech_hash_bytes(const void *data, size_t bytes)
{
    return from_xxh(XXH3_128bits(data, bytes));
}

void ech_hash_add(struct ech_hash *h, const void *data, size_t bytes)
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, h, sizeof *h);
    XXH3_128bits_update(&state, data, bytes);
    *h = from_xxh(XXH3_128bits_digest(&state));
}

void ech_hash_add_str(struct ech_hash *h, const char *text)
{
    uint64_t length = strlen(text);
    ech_hash_add(h, &length, sizeof length);
    ech_hash_add(h, text, length);
}

struct ech_hash ech_hash_root(const struct ech_hash *blocks, int64_t count)
{
    return ech_hash_bytes(blocks, (size_t)count * sizeof *blocks);
}

bool ech_hash_equal(struct ech_hash a, struct ech_hash b)
{
    return a.high == b.high && a.low == b.low;
}

const char *ech_hash_print(struct ech_hash h, char out[ECH_HASH_HEX])
{
    snprintf(out, ECH_HASH_HEX, "%016" PRIx64 "%016" PRIx64, h.high, h.low);
    return out;
}

bool ech_hash_parse(const char *hex, struct ech_hash *out)
{
    if (strlen(hex) != 32 || strspn(hex, "0123456789abcdef") != 32)
        return false;
    struct ech_hash h;
    if (sscanf(hex, "%16" SCNx64 "%16" SCNx64, &h.high, &h.low) != 2)
        return false;
    *out = h;
    return true;
}
