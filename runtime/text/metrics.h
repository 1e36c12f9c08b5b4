/* Quality of translations as sacrebleu measures it: corpus BLEU (13a tokenisation, mixed case, exponential
 * smoothing) and chrF (6 characters, no words, white space left out, beta 2). Lines are added one by one;
 * only counts are kept. Equal to sacrebleu 2 to the last digits of a double: counts are integers, and an
 * n-gram is known by 128 bits of hash.
 * Source  Papineni et al. 2002; Post 2018; Popovic 2015. */
#ifndef ECH_TEXT_METRICS_H
#define ECH_TEXT_METRICS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { ECH_BLEU_ORDER = 4, ECH_CHRF_ORDER = 6, ECH_REFERENCES_MOST = 16 };

struct ech_line {
    const char *text; /* valid UTF-8; need not end with NUL */
    size_t bytes;
};

struct ech_metrics;

struct ech_bleu {
    double score, precision[ECH_BLEU_ORDER], brevity; /* percent, percent, factor */
    int64_t correct[ECH_BLEU_ORDER], total[ECH_BLEU_ORDER];
    int64_t hypothesis_tokens, reference_tokens;
};
struct ech_chrf {
    double score; /* percent */
    int64_t hypothesis[ECH_CHRF_ORDER], reference[ECH_CHRF_ORDER], matches[ECH_CHRF_ORDER];
};

int ech_metrics_create(struct ech_metrics **out, struct ech_err *err);
void ech_metrics_destroy(struct ech_metrics *metrics);
/* One line of the system and its references (count >= 1, the same for every line).
 * Errors  ECH_UNAVAILABLE: memory. */
int ech_metrics_add(struct ech_metrics *metrics, struct ech_line hypothesis,
                    const struct ech_line *references, int count, struct ech_err *err);
int64_t ech_metrics_lines(const struct ech_metrics *metrics);
struct ech_bleu ech_metrics_bleu(const struct ech_metrics *metrics);
struct ech_chrf ech_metrics_chrf(const struct ech_metrics *metrics);

/* Tokens of 13a, one space between them, appended to nothing: into `out` (grown, capacity in bytes); their
 * length in *bytes. For tests, and for who wants to see them. */
int ech_tokenize_13a(struct ech_line line, char **out, size_t *capacity, size_t *bytes, struct ech_err *err);

#endif
