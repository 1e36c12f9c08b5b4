/* The watchdog thread: see watchdog.h. It sleeps until the phase's deadline; a phase that is moved earlier
 * or stopped wakes it. The state is one struct behind one lock, since a process has one watchdog. */
#include "comm/watchdog.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A hook that hangs (it writes to the file system that may be what hangs) is given this long. */
enum { HOOK_SECONDS = 5 };
#define SLOW_BYTES_A_S 20e6

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stopping;
    int rank;
    void (*hook)(const char *phase, double seconds);
    const char *phase; /* NULL: no deadline */
    double seconds;
    int64_t deadline_ns;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void leave_now(int sig)
{
    (void)sig;
    _exit(ECH_REQUEUE);
}

/* The line comes before the hook: whatever the hook does, the reason is on stderr. */
static _Noreturn void expire(const char *phase, double seconds)
{
    char line[512];
    int length = snprintf(line, sizeof line,
                          "echelon: rank %d: phase '%s' did not end within %.1f s: another rank died or "
                          "hangs; leaving with status %d, the job can be resumed\n",
                          dog.rank, phase, seconds, ECH_REQUEUE);
    if (length > 0 && write(STDERR_FILENO, line, strlen(line)) < 0)
        length = 0; /* nothing left to tell it to */
    if (dog.hook) {
        signal(SIGALRM, leave_now);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        alarm(HOOK_SECONDS);
        dog.hook(phase, seconds);
    }
    _exit(ECH_REQUEUE);
}

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&dog.lock);
    while (!dog.stopping) {
        if (!dog.phase) {
            pthread_cond_wait(&dog.wake, &dog.lock);
        } else if (ech_mono_ns() >= dog.deadline_ns) {
            const char *phase = dog.phase;
            double seconds = dog.seconds;
            pthread_mutex_unlock(&dog.lock);
            expire(phase, seconds);
        } else {
            struct timespec at = {.tv_sec = dog.deadline_ns / 1000000000,
                                  .tv_nsec = dog.deadline_ns % 1000000000};
            pthread_cond_timedwait(&dog.wake, &dog.lock, &at);
        }
    }
    pthread_mutex_unlock(&dog.lock);
    return NULL;
}

/* Signals are main's: the thread is born with all of them blocked. */
static int start_thread(void)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&dog.thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

int ech_watchdog_start(int rank, void (*hook)(const char *phase, double seconds), struct ech_err *err)
{
    ECH_ASSERT(!dog.running, "rank %d starts a second watchdog", rank);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int error = pthread_cond_init(&dog.wake, &attr);
    pthread_condattr_destroy(&attr);
    dog.rank = rank;
    dog.hook = hook;
    dog.phase = NULL;
    dog.stopping = false;
    if (error == 0 && (error = start_thread()) != 0)
        pthread_cond_destroy(&dog.wake);
    if (error != 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, error, "cannot start the watchdog thread of rank %d",
                              rank);
    dog.running = true;
    return ECH_OK;
}

void ech_watchdog_stop(void)
{
    if (!dog.running)
        return;
    pthread_mutex_lock(&dog.lock);
    dog.stopping = true;
    pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
    pthread_cond_destroy(&dog.wake);
    dog.running = false;
}

void ech_watchdog_rank(int rank)
{
    pthread_mutex_lock(&dog.lock);
    dog.rank = rank;
    pthread_mutex_unlock(&dog.lock);
}

static int64_t after(double seconds)
{
    double most = 1e9; /* 30 years: no overflow of nanoseconds */
    return ech_mono_ns() + (int64_t)((seconds < most ? seconds : most) * 1e9);
}

static void set_phase(const char *name, double seconds)
{
    if (!dog.running)
        return;
    pthread_mutex_lock(&dog.lock);
    dog.phase = name;
    dog.seconds = seconds;
    dog.deadline_ns = after(seconds);
    pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
}

void ech_watchdog_phase(const char *name, double seconds)
{
    set_phase(name, seconds);
}

void ech_watchdog_clear(void)
{
    set_phase(NULL, 0);
}

void ech_watchdog_extend(double seconds)
{
    if (!dog.running)
        return;
    pthread_mutex_lock(&dog.lock);
    if (dog.phase) {
        dog.seconds += seconds;
        dog.deadline_ns = after(dog.seconds);
    }
    pthread_mutex_unlock(&dog.lock);
}

void ech_watchdog_extend_for(int64_t bytes)
{
    ech_watchdog_extend((double)bytes / SLOW_BYTES_A_S);
}

void ech_watchdog_beat(void)
{
    if (!dog.running)
        return;
    pthread_mutex_lock(&dog.lock);
    if (dog.phase)
        dog.deadline_ns = after(dog.seconds); /* later: the thread finds it when it wakes */
    pthread_mutex_unlock(&dog.lock);
}
