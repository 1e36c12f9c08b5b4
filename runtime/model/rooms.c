/* Stretches of rows: see rooms.h. */
#include "model/rooms.h"

#include "base/mem.h"

#include <string.h>

int ech_rooms_init(int64_t rows, int64_t most, struct ech_rooms *out, struct ech_err *err)
{
    struct ech_room *taken = ech_calloc((size_t)most, sizeof *taken, err);
    if (!taken)
        return ECH_UNAVAILABLE;
    *out = (struct ech_rooms){.taken = taken, .rows = rows, .most = most};
    return ECH_OK;
}

void ech_rooms_fini(struct ech_rooms *rooms)
{
    ech_free(rooms->taken);
    rooms->taken = NULL;
}

int64_t ech_rooms_take(struct ech_rooms *r, int64_t count)
{
    int64_t at = 0, i = 0;
    if (count == 0)
        return 0;
    while (i < r->used && r->taken[i].first - at < count) {
        at = r->taken[i].first + r->taken[i].count;
        i++;
    }
    if (r->used == r->most || (i == r->used && r->rows - at < count))
        return -1;
    memmove(r->taken + i + 1, r->taken + i, (size_t)(r->used - i) * sizeof *r->taken);
    r->taken[i] = (struct ech_room){at, count};
    r->used++;
    return at;
}

void ech_rooms_give(struct ech_rooms *r, int64_t first)
{
    for (int64_t i = 0; i < r->used; i++)
        if (r->taken[i].first == first) {
            r->used--;
            memmove(r->taken + i, r->taken + i + 1, (size_t)(r->used - i) * sizeof *r->taken);
            return;
        }
}
