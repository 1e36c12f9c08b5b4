/* When an attempt is lost: see attempt_impl.h. */
#include "launcher/attempt_impl.h"

#include "launcher/rundirs.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/words.h"

#include <string.h>

static const double quiet_most_s = 20, missed_most_s = 4;

int64_t ech_attempt_begun(const struct ech_attempt *a)
{
    char *trace = ech_run_path(NULL, a->run_dir, ECH_RUN_STARTED, a->number);
    int64_t begun = 0;
    for (size_t i = 0; i < a->follower.view.rank_count; i++)
        begun += a->follower.view.ranks[i].seen;
    if (begun == 0 && trace && ech_path_exists(trace))
        begun = 1;
    ech_free(trace);
    return begun;
}

int ech_nodes_without_ranks(const struct ech_run_view *view)
{
    struct {
        bool known, runs;
    } *node = ech_calloc(view->rank_count + 1, sizeof *node, NULL);
    int without = 0;
    for (size_t i = 0; node && i < view->rank_count; i++) {
        const struct ech_rank_view *r = &view->ranks[i];
        if (!r->seen || r->node < 0 || (size_t)r->node >= view->rank_count)
            continue;
        node[r->node].known = true;
        node[r->node].runs = node[r->node].runs || !(r->dead || r->ended);
    }
    for (size_t n = 0; node && n < view->rank_count; n++)
        without += node[n].known && !node[n].runs;
    ech_free(node);
    return without;
}

/* While rows run no watchdog ends an attempt whose coordinator is stopped: the others leave, and mpirun waits
 * for ever. Rank 0 tells its progress each second, but for a disk that is full. */
static bool coordinator_fell_silent(struct ech_attempt *a)
{
    const struct ech_run_view *view = &a->follower.view;
    const struct ech_rank_view *zero = view->rank_count ? &view->ranks[0] : NULL;
    double now = ech_mono_s(), phase = a->ready->job->limits.phase;
    double quiet_s = phase < quiet_most_s ? phase : quiet_most_s;
    double most =
        2 * a->ready->job->limits.heartbeat + (a->lost ? 0 : a->ready->job->limits.disk_full + quiet_s);
    if (!zero || strcmp(zero->phase, "run") != 0 || zero->last_seen != a->coordinator_seen) {
        a->coordinator_seen = zero ? zero->last_seen : 0;
        a->heard_at = now;
    }
    if (now - a->heard_at <= most || a->given_up)
        return a->given_up;
    ech_progress_clear(&a->progress);
    ech_say("rank 0 on %s, the coordinator, has told nothing for %.0f s: this attempt is ended", zero->host,
            now - a->heard_at);
    return a->given_up = true;
}

/* While rows run the coordinator does without a host that falls silent. In other phases all wait for its
 * ranks: they would until limits.phase is over. */
static bool misses_a_host(struct ech_attempt *a)
{
    const struct ech_run_view *view = &a->follower.view;
    const char *phase = view->rank_count ? view->ranks[0].phase : "";
    if (strcmp(phase, "run") == 0)
        a->excused = a->lost;
    int missing = a->lost - a->excused;
    if (missing > 0) /* where all are dead or have ended, the host's guardian ends MPI's daemon */
        missing = a->lost - (int)ech_max64(a->excused, ech_nodes_without_ranks(view));
    if (missing <= 0 || a->given_up) {
        a->missed_at = 0;
        return a->given_up;
    }
    /* A host that is only slow to answer comes back. */
    a->missed_at = a->missed_at > 0 ? a->missed_at : ech_mono_s();
    if (ech_mono_s() - a->missed_at < missed_most_s)
        return false;
    ech_progress_clear(&a->progress);
    ech_say("%d host%s lost or cut off in phase '%s', which needs all ranks: this attempt is ended", missing,
            missing == 1 ? " is" : "s are", phase[0] ? phase : "start");
    return a->given_up = true;
}

/* Ranks hold the deadline of their own start; before the first one comes, mpirun may wait for a host for
 * ever. */
static bool nobody_comes(struct ech_attempt *a)
{
    double most = a->ready->job->limits.phase;
    char time[32];
    a->came = a->came || ech_attempt_begun(a) > 0;
    if (a->came || a->given_up || ech_mono_s() - a->started <= most)
        return a->given_up;
    ech_progress_clear(&a->progress);
    ech_say("no rank has started within %s (limits.phase): this attempt is ended",
            ech_print_time(most, time, sizeof time));
    return a->given_up = true;
}

void ech_attempt_ask_silent(struct ech_attempt *a)
{
    int ranks = (int)a->layout.ranks;
    struct ech_word *words = ech_calloc((size_t)ranks, sizeof *words, NULL);
    if (words) {
        ech_words_read(a->run_dir, a->number, ranks, 0, words);
        ech_words_tell(words, ranks, &a->silent);
    }
    ech_free(words);
}

/* The words are read before the ranks are ended: one that is stopped is woken for it, and would speak. */
static bool phase_is_over(struct ech_attempt *a)
{
    if (a->over || !ech_words_are_over(a->run_dir, a->number))
        return a->over;
    ech_attempt_ask_silent(a);
    return a->over = true;
}

bool ech_attempt_is_lost(struct ech_attempt *a)
{
    return phase_is_over(a) || misses_a_host(a) || nobody_comes(a) || coordinator_fell_silent(a);
}
