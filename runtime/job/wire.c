#include "job/wire.h"

#include "base/mem.h"

#include <string.h>

void ech_wire_put_report(const struct ech_report *r, struct ech_str *out)
{
    struct ech_report head = *r; /* its pointers mean nothing on the other side */
    head.done = NULL;
    head.dead = NULL;
    head.held = NULL;
    ech_str_add(out, &head, sizeof head);
    ech_str_add(out, r->done, (size_t)r->done_count * sizeof *r->done);
    ech_str_add(out, r->dead, (size_t)r->dead_count * sizeof *r->dead);
    ech_str_add(out, r->held, (size_t)r->held_count * sizeof *r->held);
}

/* `count` elements from *at, copied; false: they do not fit or there is no memory. */
static bool take(const char **at, size_t *left, int count, size_t size, void *out, struct ech_err *err)
{
    if (count < 0 || (size_t)count > *left / size)
        return false;
    void *copy = ech_calloc((size_t)count, size, err);
    if (!copy)
        return false;
    memcpy(copy, *at, (size_t)count * size);
    memcpy(out, &copy, sizeof copy);
    *at += (size_t)count * size;
    *left -= (size_t)count * size;
    return true;
}

int ech_wire_get_report(const void *data, size_t bytes, int nodes, int ranks, struct ech_report *out,
                        struct ech_err *err)
{
    struct ech_report r;
    const char *at = data;
    if (bytes < sizeof r)
        return ech_fail(err, ECH_BUG, "a report of %zu bytes", bytes);
    memcpy(&r, at, sizeof r);
    r.done = NULL;
    r.dead = NULL;
    r.held = NULL;
    at += sizeof r;
    bytes -= sizeof r;
    bool good = r.node >= 0 && r.node < nodes &&
                take(&at, &bytes, r.done_count, sizeof *r.done, &r.done, err) &&
                take(&at, &bytes, r.dead_count, sizeof *r.dead, &r.dead, err) &&
                take(&at, &bytes, r.held_count, sizeof *r.held, &r.held, err) && bytes == 0;
    for (int i = 0; good && i < r.dead_count; i++)
        good = r.dead[i] >= 0 && r.dead[i] < ranks;
    if (!good) {
        ech_wire_report_fini(&r);
        return ech_fail(err, ECH_BUG, "a report that does not fit its length");
    }
    *out = r;
    return ECH_OK;
}

void ech_wire_report_fini(struct ech_report *r)
{
    ech_free(r->done);
    ech_free(r->dead);
    ech_free(r->held);
}

void ech_wire_put_reply(const struct ech_reply *reply, struct ech_str *out)
{
    struct ech_reply head = *reply;
    head.dead = NULL;
    ech_str_add(out, &head, sizeof head);
    ech_str_add(out, reply->dead, (size_t)reply->dead_count * sizeof *reply->dead);
}

int ech_wire_get_reply(const void *data, size_t bytes, int ranks, struct ech_reply *out, struct ech_err *err)
{
    struct ech_reply r;
    if (bytes < sizeof r)
        return ech_fail(err, ECH_BUG, "a reply of %zu bytes", bytes);
    memcpy(&r, data, sizeof r);
    if (r.dead_count < 0 || r.dead_count > ranks || r.grants_count < 0 ||
        r.grants_count > (int)(sizeof r.grants / sizeof r.grants[0]) ||
        bytes != sizeof r + (size_t)r.dead_count * sizeof *r.dead)
        return ech_fail(err, ECH_BUG, "a reply of %zu bytes with %d grants and %d deaths", bytes,
                        r.grants_count, r.dead_count);
    r.dead = (const int *)(const void *)((const char *)data + sizeof r);
    for (int i = 0; i < r.dead_count; i++)
        if (r.dead[i] < 0 || r.dead[i] >= ranks)
            return ech_fail(err, ECH_BUG, "a reply tells of rank %d of %d", r.dead[i], ranks);
    *out = r;
    return ECH_OK;
}
