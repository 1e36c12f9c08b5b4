/* Fault injection: see fault.h. */
#include "base/fault.h"

#include "base/err.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const site_names[ECH_FAULT_SITES] = {"alloc", "open", "read", "write", "fsync", "rename"};

static atomic_bool armed;
static int armed_site = -1, armed_signal;
static int64_t armed_pass;
static atomic_llong passes;
static atomic_bool fired;

bool ech_fault(enum ech_fault_site site)
{
    if (!atomic_load_explicit(&armed, memory_order_relaxed))
        return false;
    if (armed_site >= 0 && (int)site != armed_site)
        return false;
    if (atomic_fetch_add(&passes, 1) + 1 != armed_pass)
        return false;
    atomic_store(&fired, true);
    if (armed_signal) {
        kill(getpid(), armed_signal);
        return false;
    }
    return true;
}

void ech_fault_arm(int site, int64_t n)
{
    armed_site = site;
    armed_pass = n;
    armed_signal = 0;
    atomic_store(&passes, 0);
    atomic_store(&fired, false);
    atomic_store(&armed, n > 0);
}

int ech_fault_arm_from_env(void)
{
    const char *spec = getenv("ECH_FAULT");
    if (!spec || !*spec)
        return ECH_OK;
    char name[16] = "", action[16] = "";
    long long n = 0;
    int fields = sscanf(spec, "%15[^:]:%lld:%15s", name, &n, action);
    int site = -2;
    if (strcmp(name, "*") == 0)
        site = -1;
    for (int i = 0; i < ECH_FAULT_SITES; i++)
        if (strcmp(name, site_names[i]) == 0)
            site = i;
    int sig = strcmp(action, "kill") == 0 ? SIGKILL : strcmp(action, "stop") == 0 ? SIGSTOP : 0;
    if (fields < 2 || site == -2 || n < 1 || (action[0] && !sig))
        return ECH_USAGE;
    ech_fault_arm(site, n);
    armed_signal = sig;
    return ECH_OK;
}

int64_t ech_fault_passes(void)
{
    return atomic_load(&passes);
}

bool ech_fault_fired(void)
{
    return atomic_load(&fired);
}
