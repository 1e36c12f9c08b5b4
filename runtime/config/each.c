#include "config/each.h"

#include "base/num.h"
#include "config/precision.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char *const backends[] = {"auto", "avx512", "avx2", "openblas", "ref_exact", "cuda"};

struct entry {
    char host[128];
    bool by_rank;
    int64_t first, last;
    int backend, weights, compute;
};

static bool read_ranks(const char *text, struct entry *e)
{
    char first[32];
    const char *dash = strchr(text, '-');
    size_t length = dash ? (size_t)(dash - text) : strlen(text);
    if (length >= sizeof first)
        return false;
    memcpy(first, text, length);
    first[length] = '\0';
    if (!ech_parse_int(first, &e->first) || e->first < 0)
        return false;
    e->last = e->first;
    return !dash || (ech_parse_int(dash + 1, &e->last) && e->last >= e->first);
}

static bool read_backend(const char *name, struct entry *e)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(name, backends[i]) == 0) {
            e->backend = (int)i;
            return true;
        }
    return false;
}

/* One word, as of `precision:`. */
static bool read_precision(const char *word, struct entry *e)
{
    const char *compute = ech_precision_compute_of(word);
    for (int p = ECH_PRECISION_F32; compute && p <= ECH_PRECISION_INT4; p++) {
        e->weights = strcmp(word, ech_precision_name(p)) == 0 ? p : e->weights;
        e->compute = strcmp(compute, ech_precision_name(p)) == 0 ? p : e->compute;
    }
    return e->weights != ECH_PRECISION_AUTO && ech_precision_resolve(&e->weights, &e->compute);
}

static const char *read_entry(const char *text, struct entry *e)
{
    char what[64];
    *e = (struct entry){.weights = ECH_PRECISION_AUTO, .compute = ECH_PRECISION_AUTO};
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return "WHO=BACKEND or WHO=BACKEND/PRECISION was expected";
    size_t length = (size_t)(equals - text);
    if (length >= sizeof e->host || strlen(equals + 1) >= sizeof what)
        return "it is too long";
    memcpy(e->host, text, length);
    strcpy(what, equals + 1);
    e->by_rank = strncmp(e->host, "rank ", 5) == 0;
    if (e->by_rank && !read_ranks(e->host + 5, e))
        return "rank N or rank N-M was expected before =";
    char *slash = strchr(what, '/');
    if (slash)
        *slash = '\0';
    if (!read_backend(what, e))
        return "auto, avx512, avx2, openblas, ref_exact or cuda was expected after =";
    if (slash && !read_precision(slash + 1, e))
        return "f32, bf16, f16, int8 or int4 was expected after /";
    return NULL;
}

const char *ech_each_wrong(const char *text)
{
    struct entry e;
    return read_entry(text, &e);
}

bool ech_each_apply(const struct ech_list *each, const char *host, int64_t rank, struct ech_job *job)
{
    for (int i = 0; i < each->count; i++) {
        struct entry e;
        if (read_entry(each->items[i], &e))
            continue;
        if (e.by_rank ? rank < e.first || rank > e.last : fnmatch(e.host, host, 0) != 0)
            continue;
        job->resources.backend = e.backend;
        if (e.weights != ECH_PRECISION_AUTO) {
            job->precision.weights = e.weights;
            job->precision.compute = e.compute;
        }
        return true;
    }
    return false;
}

bool ech_job_on_gpus(const struct ech_job *job)
{
    bool some = job->resources.backend == ECH_BACKEND_CUDA;
    for (int i = 0; i < job->resources.each.count; i++) {
        struct entry e;
        some = some || (!read_entry(job->resources.each.items[i], &e) && e.backend == ECH_BACKEND_CUDA);
    }
    return some;
}
