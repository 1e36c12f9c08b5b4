/* A head of few words (a lexical shortlist): their rows beside each other, as the head stores them. Elsewhere
 * (packed heads, devices) the whole head is computed and the words are picked from it. */
#include "model/lm_impl.h"

#include "base/mem.h"
#include "kernels/blocks.h"

#include <string.h>

void ech_lm_free_words(struct ech_sequence *s)
{
    ech_free(s->words);
    ech_free(s->head);
    ech_free(s->bias);
    ech_free(s->few);
    s->words = NULL;
    s->head = NULL;
    s->bias = s->few = NULL;
    s->words_count = 0;
}

/* The head's one part, where its rows are as a file has them. */
static const struct ech_matrix_part *head_rows(const struct ech_lm *d)
{
    const struct ech_matrix *head = ech_packing_matrix(&d->decoder.net.packing, ECH_P_HEAD_W, 0);
    const struct ech_matrix_part *part = &head->part[0];
    bool rows = part->format == ECH_FMT_BLOCK || part->format == ECH_FMT_BLOCK_INT8;
    return head->parts == 1 && rows && !d->ops->device ? part : NULL;
}

static int copy_rows(const struct ech_lm *d, struct ech_sequence *s, struct ech_err *err)
{
    const struct ech_net *net = &d->decoder.net;
    const struct ech_matrix_part *part = head_rows(d);
    const float *bias = ech_packing_at(&net->packing, net->packed, ECH_P_HEAD_B, 0);
    if (!part)
        return ECH_OK;
    size_t bytes = ech_block_row_bytes(part->type, net->spec.embed);
    const unsigned char *from = ech_matrix_at(part, net->packed);
    s->head = ech_alloc_aligned((size_t)s->words_count * bytes, err);
    s->bias = s->head ? ech_calloc((size_t)s->words_count, sizeof *s->bias, err) : NULL;
    if (!s->bias)
        return ECH_UNAVAILABLE;
    for (int64_t i = 0; i < s->words_count; i++) {
        memcpy(s->head + (size_t)i * bytes, from + (size_t)s->words[i] * bytes, bytes);
        s->bias[i] = bias ? bias[s->words[i]] : 0;
    }
    return ECH_OK;
}

int ech_lm_restrict(struct ech_lm *d, int sequence, const int32_t *ids, int64_t count, struct ech_err *err)
{
    int64_t vocab = d->decoder.net.spec.vocab;
    if (sequence < 0 || sequence >= d->most || !d->sequences[sequence].used)
        return ech_fail(err, ECH_BUG, "words for the sequence %d, which is not there", sequence);
    if (count < 1)
        return ech_fail(err, ECH_DATA, "a head of %lld words", (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return ech_fail(err, ECH_DATA, "word %d, 0 to %lld was expected", (int)ids[i],
                            (long long)vocab - 1);
    struct ech_sequence *s = &d->sequences[sequence];
    ech_lm_free_words(s);
    s->words = ech_calloc((size_t)count, sizeof *s->words, err);
    s->few = s->words ? ech_calloc((size_t)count, sizeof *s->few, err) : NULL;
    int code = s->few ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        memcpy(s->words, ids, (size_t)count * sizeof *ids);
        s->words_count = count;
        code = copy_rows(d, s, err);
    }
    if (code != ECH_OK)
        ech_lm_free_words(s);
    return code;
}

static int pick(struct ech_lm *d, const struct ech_sequence *s, int64_t row, struct ech_err *err)
{
    const float *all;
    int code = ech_lm_logits(d, row, 1, &all, err);
    for (int64_t i = 0; code == ECH_OK && i < s->words_count; i++)
        s->few[i] = all[s->words[i]];
    return code;
}

int ech_lm_restricted(struct ech_lm *d, int sequence, int64_t row, const float **logits, struct ech_err *err)
{
    const struct ech_net *net = &d->decoder.net;
    const struct ech_spec *s = &net->spec;
    struct ech_sequence *of = sequence >= 0 && sequence < d->most ? &d->sequences[sequence] : NULL;
    struct ech_work *w = &d->decoder.work;
    if (!of || !of->words || row < 0 || row >= d->wanted)
        return ech_fail(err, ECH_BUG, "few words of row %lld, sequence %d", (long long)row, sequence);
    *logits = of->few;
    if (!of->head)
        return pick(d, of, row, err);
    struct ech_matrix few = {.n = of->words_count, .k = s->embed, .parts = 1};
    few.part[0] = *head_rows(d);
    few.part[0].n = few.n;
    few.part[0].at = of->head;
    struct ech_product head = {
        .matrix = &few, .bias = of->bias, .act = s->head_softcap != 0 ? ECH_ACT_TANH : ECH_ACT_NONE};
    if (!ech_packing_at(&net->packing, net->packed, ECH_P_HEAD_B, 0))
        head.bias = NULL;
    struct ech_rows from = ech_floats((float *)(uintptr_t)ech_lm_head_input(d, row), s->embed);
    int status = ech_multiply(net, w, 1, head, from, ech_floats(of->few, few.n));
    int done = ech_queue_sync(w->queue);
    status = status == ECH_OP_OK ? done : status;
    for (int64_t i = 0; status == ECH_OP_OK && s->head_softcap != 0 && i < few.n; i++)
        of->few[i] *= s->head_softcap;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(net, w, 1, status, err);
}
