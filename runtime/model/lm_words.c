/* A head of few words (a lexical shortlist): their rows beside each other, as a head in place has them, or
 * packed for themselves from the file. Elsewhere (devices) the whole head is computed and the words are
 * picked from it. */
#include "model/lm_impl.h"

#include "base/mem.h"
#include "kernels/blocks.h"

#include <string.h>

void ech_lm_free_words(struct ech_few *f)
{
    ech_free(f->words);
    ech_free(f->head);
    ech_free(f->bias);
    ech_free(f->logits);
    memset(f, 0, sizeof *f);
}

/* The head's one part, where it is not cut in several. */
static const struct ech_matrix_part *whole_head(const struct ech_lm *d)
{
    const struct ech_matrix *head = ech_packing_matrix(&d->decoder.net.packing, ECH_P_HEAD_W, 0);
    return head->parts == 1 && !d->ops->device ? &head->part[0] : NULL;
}

void ech_lm_keep_head(struct ech_lm *d)
{
    const struct ech_matrix_part *part = whole_head(d);
    enum ech_slot slot = d->decoder.net.spec.tied ? ECH_T_WORD : ECH_T_HEAD_W;
    if (part && !ech_format_in_place(part->format))
        d->head = ech_bound_at(&d->decoder.bound, slot, 0);
}

/* Bytes of the words' rows; 0: they cannot stand alone. */
static size_t rows_bytes(const struct ech_lm *d, int64_t count)
{
    const struct ech_matrix_part *part = whole_head(d);
    int64_t cols = d->decoder.net.spec.embed;
    if (part && ech_format_in_place(part->format))
        return (size_t)count * ech_block_row_bytes(part->type, cols);
    return part && d->head ? d->ops->linear_packed_bytes(part->format, count, cols) : 0;
}

/* Aligned memory that only grows. */
static int hold_head(struct ech_few *f, size_t bytes, struct ech_err *err)
{
    if (bytes <= f->head_room)
        return ECH_OK;
    size_t room = bytes + bytes / 2;
    ech_free(f->head);
    f->head_room = 0;
    f->head = ech_alloc_aligned(room, err);
    if (!f->head)
        return ECH_UNAVAILABLE;
    f->head_room = room;
    return ECH_OK;
}

static int hold(struct ech_few *f, int64_t count, size_t bytes, struct ech_err *err)
{
    size_t need = (size_t)count;
    if (ech_grow((void **)&f->words, &f->words_room, need, sizeof *f->words, err) != ECH_OK ||
        ech_grow((void **)&f->bias, &f->bias_room, need, sizeof *f->bias, err) != ECH_OK ||
        ech_grow((void **)&f->logits, &f->logits_room, need, sizeof *f->logits, err) != ECH_OK)
        return ECH_UNAVAILABLE;
    return hold_head(f, bytes, err);
}

static int fill_head(const struct ech_lm *d, struct ech_few *f, struct ech_err *err)
{
    const struct ech_net *net = &d->decoder.net;
    const struct ech_matrix_part *part = whole_head(d);
    const float *bias = ech_packing_at(&net->packing, net->packed, ECH_P_HEAD_B, 0);
    for (int64_t i = 0; i < f->count; i++)
        f->bias[i] = bias ? bias[f->words[i]] : 0;
    if (!ech_format_in_place(part->format))
        return ech_pack_rows(d->ops, part, d->head, f->words, f->count, f->head, err);
    size_t bytes = ech_block_row_bytes(part->type, net->spec.embed);
    const unsigned char *from = ech_matrix_at(part, net->packed);
    for (int64_t i = 0; i < f->count; i++)
        memcpy(f->head + (size_t)i * bytes, from + (size_t)f->words[i] * bytes, bytes);
    return ECH_OK;
}

int ech_lm_restrict(struct ech_lm *d, int sequence, const int32_t *ids, int64_t count, struct ech_err *err)
{
    int64_t vocab = d->decoder.net.spec.vocab;
    if (sequence < 0 || sequence >= d->most || !d->sequences[sequence].used)
        return ech_fail(err, ECH_BUG, "words for the sequence %d, which is not there", sequence);
    if (count < 1 || count > vocab)
        return ech_fail(err, ECH_DATA, "a head of %lld words", (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return ech_fail(err, ECH_DATA, "word %d, 0 to %lld was expected", (int)ids[i],
                            (long long)vocab - 1);
    struct ech_few *f = &d->few[sequence];
    size_t bytes = rows_bytes(d, count);
    int code = hold(f, count, bytes, err);
    if (code == ECH_OK) {
        memcpy(f->words, ids, (size_t)count * sizeof *ids);
        f->count = count;
        f->picked = bytes == 0;
        code = f->picked ? ECH_OK : fill_head(d, f, err);
    }
    if (code != ECH_OK)
        f->count = 0;
    return code;
}

static int pick(struct ech_lm *d, const struct ech_few *f, int64_t row, struct ech_err *err)
{
    const float *all;
    int code = ech_lm_logits(d, row, 1, &all, err);
    for (int64_t i = 0; code == ECH_OK && i < f->count; i++)
        f->logits[i] = all[f->words[i]];
    return code;
}

static int multiply(struct ech_lm *d, const struct ech_few *f, int64_t row, struct ech_err *err)
{
    const struct ech_net *net = &d->decoder.net;
    const struct ech_spec *s = &net->spec;
    struct ech_work *w = &d->decoder.work;
    struct ech_matrix few = {.n = f->count, .k = s->embed, .parts = 1, .part = {*whole_head(d)}};
    few.part[0].n = few.n;
    few.part[0].at = f->head;
    struct ech_product head = {
        .matrix = &few, .bias = f->bias, .act = s->head_softcap != 0 ? ECH_ACT_TANH : ECH_ACT_NONE};
    if (!ech_packing_at(&net->packing, net->packed, ECH_P_HEAD_B, 0))
        head.bias = NULL;
    struct ech_rows from = ech_floats((float *)(uintptr_t)ech_lm_head_input(d, row), s->embed);
    int status = ech_multiply(net, w, 1, head, from, ech_floats(f->logits, few.n));
    int done = ech_queue_sync(w->queue);
    status = status == ECH_OP_OK ? done : status;
    for (int64_t i = 0; status == ECH_OP_OK && s->head_softcap != 0 && i < few.n; i++)
        f->logits[i] *= s->head_softcap;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(net, w, 1, status, err);
}

int ech_lm_restricted(struct ech_lm *d, int sequence, int64_t row, const float **logits, struct ech_err *err)
{
    const struct ech_few *f = sequence >= 0 && sequence < d->most ? &d->few[sequence] : NULL;
    if (!f || f->count == 0 || row < 0 || row >= d->wanted)
        return ech_fail(err, ECH_BUG, "few words of row %lld, sequence %d", (long long)row, sequence);
    *logits = f->logits;
    return f->picked ? pick(d, f, row, err) : multiply(d, f, row, err);
}
