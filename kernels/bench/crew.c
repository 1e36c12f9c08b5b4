/* See crew.h. Threads wait on a condition; once woken they meet at a spinning gate, so that none starts
 * early. */
#include "kernels/bench/crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

struct lane {
    struct ech_crew *all;
    int index;
    pthread_t thread;
    double begin, end;
};

struct ech_crew {
    int threads, started;
    struct lane *lane;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int turn; /* counts runs */
    bool quit;
    int count;
    void (*work)(int lane, void *context);
    void *context;
    atomic_int arrived, finished;
};

double ech_crew_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void until(atomic_int *counter, int value)
{
    for (int spins = 0; atomic_load(counter) < value; spins++)
        if (spins > 1000)
            sched_yield();
}

static void take_part(struct lane *l)
{
    struct ech_crew *all = l->all;
    atomic_fetch_add(&all->arrived, 1);
    until(&all->arrived, all->count);
    l->begin = ech_crew_now();
    all->work(l->index, all->context);
    l->end = ech_crew_now();
    atomic_fetch_add(&all->finished, 1);
}

static void *lane_main(void *argument)
{
    struct lane *l = argument;
    struct ech_crew *all = l->all;
    for (int seen = 0;;) {
        pthread_mutex_lock(&all->lock);
        while (all->turn == seen && !all->quit)
            pthread_cond_wait(&all->wake, &all->lock);
        seen = all->turn;
        bool quit = all->quit, mine = l->index < all->count;
        pthread_mutex_unlock(&all->lock);
        if (quit)
            return NULL;
        if (mine)
            take_part(l);
    }
}

struct ech_crew *ech_crew_open(int threads)
{
    struct ech_crew *all = calloc(1, sizeof *all);
    struct lane *lane = calloc((size_t)threads, sizeof *lane);
    if (!all || !lane) {
        free(all);
        free(lane);
        return NULL;
    }
    all->threads = threads;
    all->lane = lane;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->wake, NULL);
    lane[0].all = all;
    for (all->started = 1; all->started < threads; all->started++) {
        lane[all->started] = (struct lane){.all = all, .index = all->started};
        if (pthread_create(&lane[all->started].thread, NULL, lane_main, &lane[all->started]) != 0) {
            ech_crew_close(all);
            return NULL;
        }
    }
    return all;
}

void ech_crew_close(struct ech_crew *crew)
{
    if (!crew)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->quit = true;
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->lock);
    for (int i = 1; i < crew->started; i++)
        pthread_join(crew->lane[i].thread, NULL);
    pthread_mutex_destroy(&crew->lock);
    pthread_cond_destroy(&crew->wake);
    free(crew->lane);
    free(crew);
}

double ech_crew_run(struct ech_crew *crew, int count, void (*work)(int lane, void *context), void *context)
{
    pthread_mutex_lock(&crew->lock);
    crew->count = count;
    crew->work = work;
    crew->context = context;
    atomic_store(&crew->arrived, 0);
    atomic_store(&crew->finished, 0);
    crew->turn++;
    if (count > 1)
        pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->lock);
    take_part(&crew->lane[0]);
    until(&crew->finished, count);
    double begin = crew->lane[0].begin, end = crew->lane[0].end;
    for (int i = 1; i < count; i++) {
        begin = crew->lane[i].begin < begin ? crew->lane[i].begin : begin;
        end = crew->lane[i].end > end ? crew->lane[i].end : end;
    }
    return end - begin;
}

/* How often threads of this process had to leave a core that another program wanted. */
static long preemptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

double ech_crew_calm(struct ech_crew *crew, int count, void (*work)(int lane, void *context),
                     void (*ready)(void *context), void *context, bool *disturbed)
{
    double best = 0;
    for (int i = 0; i < 4; i++) {
        if (ready)
            ready(context);
        long before = preemptions();
        double seconds = ech_crew_run(crew, count, work, context);
        if (preemptions() == before)
            return seconds;
        best = i == 0 || seconds < best ? seconds : best;
    }
    *disturbed = true;
    return best;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ech_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}
