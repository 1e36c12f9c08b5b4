/* Last words: who fell silent when a collective phase did not end. No rank can see inside a collective, so
 * each tells where it stands, but only when a phase has lasted half its deadline: a run whose phases end in
 * time writes nothing. A rank is known by its file; who wrote none is dead, stopped or cut off, who has
 * entered fewer collectives than the others is alive and still at its own work.
 *
 * Files: DIR/nodes/<host>/word-<attempt>-<rank>, one line "phase entered inside". Written by the watchdog,
 * read by it at the deadline and by the launcher after the attempt. Grows with the ranks, on failure only. */
#ifndef ECH_BASE_WORDS_H
#define ECH_BASE_WORDS_H

#include "base/str.h"

#include <stdint.h>

/* Where this is set, rank 0 tells on stderr that it has been started: for starts without a run directory. */
#define ECH_TELL_BEGUN_ENV "ECH_TELL_BEGUN"
#define ECH_BEGUN_LINE     "echelon-rank: begun"

struct ech_word {
    char host[64]; /* "": unknown; of a silent rank from its events file */
    char phase[32];
    bool said;
    bool inside;     /* waiting in a collective */
    int64_t entered; /* collectives of the whole job, so far */
};

/* DIR/over-<attempt>: a phase of all ranks has not ended, so this attempt has no result any more. Stopped
 * ranks would keep it alive: the launcher ends it. */
void ech_words_over(const char *dir, int attempt);
bool ech_words_are_over(const char *dir, int attempt);

int ech_word_write(const char *dir, int attempt, int rank, const struct ech_word *word, struct ech_err *err);
/* The words of `ranks` ranks into out[ranks]; what cannot be read, or is older than `age_s` (0: any age), was
 * not said. */
void ech_words_read(const char *dir, int attempt, int ranks, double age_s, struct ech_word *out);
/* Is this rank the reason? Silent, or behind the furthest. Pure. */
enum ech_word_state { ECH_WORD_WAITS, ECH_WORD_WORKS, ECH_WORD_SILENT };
enum ech_word_state ech_word_judge(const struct ech_word *words, int ranks, int rank);
/* "rank 2 on node3 is silent (dead, stopped or cut off); rank 1 on ..." (at most eight named); nothing is
 * added where nobody has said a word. Pure. */
void ech_words_tell(const struct ech_word *words, int ranks, struct ech_str *out);

#endif
