#include "launcher/planned.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define MOST 1e18
enum { RANKS_MOST = 1 << 20 };

static double float_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double number = json_is_number(value) ? json_number_value(value) : 0;
    return number > 0 && number < MOST ? number : 0;
}

static int read_rank(const json_t *one, struct ech_planned *out, struct ech_err *err)
{
    const json_t *number = json_object_get(one, "rank");
    int64_t rank = json_is_integer(number) ? json_integer_value(number) : -1;
    if (rank < 0 || rank >= RANKS_MOST)
        return ECH_OK;
    size_t need = (size_t)rank + 1, had = out->count;
    if (need > had) {
        int code = ech_grow((void **)&out->ranks, &out->capacity, need, sizeof *out->ranks, err);
        if (code)
            return code;
        memset(out->ranks + had, 0, (need - had) * sizeof *out->ranks);
        out->count = need;
    }
    const char *from = json_string_value(json_object_get(one, "speed_from"));
    struct ech_planned_rank *r = &out->ranks[rank];
    *r = (struct ech_planned_rank){.there = true,
                                   .rests = json_is_true(json_object_get(one, "rests")),
                                   .speed = float_of(one, "speed"),
                                   .share = float_of(one, "share"),
                                   .tokens = float_of(one, "tokens"),
                                   .finish_s = float_of(one, "finish_s"),
                                   .rows = (int64_t)float_of(one, "rows"),
                                   .memory = (int64_t)float_of(one, "memory_bytes")};
    snprintf(r->from, sizeof r->from, "%s", from ? from : "");
    return ECH_OK;
}

int ech_planned_read(const json_t *plan, int attempt, struct ech_planned *out, struct ech_err *err)
{
    *out = (struct ech_planned){0};
    const json_t *of = json_object_get(plan, "attempt"), *ranks = json_object_get(plan, "ranks");
    if (!json_is_array(ranks) || (json_is_integer(of) && json_integer_value(of) != attempt))
        return ECH_OK;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < json_array_size(ranks); i++)
        code = read_rank(json_array_get(ranks, i), out, err);
    out->known = code == ECH_OK && out->count > 0;
    out->optimum_s = float_of(plan, "optimum_s");
    out->makespan_s = float_of(plan, "makespan_s");
    out->time_limit_s = float_of(plan, "time_limit_s");
    out->chance = float_of(plan, "chance");
    return code;
}

void ech_planned_fini(struct ech_planned *planned)
{
    ech_free(planned->ranks);
    *planned = (struct ech_planned){0};
}

const struct ech_planned_rank *ech_planned_of(const struct ech_planned *planned, int rank)
{
    if (!planned || !planned->known || rank < 0 || (size_t)rank >= planned->count ||
        !planned->ranks[rank].there)
        return NULL;
    return &planned->ranks[rank];
}
