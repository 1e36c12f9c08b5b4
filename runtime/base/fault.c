/* Fault injection: see fault.h. */
#include "base/fault.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const site_names[ECH_FAULT_PLACES] = {"alloc",  "open", "read",       "write", "fsync",
                                                         "rename", "turn", "collective", "clock"};

enum action { FAIL, KILL, STOP, FULL, READONLY, SLOW, JUMP };
static const struct {
    const char *name;
    enum action action;
    bool timed; /* a TIME must follow */
} actions[] = {{"kill", KILL, false},         {"stop", STOP, false}, {"full", FULL, false},
               {"readonly", READONLY, false}, {"slow", SLOW, true},  {"jump", JUMP, true}};

enum { RANKS_MOST = 64 };

/* What is armed: written while nothing else runs. */
static struct {
    int site; /* -1: any that may fail */
    int64_t pass;
    enum action action;
    double seconds;
    int ranks[RANKS_MOST], ranks_count; /* none: any */
    int attempt;                        /* 0: any */
} plan;

static atomic_bool armed, fired;
static atomic_llong passes, work;
static _Atomic int own_rank = -1, own_attempt;
static _Atomic int64_t since_ns; /* first pass of a lasting failure */

static bool meant_for_us(void)
{
    bool named = plan.ranks_count == 0;
    for (int i = 0; i < plan.ranks_count; i++)
        named = named || plan.ranks[i] == atomic_load(&own_rank);
    return named && (plan.attempt == 0 || plan.attempt == atomic_load(&own_attempt));
}

/* Full, read-only, slow: from the first such pass on, for a while. */
static bool lasts(void)
{
    int64_t now = ech_mono_ns(), none = 0;
    atomic_compare_exchange_strong(&since_ns, &none, now);
    atomic_store(&fired, true);
    if (plan.action == SLOW) {
        ech_sleep_us((int64_t)(plan.seconds * 1e6));
        return false;
    }
    if (plan.seconds > 0 && (double)(now - atomic_load(&since_ns)) * 1e-9 > plan.seconds)
        return false;
    errno = plan.action == FULL ? ENOSPC : EROFS;
    return true;
}

bool ech_fault(enum ech_fault_site site)
{
    atomic_fetch_add_explicit(&work, 1, memory_order_relaxed);
    if (!atomic_load_explicit(&armed, memory_order_relaxed))
        return false;
    if (plan.site >= 0 ? (int)site != plan.site : site >= ECH_FAULT_SITES)
        return false;
    if (!meant_for_us())
        return false;
    int64_t pass = atomic_fetch_add(&passes, 1) + 1;
    if (plan.action >= FULL)
        return pass >= plan.pass && lasts();
    if (pass != plan.pass)
        return false;
    atomic_store(&fired, true);
    if (plan.action != FAIL) {
        kill(getpid(), plan.action == KILL ? SIGKILL : SIGSTOP);
        return false;
    }
    errno = EIO;
    return true;
}

double ech_fault_jump(void)
{
    if (!atomic_load_explicit(&armed, memory_order_relaxed) || plan.action != JUMP || !meant_for_us())
        return 0;
    bool jumped = atomic_fetch_add(&passes, 1) + 1 >= plan.pass;
    if (jumped)
        atomic_store(&fired, true);
    return jumped ? plan.seconds : 0;
}

void ech_fault_arm(int site, int64_t n)
{
    memset(&plan, 0, sizeof plan);
    plan.site = site;
    plan.pass = n;
    atomic_store(&passes, 0);
    atomic_store(&fired, false);
    atomic_store(&since_ns, 0);
    atomic_store(&armed, n > 0);
}

void ech_fault_place(int rank, int attempt)
{
    atomic_store(&own_rank, rank);
    atomic_store(&own_attempt, attempt);
}

static bool read_site(const char *name)
{
    plan.site = -2;
    if (strcmp(name, "*") == 0)
        plan.site = -1;
    for (int i = 0; i < ECH_FAULT_PLACES; i++)
        if (strcmp(name, site_names[i]) == 0)
            plan.site = i;
    return plan.site != -2;
}

/* "", "kill", "full", "readonly=20s", "jump=-3600s" */
static bool read_action(char *text)
{
    char *time = strchr(text, '=');
    if (time)
        *time++ = '\0';
    if (!*text)
        return !time && plan.site != ECH_FAULT_CLOCK && plan.site != ECH_FAULT_COLLECTIVE;
    bool early = time && *time == '-';
    if (time && (!ech_parse_time(time + early, &plan.seconds) || plan.seconds < 0))
        return false;
    plan.seconds = early ? -plan.seconds : plan.seconds;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(text, actions[i].name) == 0) {
            plan.action = actions[i].action;
            return (time || !actions[i].timed) && (!time || plan.action >= FULL) &&
                   (plan.action == JUMP) == (plan.site == ECH_FAULT_CLOCK) && (!early || plan.action == JUMP);
        }
    return false;
}

static bool read_ranks(char *text)
{
    int64_t rank;
    for (char *next; text; text = next) {
        next = strchr(text, ',');
        if (next)
            *next++ = '\0';
        if (plan.ranks_count == RANKS_MOST || !ech_parse_int(text, &rank) || rank < 0 || rank > 1000000)
            return false;
        plan.ranks[plan.ranks_count++] = (int)rank;
    }
    return true;
}

/* SITE:N[:ACTION[=TIME]][@RANKS][/ATTEMPT], taken apart from its end. */
static bool read_spec(char *spec)
{
    int64_t attempt = 0, pass = 0;
    char *slash = strchr(spec, '/'), *at = strchr(spec, '@');
    if (slash)
        *slash++ = '\0';
    if (at)
        *at++ = '\0';
    char *number = strchr(spec, ':'), *action = number ? strchr(number + 1, ':') : NULL;
    if (number)
        *number++ = '\0';
    if (action)
        *action++ = '\0';
    bool good = number && read_site(spec) && ech_parse_int(number, &pass) && pass >= 1 &&
                read_action(action ? action : number + strlen(number)) && (!at || read_ranks(at)) &&
                (!slash || (ech_parse_int(slash, &attempt) && attempt >= 1 && attempt <= 1000000));
    plan.pass = pass;
    plan.attempt = (int)attempt;
    return good;
}

int ech_fault_arm_from_env(void)
{
    const char *text = getenv("ECH_FAULT");
    char spec[512];
    if (!text || !*text)
        return ECH_OK;
    ech_fault_arm(0, 0);
    if (strlen(text) >= sizeof spec)
        return ECH_USAGE;
    snprintf(spec, sizeof spec, "%s", text);
    if (!read_spec(spec))
        return ECH_USAGE;
    atomic_store(&armed, true);
    return ECH_OK;
}

int64_t ech_fault_work(void)
{
    return atomic_load_explicit(&work, memory_order_relaxed);
}

int64_t ech_fault_passes(void)
{
    return atomic_load(&passes);
}

bool ech_fault_fired(void)
{
    return atomic_load(&fired);
}
