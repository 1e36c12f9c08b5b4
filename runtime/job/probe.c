#include "job/probe.h"

#include "base/log.h"
#include "base/num.h"
#include "base/place.h"
#include "job/speed_cache.h"
#include "job/usage.h"
#include "plan/speed.h"

#include <math.h>
#include <stdio.h>

#define PROBE_S 0.4
/* A run that computed less says little of a speed. */
#define SEEN_S 1.0
enum { KEY = 1024 };

/* Rows of so many tokens stand for all within an eighth of an octave. */
static double step_of(double tokens)
{
    return tokens > 1 ? exp2(round(4 * log2(tokens)) / 4) : 1;
}

static void print_key(const struct ech_probe_ask *a, char out[KEY])
{
    char cpu[96], shape[192];
    const struct ech_placement *place = ech_place_get();
    a->kind->shape(a->stream, shape, sizeof shape);
    snprintf(out, KEY, "%s | %s, %s, %s | cores %s of %d, %d threads, rank %d of %d | %s | %.1f tokens a row",
             ech_usage_cpu_name(cpu, sizeof cpu), a->kind->backend(a->stream), a->kind->precision(a->stream),
             a->kind->numerics(a->stream), place && place->bound ? place->text : "not bound",
             ech_usage_cores(), a->threads, a->place, a->places, shape, step_of(a->tokens_a_row));
}

static void tell(const char *how, const struct ech_probe *p, const char *why)
{
    char a[32], b[32], c[32];
    ech_log(ECH_LOG_INFO, "job",
            "probe: %s: %s tokens/s; with few rows %s tokens/s, weights read at %s/s%s%s", how,
            ech_print_count((int64_t)p->tokens_s, a, sizeof a),
            ech_print_count((int64_t)p->few_tokens_s, b, sizeof b),
            ech_print_bytes((int64_t)p->weights_bytes_s, c, sizeof c), why[0] ? "; not kept: " : "", why);
}

bool ech_probe_known(const struct ech_probe_ask *ask, struct ech_probe *out)
{
    char key[KEY], why[ECH_SPEED_WHY];
    if (!ask->kind->shape)
        return false;
    print_key(ask, key);
    return ech_speed_cache_get(ask->host, key, out, why);
}

int ech_probe_get(const struct ech_probe_ask *ask, struct ech_probe *out, bool *cached, struct ech_err *err)
{
    char key[KEY], why[ECH_SPEED_WHY];
    *cached = false;
    if (!ask->kind->shape)
        return ask->kind->probe(ask->stream, ask->tokens_a_row, PROBE_S, out, err);
    print_key(ask, key);
    *cached = ech_speed_cache_get(ask->host, key, out, why);
    if (why[0])
        ech_log(ECH_LOG_INFO, "job", "probe: the cache is ignored in part: %s", why);
    if (*cached) {
        tell("cached", out, "");
        return ECH_OK;
    }
    int code = ask->kind->probe(ask->stream, step_of(ask->tokens_a_row), PROBE_S, out, err);
    if (code)
        return code;
    why[0] = 0;
    if (out->tokens_s > 0)
        ech_speed_cache_put(ask->host, key, out, NULL, why);
    tell("measured", out, why);
    return ECH_OK;
}

void ech_probe_seen(const struct ech_probe_ask *ask, const struct ech_probe *held, double tokens,
                    double busy_s)
{
    char key[KEY], why[ECH_SPEED_WHY], text[128], a[32], b[32];
    double seen = busy_s >= SEEN_S ? tokens / busy_s : 0;
    if (!ask->kind->shape || !ech_speed_departs(held->tokens_s, seen))
        return;
    print_key(ask, key);
    snprintf(text, sizeof text, "the run computed %s tokens/s, the probe said %s",
             ech_print_count((int64_t)seen, a, sizeof a),
             ech_print_count((int64_t)held->tokens_s, b, sizeof b));
    ech_speed_cache_put(ask->host, key, NULL, text, why);
    ech_log(ECH_LOG_INFO, "job", "probe: %s: it is measured again at the next start%s%s", text,
            why[0] ? "; the cache cannot be changed: " : "", why);
}
