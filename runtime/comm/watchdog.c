/* The watchdog thread: see watchdog.h. It sleeps until the phase's deadline; a phase that is moved earlier
 * or stopped wakes it. The state is one struct behind one lock, since a process has one watchdog. */
#include "comm/watchdog.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/words.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What is said last goes to a file system that may be what hangs: it is given this long. */
enum { HOOK_SECONDS = 5 };
/* Where the others cannot be heard (several hosts without a common folder), waiting has an end all the same.
 */
enum { DEAF_ROUNDS = 30 };
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
    bool patient;
    int64_t work, rounds; /* a patient phase: work seen at its last beginning, and how often it began again */
    bool worded;          /* this phase has lasted half its time, and that was told */
    const char *words_dir;
    char host[64];
    int attempt, ranks;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic int64_t entered;
static atomic_bool inside;

void ech_watchdog_enter(void)
{
    atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed);
    atomic_store_explicit(&inside, true, memory_order_relaxed);
}

void ech_watchdog_leave(void)
{
    atomic_store_explicit(&inside, false, memory_order_relaxed);
}

static void say_word(const char *phase)
{
    struct ech_word word = {.said = true, .inside = atomic_load(&inside), .entered = atomic_load(&entered)};
    snprintf(word.host, sizeof word.host, "%s", dog.host);
    snprintf(word.phase, sizeof word.phase, "%.31s", phase);
    for (char *c = word.phase; *c; c++)
        *c = *c == ' ' ? '-' : *c;
    if (dog.words_dir)
        ech_word_write(dog.words_dir, dog.attempt, dog.rank, &word, NULL);
}

/* What all ranks have told; NULL: nothing can be known. Owner: the caller, free. */
static struct ech_word *hear(double age_s)
{
    struct ech_word *words = dog.words_dir ? calloc((size_t)dog.ranks, sizeof *words) : NULL;
    if (words)
        ech_words_read(dog.words_dir, dog.attempt, dog.ranks, age_s, words);
    return words;
}

/* The lowest rank that told anything speaks for all: equal lines from a thousand ranks help nobody. */
static void name_silent(const char *phase, double seconds)
{
    say_word(phase);
    struct ech_word *words = hear(dog.patient ? seconds : 0);
    struct ech_str text;
    int first = 0;
    while (words && first < dog.rank && !words[first].said)
        first++;
    if (words && first == dog.rank) {
        ech_str_init(&text);
        ech_words_tell(words, dog.ranks, &text);
        if (text.length && !text.failed)
            fprintf(stderr, "echelon: phase '%s': %s\n", phase, text.data);
        ech_str_fini(&text);
    }
    free(words);
}

/* Is a patient phase to begin again? */
static bool goes_on(const char *phase, double seconds)
{
    int64_t work = ech_fault_work();
    bool worked = work != dog.work;
    dog.work = work;
    dog.rounds++;
    if (!atomic_load(&inside))
        return worked;
    say_word(phase);
    struct ech_word *words = hear(seconds);
    bool works = !words && dog.rounds < DEAF_ROUNDS, silent = false;
    for (int r = 0; words && r < dog.ranks; r++) {
        enum ech_word_state state = ech_word_judge(words, dog.ranks, r);
        works = works || state == ECH_WORD_WORKS;
        silent = silent || state == ECH_WORD_SILENT;
    }
    free(words);
    return works && !silent;
}

static void leave_now(int sig)
{
    (void)sig;
    _exit(ECH_REQUEUE);
}

/* The line comes before the hook: whatever the hook does, the reason is on stderr. */
static _Noreturn void expire(const char *phase, double seconds)
{
    char line[512];
    int length =
        snprintf(line, sizeof line,
                 "echelon: rank %d on %s: phase '%s' did not end within %.1f s: another rank died or "
                 "hangs; leaving with status %d, the job can be resumed\n",
                 dog.rank, dog.host, phase, seconds, ECH_REQUEUE);
    if (length > 0 && write(STDERR_FILENO, line, strlen(line)) < 0)
        length = 0; /* nothing left to tell it to */
    signal(SIGALRM, leave_now);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm(HOOK_SECONDS);
    name_silent(phase, seconds);
    if (dog.words_dir && strcmp(phase, ECH_PHASE_ALONE) != 0)
        ech_words_over(dog.words_dir, dog.attempt);
    if (dog.hook)
        dog.hook(phase, seconds);
    _exit(ECH_REQUEUE);
}

static int64_t after(double seconds)
{
    double most = 1e9; /* 30 years: no overflow of nanoseconds */
    return ech_mono_ns() + (int64_t)((seconds < most ? seconds : most) * 1e9);
}

static int64_t half_time(void)
{
    return dog.deadline_ns - (int64_t)(dog.seconds * 0.5e9);
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
            bool patient = dog.patient;
            pthread_mutex_unlock(&dog.lock);
            if (!patient || !goes_on(phase, seconds))
                expire(phase, seconds);
            pthread_mutex_lock(&dog.lock);
            if (dog.phase == phase) {
                dog.worded = false;
                dog.deadline_ns = after(seconds);
            }
        } else if (!dog.worded && ech_mono_ns() >= half_time()) {
            const char *phase = dog.phase;
            dog.worded = true;
            pthread_mutex_unlock(&dog.lock);
            say_word(phase);
            pthread_mutex_lock(&dog.lock);
        } else {
            int64_t until = dog.worded ? dog.deadline_ns : half_time();
            struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
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
    if (!dog.host[0] && gethostname(dog.host, sizeof dog.host - 1) != 0)
        dog.host[0] = '\0';
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

void ech_watchdog_words(const char *dir, int attempt, const char *host, int ranks)
{
    pthread_mutex_lock(&dog.lock);
    dog.words_dir = dir;
    dog.attempt = attempt;
    dog.ranks = ranks;
    snprintf(dog.host, sizeof dog.host, "%.63s", host);
    pthread_mutex_unlock(&dog.lock);
}

static void set_phase(const char *name, double seconds)
{
    if (!dog.running)
        return;
    pthread_mutex_lock(&dog.lock);
    dog.phase = name;
    dog.patient = dog.worded = false;
    dog.seconds = seconds;
    dog.deadline_ns = after(seconds);
    pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
}

void ech_watchdog_phase(const char *name, double seconds)
{
    set_phase(name, seconds);
}

void ech_watchdog_patient(void)
{
    pthread_mutex_lock(&dog.lock);
    dog.patient = true;
    dog.work = ech_fault_work();
    dog.rounds = 0;
    pthread_mutex_unlock(&dog.lock);
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
        dog.worded = false;
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
