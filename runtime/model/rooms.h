/* Rows of a cache, given out in whole stretches: which of them a sequence holds. Pure bookkeeping. */
#ifndef ECH_MODEL_ROOMS_H
#define ECH_MODEL_ROOMS_H

#include "base/err.h"

struct ech_room {
    int64_t first, count;
};
struct ech_rooms {
    struct ech_room *taken; /* ascending */
    int64_t rows, used, most;
};
/* At most `most` stretches at a time. */
int ech_rooms_init(int64_t rows, int64_t most, struct ech_rooms *out, struct ech_err *err);
void ech_rooms_fini(struct ech_rooms *rooms);
/* The first gap that is large enough, or -1. count 0 takes no room and gives 0. */
int64_t ech_rooms_take(struct ech_rooms *rooms, int64_t count);
void ech_rooms_give(struct ech_rooms *rooms, int64_t first);

#endif
