/* Decoder chains: see pieces.h. */
#include "text/pieces.h"

#include "base/mem.h"
#include "text/regex.h"

#include <string.h>

void ech_pieces_fini(struct ech_pieces *p)
{
    ech_free(p->text);
    ech_free(p->ends);
    ech_regex_scratch_destroy(p->regex);
    memset(p, 0, sizeof *p);
}

void ech_pieces_clear(struct ech_pieces *p)
{
    p->bytes = 0;
    p->count = 0;
}

int ech_pieces_put(struct ech_pieces *p, const void *text, size_t bytes, struct ech_err *err)
{
    int code = ech_grow((void **)&p->text, &p->text_capacity, p->bytes + bytes + 1, 1, err);
    if (code != ECH_OK)
        return code;
    if (bytes)
        memcpy(p->text + p->bytes, text, bytes);
    p->bytes += bytes;
    p->text[p->bytes] = '\0';
    return ECH_OK;
}

int ech_pieces_end(struct ech_pieces *p, struct ech_err *err)
{
    int code = ech_grow((void **)&p->ends, &p->ends_capacity, p->count + 1, sizeof *p->ends, err);
    if (code == ECH_OK)
        p->ends[p->count++] = p->bytes;
    return code;
}

int ech_decoder_add(struct ech_decoder *d, struct ech_decode_step step, struct ech_err *err)
{
    int code = ech_grow((void **)&d->steps, &d->capacity, d->count + 1, sizeof *d->steps, err);
    if (code == ECH_OK)
        d->steps[d->count++] = step;
    else if (step.close)
        step.close(step.data);
    return code;
}

void ech_decoder_fini(struct ech_decoder *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->steps[i].close)
            d->steps[i].close(d->steps[i].data);
    ech_free(d->steps);
    memset(d, 0, sizeof *d);
}

int ech_decoder_run(const struct ech_decoder *d, struct ech_pieces buffers[2], int *which,
                    struct ech_err *err)
{
    int from = 0, code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < d->count; i++) {
        ech_pieces_clear(&buffers[1 - from]);
        code = d->steps[i].apply(d->steps[i].data, &buffers[from], &buffers[1 - from], err);
        from = 1 - from;
    }
    *which = from;
    return code == ECH_OK ? ech_pieces_put(&buffers[from], "", 0, err) : code;
}
