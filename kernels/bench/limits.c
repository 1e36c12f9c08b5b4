/* Probes by any number of threads, the choice of the best way to read and copy (limits.h). */
#include "kernels/bench/limits.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/bench/limits_kernels.h"

enum { SAMPLES = 5, WAYS = 8, KNOWN = 4, MIB = 1 << 20 };

static const struct {
    const char *name, *unit;
    double per_turn; /* operations of a round of a spin */
} LIMITS[ECH_LIMITS] = {
    [ECH_LIMIT_NONE] = {"", "", 0},
    [ECH_LIMIT_FMA_256] = {"AVX2 FMA", "GFLOP/s", 2.0 * 8 * (ECH_CHAINS - 4)},
    [ECH_LIMIT_FMA_512] = {"AVX-512 FMA", "GFLOP/s", 2.0 * 16 * ECH_CHAINS},
    [ECH_LIMIT_DPBF16] = {"dpbf16", "GFLOP/s", 2.0 * 32 * ECH_CHAINS},
    [ECH_LIMIT_VNNI] = {"VNNI", "Gop/s", 2.0 * 64 * ECH_CHAINS},
    [ECH_LIMIT_MADD_256] = {"AVX2 madd + add", "Gop/s", 2.0 * 16 * 8},
    [ECH_LIMIT_L2_READ] = {"L2 read", "GB/s", 0},
    [ECH_LIMIT_L3_READ] = {"L3 read", "GB/s", 0},
    [ECH_LIMIT_DRAM_READ] = {"DRAM read", "GB/s", 0},
    [ECH_LIMIT_L2_COPY] = {"L2 copy", "GB/s", 0},
    [ECH_LIMIT_L3_COPY] = {"L3 copy", "GB/s", 0},
    [ECH_LIMIT_DRAM_COPY] = {"DRAM copy", "GB/s", 0},
};

/* The best way to read or copy by so many threads, and the rate that chose it. */
struct known {
    int threads, way;
    double best;
};

struct ech_limits {
    struct ech_crew *crew;
    int threads;
    char *memory; /* DRAM_BYTES, in equal pieces for the lanes */
    struct known best[ECH_LIMITS][KNOWN];
    int known[ECH_LIMITS];
};

static const size_t DRAM_BYTES = (size_t)256 * MIB;

const char *ech_limit_name(enum ech_limit limit)
{
    return LIMITS[limit].name;
}

const char *ech_limit_unit(enum ech_limit limit)
{
    return LIMITS[limit].unit;
}

/* --- what is here --- */

#if defined(__x86_64__)
static ech_spin spin_of(enum ech_limit limit)
{
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f");
    switch (limit) {
    case ECH_LIMIT_FMA_256:
        return avx2 ? ech_spin_fma_256 : NULL;
    case ECH_LIMIT_MADD_256:
        return avx2 ? ech_spin_madd_256 : NULL;
    case ECH_LIMIT_FMA_512:
        return avx512 ? ech_spin_fma_512 : NULL;
    case ECH_LIMIT_DPBF16:
        return avx512 && __builtin_cpu_supports("avx512bf16") ? ech_spin_dpbf16 : NULL;
    case ECH_LIMIT_VNNI:
        return avx512 && __builtin_cpu_supports("avx512vnni") ? ech_spin_vnni : NULL;
    default:
        return NULL;
    }
}

static ech_read reader(void)
{
    return spin_of(ECH_LIMIT_FMA_512) ? ech_read_512 : spin_of(ECH_LIMIT_FMA_256) ? ech_read_256 : NULL;
}

static ech_copy copier(void)
{
    return spin_of(ECH_LIMIT_FMA_512) ? ech_copy_512 : spin_of(ECH_LIMIT_FMA_256) ? ech_copy_256 : NULL;
}
#else
static ech_spin spin_of(enum ech_limit limit)
{
    (void)limit;
    return NULL;
}

static ech_read reader(void)
{
    return NULL;
}

static ech_copy copier(void)
{
    return NULL;
}
#endif

static bool is_memory(enum ech_limit limit)
{
    return limit >= ECH_LIMIT_L2_READ;
}

bool ech_limit_here(enum ech_limit limit)
{
    return is_memory(limit) ? reader() != NULL : spin_of(limit) != NULL;
}

static enum ech_limit first_here(enum ech_limit best, enum ech_limit next)
{
    return ech_limit_here(best) ? best : ech_limit_here(next) ? next : ECH_LIMIT_NONE;
}

enum ech_limit ech_limit_of_format(const struct ech_ops *ops, enum ech_format format)
{
    bool narrow = strcmp(ops->name, "avx2") == 0;
    if (ops->device || strncmp(ops->name, "ref", 3) == 0)
        return ECH_LIMIT_NONE;
    enum ech_limit fma = narrow ? first_here(ECH_LIMIT_FMA_256, ECH_LIMIT_FMA_256)
                                : first_here(ECH_LIMIT_FMA_512, ECH_LIMIT_FMA_256);
    switch (format) {
    case ECH_FMT_INT8:
    case ECH_FMT_INT4:
    case ECH_FMT_BLOCK_INT8:
        return narrow ? first_here(ECH_LIMIT_MADD_256, ECH_LIMIT_NONE)
                      : first_here(ECH_LIMIT_VNNI, ECH_LIMIT_MADD_256);
    case ECH_FMT_BF16:
        return narrow ? fma : first_here(ECH_LIMIT_DPBF16, fma);
    default:
        return fma;
    }
}

static size_t cache_bytes(int name, size_t otherwise)
{
    long bytes = sysconf(name);
    return bytes > 0 ? (size_t)bytes : otherwise;
}

static size_t l2_bytes(void)
{
    return cache_bytes(_SC_LEVEL2_CACHE_SIZE, MIB);
}

/* A machine's share of the last cache is not told everywhere: at most 24 MiB are counted on. */
static size_t l3_bytes(void)
{
    size_t bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE, (size_t)8 * MIB);
    return bytes > (size_t)24 * MIB ? (size_t)24 * MIB : bytes;
}

enum ech_limit ech_limit_of_bytes(double bytes, int threads)
{
    if (bytes <= 0.9 * (double)l2_bytes())
        return ECH_LIMIT_L2_COPY;
    return bytes * threads <= 0.75 * (double)l3_bytes() ? ECH_LIMIT_L3_COPY : ECH_LIMIT_DRAM_COPY;
}

/* --- probes --- */

struct probe {
    struct ech_limits *limits;
    ech_spin spin;
    long turns;
    bool copies;
    int way;             /* reading: streams - 1 + 4 x prefetch; copying: 1 for streaming stores */
    size_t bytes, piece; /* of a lane: touched in a turn, and apart */
};

static void work(int lane, void *context)
{
    const struct probe *p = context;
    char *base = p->limits->memory + (size_t)lane * p->piece;
    if (p->spin) {
        p->spin(p->turns);
        return;
    }
    int streams = p->way % 4 + 1;
    size_t half = p->bytes / 2 / 256 * 256, each = p->bytes / (size_t)streams / 256 * 256 - 256 * 5;
    for (long t = 0; t < p->turns; t++)
        if (p->copies)
            copier()(base + half, base, half, p->way == 1);
        else
            reader()(base, each, streams, p->way >= 4);
}

/* Bytes that a turn of a lane moves. */
static double moved(const struct probe *p)
{
    size_t streams = (size_t)(p->way % 4 + 1);
    if (p->copies)
        return 2.0 * (double)(p->bytes / 2 / 256 * 256);
    return (double)(streams * (p->bytes / streams / 256 * 256 - 256 * 5));
}

static double rate_of(struct probe *p, int threads, double per_turn)
{
    double rates[SAMPLES], all = per_turn * (double)p->turns * threads * 1e-9;
    bool disturbed = false;
    for (int i = 0; i < SAMPLES; i++)
        rates[i] = all / ech_crew_calm(p->limits->crew, threads, work, NULL, p, &disturbed);
    return ech_median(rates, SAMPLES);
}

/* The entry of so many threads; a fresh one has best 0. More thread counts than fit share the last. */
static struct known *known_of(struct ech_limits *limits, enum ech_limit limit, int threads)
{
    int i = 0, *count = &limits->known[limit];
    while (i < *count && limits->best[limit][i].threads != threads)
        i++;
    if (i == KNOWN)
        i--;
    struct known *k = &limits->best[limit][i];
    if (i == *count)
        (*count)++;
    if (k->threads != threads)
        *k = (struct known){.threads = threads};
    return k;
}

static double spin_rate(struct ech_limits *limits, enum ech_limit limit, int threads)
{
    struct probe p = {.limits = limits, .spin = spin_of(limit), .turns = 1 << 16};
    double seconds = ech_crew_run(limits->crew, 1, work, &p);
    p.turns = (long)((double)p.turns * 1.5e-3 / seconds) + 1;
    return rate_of(&p, threads, LIMITS[limit].per_turn);
}

static void place(struct probe *p, enum ech_limit limit, int threads)
{
    bool l2 = limit == ECH_LIMIT_L2_READ || limit == ECH_LIMIT_L2_COPY;
    bool dram = limit == ECH_LIMIT_DRAM_READ || limit == ECH_LIMIT_DRAM_COPY;
    p->copies = limit >= ECH_LIMIT_L2_COPY;
    p->piece = DRAM_BYTES / (size_t)threads / 4096 * 4096;
    p->bytes = l2 ? l2_bytes() / 4 * 3 : dram ? p->piece : l3_bytes() / 2 / (size_t)threads;
    p->bytes = p->bytes < p->piece ? p->bytes : p->piece;
    p->turns = dram ? 1 : (long)(1.5e-3 * 60e9 / (double)p->bytes) + 1;
}

static double memory_rate(struct ech_limits *limits, enum ech_limit limit, int threads)
{
    struct probe p = {.limits = limits};
    struct known *known = known_of(limits, limit, threads);
    place(&p, limit, threads);
    p.way = known->way;
    if (known->best > 0)
        return rate_of(&p, threads, moved(&p));
    for (p.way = 0; p.way < (p.copies ? 2 : WAYS); p.way++) {
        double rate = rate_of(&p, threads, moved(&p));
        if (rate > known->best)
            *known = (struct known){threads, p.way, rate};
    }
    return known->best;
}

double ech_limits_probe(struct ech_limits *limits, enum ech_limit limit, int threads)
{
    if (!ech_limit_here(limit))
        return 0;
    return is_memory(limit) ? memory_rate(limits, limit, threads) : spin_rate(limits, limit, threads);
}

static void touch(int lane, void *context)
{
    struct ech_limits *limits = context;
    size_t piece = DRAM_BYTES / (size_t)limits->threads / 4096 * 4096;
    memset(limits->memory + (size_t)lane * piece, 1, piece);
}

struct ech_limits *ech_limits_open(struct ech_crew *crew, int threads)
{
    struct ech_limits *limits = calloc(1, sizeof *limits);
    char *memory = aligned_alloc(4096, DRAM_BYTES + 4096); /* prefetches look past the end */
    if (!limits || !memory) {
        free(limits);
        free(memory);
        return NULL;
    }
    *limits = (struct ech_limits){.crew = crew, .threads = threads, .memory = memory};
    ech_crew_run(crew, threads, touch, limits);
    return limits;
}

void ech_limits_close(struct ech_limits *limits)
{
    if (limits)
        free(limits->memory);
    free(limits);
}
