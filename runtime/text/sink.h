/* Where ids go: at most `limit` are kept, all are counted; unless `count_all`, work may stop beyond it. */
#ifndef ECH_TEXT_SINK_H
#define ECH_TEXT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ech_id_sink {
    int32_t *ids;
    int64_t limit, found;
    bool count_all;
};

static inline void ech_sink_put(struct ech_id_sink *sink, int32_t id)
{
    if (sink->found < sink->limit)
        sink->ids[sink->found] = id;
    sink->found++;
}

static inline void ech_sink_put_many(struct ech_id_sink *sink, const int32_t *ids, int64_t count)
{
    if (sink->found + count <= sink->limit) {
        for (int64_t i = 0; i < count; i++)
            sink->ids[sink->found + i] = ids[i];
        sink->found += count;
        return;
    }
    for (int64_t i = 0; i < count; i++)
        ech_sink_put(sink, ids[i]);
}

static inline bool ech_sink_full(const struct ech_id_sink *sink)
{
    return !sink->count_all && sink->found > sink->limit;
}

#endif
