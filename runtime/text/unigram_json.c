/* tokenizer.json's model "Unigram". Unlike sentencepiece its unknown pieces in a row are one text, which is
 * looked up once more, then written as bytes where the vocabulary has them all, and is unknown else; all
 * pieces, special ones too, are found in a text. */
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer_impl.h"
#include "text/unigram.h"

#include <float.h>
#include <string.h>

static const double UNKNOWN_PENALTY = 10;

struct model {
    struct ech_unigram unigram;
    const struct ech_vocab *vocab; /* the tokenizer's */
    bool byte_fallback;
    int32_t bytes[256]; /* -1: none */
};

static void model_close(void *data)
{
    struct model *m = data;
    ech_unigram_fini(&m->unigram);
    ech_free(m);
}

static int scratch_create(const void *model, void **scratch, struct ech_err *err)
{
    (void)model;
    *scratch = ech_calloc(1, sizeof(struct ech_unigram_scratch), err);
    return *scratch ? ECH_OK : ECH_UNAVAILABLE;
}

static void scratch_destroy(void *scratch)
{
    ech_free(((struct ech_unigram_scratch *)scratch)->places);
    ech_free(scratch);
}

static void put_unknown(const struct model *m, const unsigned char *text, size_t bytes,
                        struct ech_id_sink *sink)
{
    int32_t id = ech_vocab_find(m->vocab, text, bytes);
    bool all = m->byte_fallback && id < 0;
    for (size_t i = 0; all && i < bytes; i++)
        all = m->bytes[text[i]] >= 0;
    if (!all) {
        ech_sink_put(sink, id >= 0 ? id : m->unigram.unknown);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        ech_sink_put(sink, m->bytes[text[i]]);
}

static int encode_word(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err)
{
    const struct model *m = model;
    struct ech_unigram_scratch *s = scratch;
    int code = ech_unigram_best(&m->unigram, text, bytes, s, err);
    for (size_t at = 0, end; code == ECH_OK && at < bytes; at = end) {
        end = (size_t)s->places[at].other;
        if (s->places[at].id != m->unigram.unknown) {
            ech_sink_put(sink, s->places[at].id);
            continue;
        }
        while (end < bytes && s->places[end].id == m->unigram.unknown)
            end = (size_t)s->places[end].other;
        put_unknown(m, text + at, end - at, sink);
    }
    return code;
}

static const struct ech_model_ops ops = {.kind = "Unigram",
                                         .close = model_close,
                                         .scratch_create = scratch_create,
                                         .scratch_destroy = scratch_destroy,
                                         .encode_word = encode_word};

static int read_vocab(struct ech_tokenizer *t, struct model *m, const char *name, const json_t *vocab,
                      struct ech_err *err)
{
    double worst = DBL_MAX;
    json_t *item;
    size_t id;
    m->unigram.scores = ech_calloc(json_array_size(vocab), sizeof *m->unigram.scores, err);
    if (!m->unigram.scores)
        return ECH_UNAVAILABLE;
    json_array_foreach(vocab, id, item)
    {
        const json_t *text = json_array_get(item, 0), *score = json_array_get(item, 1);
        if (!json_is_string(text) || !json_is_number(score) || json_array_size(item) != 2)
            return ech_fail(err, ECH_DATA, "%s: entry %zu of model.vocab is not [text, score]", name, id);
        int code =
            ech_tokenizer_add_piece(t, json_string_value(text), json_string_length(text), (int64_t)id, err);
        if (code != ECH_OK)
            return ech_prefix(err, "%s", name);
        m->unigram.scores[id] = json_number_value(score);
        worst = m->unigram.scores[id] < worst ? m->unigram.scores[id] : worst;
    }
    m->unigram.unknown_score = worst - UNKNOWN_PENALTY;
    return ECH_OK;
}

static int build_tree(const struct ech_tokenizer *t, struct model *m, size_t count, struct ech_err *err)
{
    struct ech_sp_key *keys = ech_calloc(count, sizeof *keys, err);
    size_t used = 0;
    if (!keys)
        return ECH_UNAVAILABLE;
    for (size_t id = 0; id < count; id++) {
        size_t bytes;
        const char *text = ech_vocab_text(&t->vocab, (int64_t)id, &bytes);
        if (bytes > 0) /* the reference never finds an empty one */
            keys[used++] = (struct ech_sp_key){(const unsigned char *)text, bytes, (int32_t)id};
    }
    int code = ech_sp_trie_build(&m->unigram.trie, keys, used, err);
    ech_free(keys);
    return code;
}

static int read_unknown(struct model *m, const char *name, const json_t *part, size_t count,
                        struct ech_err *err)
{
    int64_t unknown = -1;
    const json_t *id = json_object_get(part, "unk_id");
    if (ech_json_absent(id))
        return ech_fail(err, ECH_DATA, "%s: a Unigram model without unk_id is not supported", name);
    int code = ech_json_get_int(part, name, "unk_id", true, &unknown, err);
    if (code == ECH_OK && (unknown < 0 || unknown >= (int64_t)count))
        code = ech_fail(err, ECH_DATA, "%s: unk_id is %lld, 0 to %zu was expected", name, (long long)unknown,
                        count - 1);
    m->unigram.unknown = (int32_t)unknown;
    return code;
}

static int read_model(struct ech_tokenizer *t, struct model *m, const char *name, const json_t *part,
                      struct ech_err *err)
{
    const json_t *vocab = json_object_get(part, "vocab");
    size_t count = json_array_size(vocab);
    if (count == 0)
        return ech_fail(err, ECH_DATA, "%s: model.vocab is not a list with entries", name);
    int code = read_vocab(t, m, name, vocab, err);
    if (code == ECH_OK)
        code = build_tree(t, m, count, err);
    if (code == ECH_OK)
        code = read_unknown(m, name, part, count, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "byte_fallback", false, &m->byte_fallback, err);
    for (int i = 0; code == ECH_OK && i < 256; i++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        m->bytes[i] = ech_vocab_find(&t->vocab, text, 6);
    }
    return code;
}

int ech_json_unigram(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct model *m = ech_calloc(1, sizeof *m, err);
    if (!m)
        return ECH_UNAVAILABLE;
    m->vocab = &t->vocab;
    t->model = m;
    t->ops = &ops;
    return read_model(t, m, name, part, err);
}
