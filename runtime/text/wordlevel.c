/* WordLevel: see wordlevel.h. */
#include "text/wordlevel.h"

#include "base/mem.h"
#include "text/tokenizer_impl.h"

int ech_wordlevel_create(const struct ech_vocab *vocab, struct ech_wordlevel **out, struct ech_err *err)
{
    struct ech_wordlevel *model = ech_calloc(1, sizeof *model, err);
    if (!model)
        return ECH_UNAVAILABLE;
    model->vocab = vocab;
    model->unknown = -1;
    *out = model;
    return ECH_OK;
}

static int encode_word(const void *data, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err)
{
    const struct ech_wordlevel *model = data;
    int32_t id = ech_vocab_find(model->vocab, text, bytes);
    (void)scratch;
    if (id < 0)
        id = model->unknown;
    if (id < 0)
        return ech_fail(err, ECH_DATA, "\"%.*s\" is not in the vocabulary, and neither is its unknown token",
                        bytes > 60 ? 60 : (int)bytes, (const char *)text);
    ech_sink_put(sink, id);
    return ECH_OK;
}

const struct ech_model_ops ech_wordlevel_ops = {
    .kind = "WordLevel", .close = ech_free, .encode_word = encode_word};
