/* Compiled character maps: see charsmap.h. */
#include "text/charsmap.h"

#include "base/mem.h"
#include "text/unicode.h"

#include <string.h>
#include <utf8proc.h>

/* RULES_MOST: as many rules as begin one place are looked at by the reference. */
enum { BLOCK_BYTES = 1024, RULES_MOST = 32, CLUSTER_LESS = 6 };

static uint32_t offset_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 0x200) >> 6);
}

static uint32_t label_of(uint32_t unit)
{
    return unit & 0x800000FF;
}

static bool has_value(uint32_t unit)
{
    return unit & 0x100;
}

static uint32_t value_of(uint32_t unit)
{
    return unit & 0x7FFFFFFF;
}

/* A walk over all that can be reached, depth first. Ends of strings are shared, so places may have several
 * parents; a way that comes back to itself is refused. */
enum { UNSEEN, OPEN, DONE };

struct check {
    const struct ech_charsmap *map;
    uint8_t *state;
    struct check_step {
        uint32_t unit, byte; /* byte: the next one to follow */
    } * path;
    size_t depth;
    uint32_t bad; /* unit that is wrong */
    const char *why;
};

static bool check_fail(struct check *c, uint32_t unit, const char *why)
{
    c->bad = unit;
    c->why = why;
    return false;
}

static bool check_enter(struct check *c, uint32_t at)
{
    const struct ech_charsmap *map = c->map;
    uint32_t unit = map->units[at], to = at ^ offset_of(unit);
    if (to >= map->unit_count)
        return check_fail(c, at, "leads outside the array");
    if (has_value(unit) && value_of(map->units[to]) >= map->pool_bytes)
        return check_fail(c, to, "has its replacement outside the pool");
    c->state[at] = OPEN;
    c->path[c->depth++] = (struct check_step){at, 0};
    return true;
}

static bool check_next(struct check *c)
{
    struct check_step *step = &c->path[c->depth - 1];
    uint32_t to = step->unit ^ offset_of(c->map->units[step->unit]);
    while (step->byte < 256) {
        uint32_t byte = step->byte++, child = to ^ byte; /* in the array: whole blocks of 256 units */
        if (label_of(c->map->units[child]) != byte || c->state[child] == DONE)
            continue;
        return c->state[child] == OPEN ? check_fail(c, child, "leads back to itself") : check_enter(c, child);
    }
    c->state[step->unit] = DONE;
    c->depth--;
    return true;
}

static int check_units(const struct ech_charsmap *map, struct ech_err *err)
{
    struct check c = {.map = map};
    int code = ECH_UNAVAILABLE;
    c.state = ech_calloc(map->unit_count, 1, err);
    c.path = c.state ? ech_calloc(map->unit_count, sizeof *c.path, err) : NULL;
    if (c.path) {
        bool good = map->units[0] >> 31 == 0 || check_fail(&c, 0, "is the root and holds a value");
        good = good && check_enter(&c, 0);
        while (good && c.depth > 0)
            good = check_next(&c);
        code = good ? ECH_OK
                    : ech_fail(err, ECH_DATA, "character map, byte %llu: unit %u %s",
                               4 + 4 * (unsigned long long)c.bad, (unsigned)c.bad, c.why);
    }
    ech_free(c.state);
    ech_free(c.path);
    return code;
}

static bool is_plain(const struct ech_charsmap *map, uint32_t byte)
{
    uint32_t at = offset_of(map->units[0]) ^ byte, unit = map->units[at];
    if (label_of(unit) != byte)
        return true;
    if (has_value(unit))
        return false;
    at ^= offset_of(unit);
    for (uint32_t next = 0; next < 128; next++)
        if (label_of(map->units[at ^ next]) == next)
            return false;
    return true;
}

static int check_sizes(const unsigned char *blob, size_t bytes, uint32_t array, struct ech_err *err)
{
    if (bytes < 4)
        return ech_fail(err, ECH_DATA, "character map of %zu bytes: at least 4 were expected", bytes);
    if (array == 0 || array % BLOCK_BYTES != 0 || array > bytes - 4)
        return ech_fail(err, ECH_DATA,
                        "character map, byte 0: an array of %u bytes in a map of %zu, a multiple of %d "
                        "that fits was expected",
                        (unsigned)array, bytes, BLOCK_BYTES);
    if (array == bytes - 4 || blob[bytes - 1] != 0)
        return ech_fail(err, ECH_DATA, "character map, byte %zu: the replacements do not end with NUL",
                        bytes - 1);
    return ECH_OK;
}

static uint32_t read_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

int ech_charsmap_init(struct ech_charsmap *map, const void *blob, size_t bytes, struct ech_err *err)
{
    const unsigned char *at = blob;
    memset(map, 0, sizeof *map);
    if (bytes == 0) {
        memset(map->plain, 1, 128);
        return ECH_OK;
    }
    uint32_t array = bytes < 4 ? 0 : read_u32(at);
    int code = check_sizes(at, bytes, array, err);
    if (code != ECH_OK)
        return code;
    map->unit_count = array / 4;
    map->pool_bytes = bytes - 4 - array;
    map->units = ech_calloc(map->unit_count, sizeof *map->units, err);
    map->pool = map->units ? ech_calloc(map->pool_bytes, 1, err) : NULL;
    code = map->pool ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        for (size_t i = 0; i < map->unit_count; i++)
            map->units[i] = read_u32(at + 4 + 4 * i);
        memcpy(map->pool, at + 4 + array, map->pool_bytes);
        code = check_units(map, err);
    }
    for (uint32_t byte = 0; code == ECH_OK && byte < 128; byte++)
        map->plain[byte] = is_plain(map, byte);
    if (code != ECH_OK)
        ech_charsmap_fini(map);
    return code;
}

void ech_charsmap_fini(struct ech_charsmap *map)
{
    ech_free(map->units);
    ech_free(map->pool);
    memset(map, 0, sizeof *map);
}

/* The last of at most `most` rules at the front of the text. */
static size_t match(const struct ech_charsmap *map, const unsigned char *text, size_t bytes, int most,
                    const unsigned char **to, size_t *to_bytes)
{
    if (map->unit_count == 0)
        return 0;
    size_t length = 0;
    uint32_t at = offset_of(map->units[0]), value = 0;
    for (size_t i = 0; i < bytes && most > 0; i++) {
        at ^= text[i];
        uint32_t unit = map->units[at];
        if (label_of(unit) != text[i])
            break;
        at ^= offset_of(unit);
        if (has_value(unit)) {
            length = i + 1;
            value = value_of(map->units[at]);
            most--;
        }
    }
    if (length > 0) {
        *to = map->pool + value;
        *to_bytes = strlen((const char *)*to);
    }
    return length;
}

size_t ech_charsmap_longest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                            const unsigned char **to, size_t *to_bytes)
{
    return match(map, text, bytes, RULES_MOST, to, to_bytes);
}

size_t ech_charsmap_shortest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                             const unsigned char **to, size_t *to_bytes)
{
    const unsigned char *nul = memchr(text, 0, bytes);
    return match(map, text, nul ? (size_t)(nul - text) : bytes, 1, to, to_bytes);
}

static int put_shortest(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                        struct ech_normal *out, struct ech_err *err)
{
    const unsigned char *to = text;
    size_t to_bytes = bytes;
    ech_charsmap_shortest(map, text, bytes, &to, &to_bytes);
    return ech_normal_put(out, to, to_bytes, err);
}

static int put_cluster(const struct ech_charsmap *map, const unsigned char *text, size_t bytes,
                       struct ech_normal *out, struct ech_err *err)
{
    const unsigned char *to, *end = text + bytes;
    size_t to_bytes;
    int code = ECH_OK;
    if (bytes < CLUSTER_LESS && ech_charsmap_shortest(map, text, bytes, &to, &to_bytes))
        return ech_normal_put(out, to, to_bytes, err);
    while (code == ECH_OK && text < end) {
        const unsigned char *next = text;
        ech_char_next(&next);
        code = put_shortest(map, text, (size_t)(next - text), out, err);
        text = next;
    }
    return code;
}

/* Bytes that stand alone and unchanged: ASCII behind which no mark can come. */
static size_t plain_run(const struct ech_charsmap *map, const unsigned char *text, size_t bytes)
{
    size_t n = 0;
    while (n < bytes && map->plain[text[n]] && text[n] != '\r')
        n++;
    return n > 0 && n < bytes && text[n] >= 128 ? n - 1 : n;
}

static size_t cluster_bytes(const unsigned char *text, size_t bytes)
{
    const unsigned char *at = text, *end = text + bytes;
    int32_t state = 0, c = ech_char_next(&at);
    while (at < end) {
        const unsigned char *next = at;
        int32_t following = ech_char_next(&next);
        if (utf8proc_grapheme_break_stateful(c, following, &state))
            break;
        c = following;
        at = next;
    }
    return (size_t)(at - text);
}

static int step_apply(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                      struct ech_err *err)
{
    const struct ech_charsmap *map = data;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < bytes;) {
        size_t n = plain_run(map, text + i, bytes - i);
        if (n > 0)
            code = ech_normal_put(out, text + i, n, err);
        else {
            n = cluster_bytes(text + i, bytes - i);
            code = put_cluster(map, text + i, n, out, err);
        }
        i += n;
    }
    return code;
}

static bool step_unchanged(const void *data, const unsigned char *text, size_t bytes)
{
    const struct ech_charsmap *map = data;
    for (size_t i = 0; i < bytes; i++)
        if (!map->plain[text[i]])
            return false;
    return true;
}

static void step_close(void *data)
{
    ech_charsmap_fini(data);
    ech_free(data);
}

int ech_charsmap_create(const void *blob, size_t bytes, struct ech_normal_step *out, struct ech_err *err)
{
    struct ech_charsmap *map = ech_calloc(1, sizeof *map, err);
    if (!map)
        return ECH_UNAVAILABLE;
    int code = ech_charsmap_init(map, blob, bytes, err);
    if (code == ECH_OK)
        *out = (struct ech_normal_step){step_apply, step_unchanged, step_close, map};
    else
        ech_free(map);
    return code;
}
