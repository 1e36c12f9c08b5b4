/* See pool.h; what lies where: pool_layout.h. */
#include "base/clock.h"
#include "base/mem.h"
#include "job/pool_layout.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t ech_pool_bytes(int node_size, int ranks)
{
    return round_up(sizeof(struct header)) + (size_t)node_size * round_up(sizeof(struct place)) +
           round_up((size_t)ranks);
}

/* Which numbering of processes this one lives in; 0 where that is not told. */
static int64_t pid_space(void)
{
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 ? (int64_t)s.st_ino : 0;
}

int ech_pool_open(void *base, int node_size, int ranks, int place, struct ech_pool **out, struct ech_err *err)
{
    struct ech_pool *p = ech_calloc(1, sizeof *p, err);
    if (!p)
        return ECH_UNAVAILABLE;
    char *bytes = base;
    p->head = base;
    p->places = (struct place *)(void *)(bytes + round_up(sizeof(struct header)));
    p->dead_ranks = (_Atomic unsigned char *)(p->places + node_size);
    p->node_size = node_size;
    p->ranks = ranks;
    p->place = place;
    p->beats = ech_calloc((size_t)node_size, sizeof *p->beats, err);
    p->beats_at = ech_calloc((size_t)node_size, sizeof *p->beats_at, err);
    p->pid_fds = ech_calloc((size_t)node_size, sizeof *p->pid_fds, err);
    for (int i = 0; p->pid_fds && i < node_size; i++)
        p->pid_fds[i] = -1;
    if (!p->beats || !p->beats_at || !p->pid_fds) {
        ech_pool_close(p);
        return ECH_UNAVAILABLE;
    }
    atomic_store(&p->places[place].pid_space, pid_space());
    atomic_store(&p->places[place].pid, (int64_t)getpid());
    ech_pool_listen(p);
    *out = p;
    return ECH_OK;
}

void ech_pool_close(struct ech_pool *p)
{
    if (!p)
        return;
    for (int i = 0; p->pid_fds && i < p->node_size; i++)
        if (p->pid_fds[i] >= 0)
            close(p->pid_fds[i]);
    ech_free(p->pid_fds);
    ech_free(p->beats);
    ech_free(p->beats_at);
    ech_free(p);
}

void ech_pool_reset(struct ech_pool *p)
{
    struct place *mine = &p->places[p->place];
    for (int i = 0; i < SLOTS && ech_pool_leader(p) == p->place; i++)
        atomic_store(&p->head->slots[i].rows, 0);
    for (int c = 0; c < CLAIMS; c++)
        atomic_store(&mine->claims[c].end, 0);
    atomic_store(&mine->taken, atomic_load(&mine->pushed));
    atomic_store(&mine->open, 0);
    p->open = p->next = p->oldest = 0;
}

enum ech_state ech_pool_state(const struct ech_pool *p)
{
    return (enum ech_state)atomic_load(&p->head->state);
}

int64_t ech_pool_epoch(const struct ech_pool *p)
{
    return atomic_load(&p->head->epoch);
}

/* --- claims --- */

static void claim_write(struct claim *c, int64_t first, int64_t end, uint64_t order)
{
    atomic_fetch_add(&c->seq, 1);
    atomic_store(&c->order, order);
    atomic_store(&c->computed, 0);
    atomic_store(&c->first, first);
    atomic_store(&c->end, end);
    atomic_store(&c->left, end - first);
    atomic_store(&c->copied, 0);
    atomic_fetch_add(&c->seq, 1);
}

/* Claims are made and told nearly in order, so both searches begin where the last one ended. */
static struct claim *free_claim(struct ech_pool *p)
{
    struct claim *claims = p->places[p->place].claims;
    for (int i = 0; i < CLAIMS; i++) {
        int at = (p->next + i) % CLAIMS;
        if (atomic_load(&claims[at].end) == 0) {
            p->next = at;
            return &claims[at];
        }
    }
    return NULL;
}

/* Try one slot: the intent is registered before the swap, so that a death in between loses nothing. */
static bool claim_from(struct slot *s, struct claim *c, int64_t rows, uint64_t order, struct ech_range *out)
{
    for (;;) {
        uint64_t word = atomic_load(&s->word);
        int64_t first = atomic_load(&s->first), all = atomic_load(&s->rows);
        int64_t offset = (int64_t)(word & 0xffffffffU);
        if (offset >= all)
            return false;
        int64_t take = rows < all - offset ? rows : all - offset;
        claim_write(c, first + offset, first + offset + take, order);
        if (atomic_compare_exchange_strong(&s->word, &word, word + (uint64_t)take)) {
            *out = (struct ech_range){first + offset, first + offset + take};
            return true;
        }
        atomic_store(&c->end, 0);
    }
}

static void set_open(struct ech_pool *p, int open)
{
    struct place *mine = &p->places[p->place];
    if (p->open == 0 && open > 0) /* computing begins now */
        atomic_store(&mine->moved_at, ech_mono_s());
    p->open = open;
    atomic_store(&mine->open, open);
}

/* What nobody has claimed of a slot. */
static struct ech_range slot_rest(const struct slot *s)
{
    int64_t offset = (int64_t)(atomic_load(&s->word) & 0xffffffffU), rows = atomic_load(&s->rows);
    int64_t first = atomic_load(&s->first);
    return (struct ech_range){first + (offset < rows ? offset : rows), first + rows};
}

static bool is_ours(const struct ech_pool *p, const struct slot *s)
{
    int owner = atomic_load(&s->owner);
    return owner < 0 || owner == p->place;
}

/* A node's rows are run in rising order, whenever they came: an idle node copies a slow one's last rows. */
static struct slot *lowest_slot(const struct ech_pool *p)
{
    struct slot *lowest = NULL;
    int64_t first = INT64_MAX;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &p->head->slots[i];
        struct ech_range rest = slot_rest(s);
        if (rest.first < rest.end && rest.first < first && is_ours(p, s)) {
            lowest = s;
            first = rest.first;
        }
    }
    return lowest;
}

bool ech_pool_claim(struct ech_pool *p, int64_t rows, struct ech_range *out)
{
    struct claim *c = rows < 1 ? NULL : free_claim(p);
    if (!c)
        return false;
    for (struct slot *s; (s = lowest_slot(p));)
        if (claim_from(s, c, rows, p->order + 1, out)) {
            p->order++;
            set_open(p, p->open + 1);
            return true;
        } /* else others have emptied it: the next one */
    return false;
}

int ech_pool_claims(const struct ech_pool *p)
{
    return p->open;
}

/* Subtract what was told from the claim that holds it (a copy of another's rows is in none); a claim with
 * nothing left is free. */
static void claim_tell(struct ech_pool *p, const struct ech_spooled *rows)
{
    struct claim *claims = p->places[p->place].claims;
    for (int i = 0; i < CLAIMS && p->open > 0; i++) {
        int at = (p->oldest + i) % CLAIMS;
        int64_t end = atomic_load(&claims[at].end), first = atomic_load(&claims[at].first);
        if (end == 0 || rows->first < first || rows->first + rows->rows > end)
            continue;
        if (atomic_fetch_sub(&claims[at].left, rows->rows) <= rows->rows) {
            atomic_store(&claims[at].end, 0);
            set_open(p, p->open - 1);
            p->oldest = (at + 1) % CLAIMS;
        }
        return;
    }
}

bool ech_pool_done(struct ech_pool *p, const struct ech_spooled *rows)
{
    struct place *pl = &p->places[p->place];
    uint64_t pushed = atomic_load(&pl->pushed);
    if (pushed - atomic_load(&pl->taken) >= RING)
        return false;
    pl->ring[pushed % RING] = *rows;
    atomic_store(&pl->pushed, pushed + 1);
    claim_tell(p, rows);
    return true;
}

bool ech_pool_take_done(struct ech_pool *p, int place, struct ech_spooled *out)
{
    struct place *pl = &p->places[place];
    uint64_t taken = atomic_load(&pl->taken);
    if (taken == atomic_load(&pl->pushed) || ech_pool_fenced(p))
        return false;
    *out = pl->ring[taken % RING];
    atomic_store(&pl->taken, taken + 1);
    return true;
}

int ech_pool_claimed(struct ech_pool *p, int place, bool drop, struct ech_rowset *out, struct ech_err *err)
{
    for (int i = 0; i < CLAIMS; i++) {
        struct claim *c = &p->places[place].claims[i];
        int64_t first = atomic_load(&c->first), end = atomic_load(&c->end);
        if (end <= first)
            continue;
        int code = ech_rowset_add(out, first, end, NULL, err);
        if (code)
            return code;
        if (drop)
            atomic_store(&c->end, 0);
    }
    return ECH_OK;
}

/* --- slots --- */

bool ech_pool_add(struct ech_pool *p, struct ech_range range, int owner)
{
    if (ech_pool_fenced(p)) /* another leads by now */
        return false;
    while (range.first < range.end) {
        struct slot *free_slot = NULL;
        for (int i = 0; i < SLOTS && !free_slot; i++) {
            struct slot *s = &p->head->slots[i];
            if ((int64_t)(atomic_load(&s->word) & 0xffffffffU) >= atomic_load(&s->rows))
                free_slot = s;
        }
        int64_t rows = range.end - range.first;
        if (!free_slot || (rows > SLOT_ROWS_MOST && ech_pool_free_slots(p) * (int64_t)SLOT_ROWS_MOST < rows))
            return false;
        rows = rows < SLOT_ROWS_MOST ? rows : SLOT_ROWS_MOST;
        uint64_t seq = (atomic_load(&free_slot->word) >> 32) + 1;
        /* Closed (no rows) while it is refilled; the word opens it last. */
        atomic_store(&free_slot->rows, 0);
        atomic_store(&free_slot->word, seq << 32 | 0xffffffffU);
        atomic_store(&free_slot->first, range.first);
        atomic_store(&free_slot->owner, owner);
        atomic_store(&free_slot->rows, rows);
        atomic_store(&free_slot->word, (seq + 1) << 32);
        range.first += rows;
    }
    return true;
}

int ech_pool_free_slots(const struct ech_pool *p)
{
    int free_slots = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *s = &p->head->slots[i];
        free_slots += (int64_t)(atomic_load(&s->word) & 0xffffffffU) >= atomic_load(&s->rows);
    }
    return free_slots;
}

int64_t ech_pool_unclaimed(const struct ech_pool *p)
{
    int64_t rows = 0;
    for (int i = 0; i < SLOTS; i++) {
        struct ech_range rest = slot_rest(&p->head->slots[i]);
        rows += is_ours(p, &p->head->slots[i]) ? rest.end - rest.first : 0;
    }
    return rows;
}

int ech_pool_unclaimed_ranges(const struct ech_pool *p, struct ech_rowset *out, struct ech_err *err)
{
    for (int i = 0; i < SLOTS; i++) {
        struct ech_range rest = slot_rest(&p->head->slots[i]);
        int code = rest.end > rest.first ? ech_rowset_add(out, rest.first, rest.end, NULL, err) : ECH_OK;
        if (code)
            return code;
    }
    return ECH_OK;
}

int ech_pool_take_back(struct ech_pool *p, struct ech_rowset *out, struct ech_err *err)
{
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &p->head->slots[i];
        struct ech_range rest = slot_rest(s);
        uint64_t word = atomic_load(&s->word), full = (word & ~(uint64_t)0xffffffffU) | 0xffffffffU;
        int64_t offset = (int64_t)(word & 0xffffffffU);
        if (rest.end <= rest.first || atomic_load(&s->first) + offset != rest.first ||
            !atomic_compare_exchange_strong(&s->word, &word, full))
            continue; /* claimed in between: the next turn sees it */
        int code = ech_rowset_add(out, rest.first, rest.end, NULL, err);
        if (code)
            return code;
    }
    return ECH_OK;
}

bool ech_pool_holds(const struct ech_pool *p, int place)
{
    for (int i = 0; i < CLAIMS; i++)
        if (atomic_load(&p->places[place].claims[i].end) != 0)
            return true;
    return false;
}

/* --- speeds, beats, state --- */

void ech_pool_set_speed(struct ech_pool *p, double tokens_s, double rows_s)
{
    atomic_store(&p->places[p->place].tokens_s, tokens_s);
    atomic_store(&p->places[p->place].rows_s, rows_s);
}

double ech_pool_speed(const struct ech_pool *p)
{
    double sum = 0;
    for (int i = 0; i < p->node_size; i++)
        if (!atomic_load(&p->places[i].dead))
            sum += atomic_load(&p->places[i].tokens_s);
    return sum;
}

double ech_pool_share(const struct ech_pool *p)
{
    double sum = ech_pool_speed(p), mine = atomic_load(&p->places[p->place].tokens_s);
    return sum > 0 && mine > 0 ? mine / sum : 1.0 / p->node_size;
}

void ech_pool_rest(struct ech_pool *p)
{
    atomic_store(&p->places[p->place].rests, 1);
}

bool ech_pool_rests(const struct ech_pool *p, int place)
{
    return atomic_load(&p->places[place].rests) != 0;
}

bool ech_pool_quiet(const struct ech_pool *p)
{
    for (int i = 0; i < p->node_size; i++)
        if (!atomic_load(&p->places[i].dead) && atomic_load(&p->places[i].open) > 0)
            return false;
    return true;
}

void ech_pool_beat(struct ech_pool *p)
{
    atomic_fetch_add(&p->places[p->place].beat, 1);
}

void ech_pool_listen(struct ech_pool *p)
{
    double now = ech_mono_s();
    for (int i = 0; i < p->node_size; i++) {
        p->beats[i] = atomic_load(&p->places[i].beat);
        p->beats_at[i] = now;
    }
}

double ech_pool_silence(struct ech_pool *p, int place)
{
    uint64_t beat = atomic_load(&p->places[place].beat);
    double now = ech_mono_s();
    if (beat != p->beats[place]) {
        p->beats[place] = beat;
        p->beats_at[place] = now;
    }
    return now - p->beats_at[place];
}

int64_t ech_pool_pid(const struct ech_pool *p, int place)
{
    return atomic_load(&p->places[place].pid);
}

/* A process that has ended, also one that nobody has reaped yet. -2: it cannot be watched (another numbering
 * of processes, an old kernel): its silence tells. */
bool ech_pool_gone(struct ech_pool *p, int place)
{
    struct place *pl = &p->places[place];
    int *fd = &p->pid_fds[place];
    if (*fd == -1) {
        int64_t pid = atomic_load(&pl->pid), space = atomic_load(&pl->pid_space);
        if (pid == 0)
            return false;
        bool same = space != 0 && space == atomic_load(&p->places[p->place].pid_space);
        *fd = same ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -2;
        if (*fd < 0)
            *fd = same && errno == ESRCH ? -3 : -2;
    }
    struct pollfd one = {.fd = *fd, .events = POLLIN};
    return *fd == -3 || (*fd >= 0 && poll(&one, 1, 0) == 1);
}

bool ech_pool_fenced(const struct ech_pool *p)
{
    return atomic_load(&p->places[p->place].dead) != 0;
}

bool ech_pool_place_dead(const struct ech_pool *p, int place)
{
    return atomic_load(&p->places[place].dead) != 0;
}

void ech_pool_kill(struct ech_pool *p, int place)
{
    atomic_store(&p->places[place].dead, 1);
}

void ech_pool_lead(struct ech_pool *p)
{
    atomic_store(&p->head->leader, p->place);
}

int ech_pool_leader(const struct ech_pool *p)
{
    return atomic_load(&p->head->leader);
}

void ech_pool_ask_stop(struct ech_pool *p)
{
    atomic_store(&p->head->stop, 1);
}

bool ech_pool_stop_asked(const struct ech_pool *p)
{
    return atomic_load(&p->head->stop) != 0;
}

void ech_pool_fail(struct ech_pool *p, int code)
{
    int old = atomic_load(&p->head->failed);
    while (old < code && !atomic_compare_exchange_weak(&p->head->failed, &old, code))
        ;
}

int ech_pool_failed(const struct ech_pool *p)
{
    return atomic_load(&p->head->failed);
}

void ech_pool_set_state(struct ech_pool *p, enum ech_state state, int64_t epoch)
{
    atomic_store(&p->head->epoch, epoch);
    atomic_store(&p->head->state, (int)state);
}

bool ech_pool_alive(const struct ech_pool *p, int rank)
{
    return atomic_load(&p->dead_ranks[rank]) == 0;
}

void ech_pool_set_dead(struct ech_pool *p, int rank)
{
    atomic_store(&p->dead_ranks[rank], 1);
}
