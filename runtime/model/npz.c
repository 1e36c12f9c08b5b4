/* The directory of a zip, and its members: see npz.h. */
#include "model/npz.h"

#include "base/mem.h"
#include "model/cursor.h"

#include <string.h>
#include <zlib.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MOST = 65535,
    RATIO_MOST = 1032, /* of deflate */
    NAME_MOST = 4096
};

struct zip {
    const char *path;
    const unsigned char *data;
    size_t bytes;
    struct ech_err *err;
    uint64_t entries, directory; /* their number, where they begin */
};

struct member {
    const unsigned char *name;
    size_t name_bytes;
    int method;
    uint32_t crc;
    uint64_t packed, bytes, local;
};

static bool marked(const struct zip *z, uint64_t at, size_t bytes, uint32_t mark)
{
    return at <= z->bytes && z->bytes - at >= bytes && ech_little(z->data + at, 4) == mark;
}

/* Beyond 65,535 members or 4 GiB a second end record counts in 64 bits. */
static int read_end64(struct zip *z, size_t end)
{
    if (end < LOCATOR_BYTES || !marked(z, end - LOCATOR_BYTES, LOCATOR_BYTES, 0x07064b50))
        return ECH_OK;
    uint64_t at = ech_little(z->data + end - LOCATOR_BYTES + 8, 8);
    if (!marked(z, at, END64_BYTES, 0x06064b50))
        return ech_fail(z->err, ECH_DATA, "%s: the zip's 64-bit end is not at byte %llu as stated", z->path,
                        (unsigned long long)at);
    z->entries = ech_little(z->data + at + 32, 8);
    z->directory = ech_little(z->data + at + 48, 8);
    return ECH_OK;
}

/* The end record lies before a comment of at most 64 KiB. */
static int read_end(struct zip *z)
{
    if (z->bytes >= END_BYTES)
        for (size_t at = z->bytes - END_BYTES, i = 0; i <= COMMENT_MOST; at--, i++) {
            if (marked(z, at, END_BYTES, 0x06054b50) && ech_little(z->data + at + 20, 2) == i) {
                z->entries = ech_little(z->data + at + 10, 2);
                z->directory = ech_little(z->data + at + 16, 4);
                return read_end64(z, at);
            }
            if (at == 0)
                break;
        }
    return ech_fail(z->err, ECH_DATA, "%s is truncated, or not a zip: it has no end record", z->path);
}

/* Sizes that do not fit 32 bits stand in an extra field, in this order. */
static bool read_extra(const unsigned char *extra, size_t bytes, struct member *m)
{
    uint64_t *const wide[] = {&m->bytes, &m->packed, &m->local};
    bool open = m->bytes == UINT32_MAX || m->packed == UINT32_MAX || m->local == UINT32_MAX;
    while (open && bytes >= 4) {
        size_t length = (size_t)ech_little(extra + 2, 2);
        if (length > bytes - 4)
            return false;
        if (ech_little(extra, 2) == 1) {
            const unsigned char *p = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*wide[i] != UINT32_MAX)
                    continue;
                if (length < 8)
                    return false;
                *wide[i] = ech_little(p, 8);
                p += 8;
                length -= 8;
            }
            return true;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return !open;
}

static int read_entry(const struct zip *z, uint64_t *at, struct member *m)
{
    if (!marked(z, *at, ENTRY_BYTES, 0x02014b50))
        return ech_fail(z->err, ECH_DATA, "%s is truncated, or its zip directory is damaged at byte %llu",
                        z->path, (unsigned long long)*at);
    const unsigned char *p = z->data + *at;
    size_t name = (size_t)ech_little(p + 28, 2), extra = (size_t)ech_little(p + 30, 2),
           comment = (size_t)ech_little(p + 32, 2);
    if (name + extra + comment > z->bytes - *at - ENTRY_BYTES)
        return ech_fail(z->err, ECH_DATA, "%s is truncated: the zip's entry at byte %llu goes beyond the end",
                        z->path, (unsigned long long)*at);
    *m = (struct member){.name = p + ENTRY_BYTES,
                         .name_bytes = name,
                         .method = (int)ech_little(p + 10, 2),
                         .crc = (uint32_t)ech_little(p + 16, 4),
                         .packed = ech_little(p + 20, 4),
                         .bytes = ech_little(p + 24, 4),
                         .local = ech_little(p + 42, 4)};
    if (ech_little(p + 8, 2) & 1 || !read_extra(p + ENTRY_BYTES + name, extra, m))
        return ech_fail(z->err, ECH_DATA,
                        "%s: the zip's entry at byte %llu is encrypted or has damaged sizes", z->path,
                        (unsigned long long)*at);
    *at += ENTRY_BYTES + name + extra + comment;
    return ECH_OK;
}

/* What the directory states is checked against the member's own place. */
static int find_packed(const struct zip *z, const char *name, const struct member *m,
                       const unsigned char **out)
{
    if (!marked(z, m->local, LOCAL_BYTES, 0x04034b50))
        return ech_fail(z->err, ECH_DATA, "%s: member %.100s is not at byte %llu as stated", z->path, name,
                        (unsigned long long)m->local);
    const unsigned char *p = z->data + m->local;
    uint64_t head = LOCAL_BYTES + ech_little(p + 26, 2) + ech_little(p + 28, 2), room = z->bytes - m->local;
    if (head > room || m->packed > room - head)
        return ech_fail(z->err, ECH_DATA,
                        "%s is truncated: member %.100s takes %llu bytes, the file has %llu there", z->path,
                        name, (unsigned long long)(m->packed),
                        (unsigned long long)(head > room ? 0 : room - head));
    *out = p + head;
    return ECH_OK;
}

static int inflate_into(const struct zip *z, const char *name, const struct member *m,
                        const unsigned char *from, unsigned char *to)
{
    z_stream s = {0};
    size_t in = (size_t)m->packed, out = (size_t)m->bytes;
    int status = inflateInit2(&s, -MAX_WBITS);
    if (status != Z_OK)
        return ech_fail(z->err, ECH_UNAVAILABLE, "%s: no memory to inflate %.100s", z->path, name);
    s.next_in = (unsigned char *)(uintptr_t)from;
    s.next_out = to;
    do { /* zlib counts in 32 bits */
        uInt in_now = in > 1u << 30 ? 1u << 30 : (uInt)in, out_now = out > 1u << 30 ? 1u << 30 : (uInt)out;
        s.avail_in = in_now;
        s.avail_out = out_now;
        status = inflate(&s, Z_NO_FLUSH);
        in -= in_now - s.avail_in;
        out -= out_now - s.avail_out;
        if (in_now == s.avail_in && out_now == s.avail_out)
            break;
    } while (status == Z_OK);
    inflateEnd(&s);
    if (status != Z_STREAM_END || out != 0)
        return ech_fail(z->err, ECH_DATA, "%s: member %.100s does not inflate to the %llu bytes stated",
                        z->path, name, (unsigned long long)m->bytes);
    return ECH_OK;
}

static int check_crc(const struct zip *z, const char *name, const struct member *m, const unsigned char *data)
{
    uLong crc = crc32_z(crc32_z(0, NULL, 0), data, (size_t)m->bytes);
    if (crc != m->crc)
        return ech_fail(z->err, ECH_DATA, "%s: member %.100s has checksum %08lx, %08lx is stated", z->path,
                        name, crc, (unsigned long)m->crc);
    return ECH_OK;
}

static int unpack(const struct zip *z, const char *name, const struct member *m, const unsigned char *from,
                  struct ech_npz *npz, const unsigned char **out)
{
    if (m->method == 0) {
        *out = from;
        if (m->packed != m->bytes)
            return ech_fail(z->err, ECH_DATA, "%s: member %.100s is stored, yet has two sizes", z->path,
                            name);
        return ECH_OK;
    }
    if (m->method != 8)
        return ech_fail(z->err, ECH_DATA,
                        "%s: member %.100s is packed by method %d; stored and deflated are supported",
                        z->path, name, m->method);
    npz->inflated += m->bytes; /* members may overlap: the sum is bounded, too */
    if (m->bytes / RATIO_MOST > m->packed || npz->inflated / RATIO_MOST > z->bytes)
        return ech_fail(z->err, ECH_DATA, "%s: member %.100s cannot inflate from %llu to %llu bytes", z->path,
                        name, (unsigned long long)m->packed, (unsigned long long)m->bytes);
    if (ech_grow((void **)&npz->blocks, &npz->blocks_capacity, npz->blocks_count + 1, sizeof *npz->blocks,
                 z->err) != ECH_OK)
        return ECH_UNAVAILABLE;
    unsigned char *block = ech_calloc((size_t)m->bytes, 1, z->err);
    if (!block)
        return ECH_UNAVAILABLE;
    npz->blocks[npz->blocks_count++] = block;
    *out = block;
    int code = inflate_into(z, name, m, from, block);
    return code == ECH_OK ? check_crc(z, name, m, block) : code;
}

static int add_member(const struct zip *z, const struct member *m, int file, struct ech_npz *npz)
{
    static const char tail[] = ".npy";
    const size_t length = sizeof tail - 1;
    const unsigned char *packed = NULL, *data = NULL;
    if (m->name_bytes <= length || m->name_bytes > NAME_MOST || memchr(m->name, '\0', m->name_bytes) ||
        memcmp(m->name + m->name_bytes - length, tail, length) != 0)
        return ech_fail(z->err, ECH_DATA, "%s: a member of the zip is not named NAME.npy: \"%.*s\"", z->path,
                        (int)(m->name_bytes < 100 ? m->name_bytes : 100), (const char *)m->name);
    struct ech_tensor *t = ech_tensor_list_add(&npz->items, z->err);
    if (!t || !(t->name = ech_strndup((const char *)m->name, m->name_bytes - length, z->err)))
        return ECH_UNAVAILABLE;
    t->file = file;
    int code = find_packed(z, t->name, m, &packed);
    if (code == ECH_OK)
        code = unpack(z, t->name, m, packed, npz, &data);
    return code == ECH_OK ? ech_npy_view(z->path, t->name, data, (size_t)m->bytes, t, z->err) : code;
}

int ech_npz_parse(const char *path, const unsigned char *data, size_t bytes, int file, struct ech_npz *out,
                  struct ech_err *err)
{
    struct zip z = {.path = path, .data = data, .bytes = bytes, .err = err};
    memset(out, 0, sizeof *out);
    int code = read_end(&z);
    uint64_t at = z.directory;
    for (uint64_t i = 0; code == ECH_OK && i < z.entries; i++) {
        struct member m;
        code = read_entry(&z, &at, &m);
        if (code == ECH_OK)
            code = add_member(&z, &m, file, out);
    }
    if (code != ECH_OK)
        ech_npz_fini(out);
    return code;
}

void ech_npz_fini(struct ech_npz *npz)
{
    ech_tensor_list_fini(&npz->items);
    for (size_t i = 0; i < npz->blocks_count; i++)
        ech_free(npz->blocks[i]);
    ech_free(npz->blocks);
    memset(npz, 0, sizeof *npz);
}
