/* A sentencepiece file, then a text of as many bytes as the last byte says: a file that opens encodes any
 * text to ids of its own, and decodes any of its ids to valid UTF-8. */
#include "tests/fuzz/fuzz.h"

#include "base/str.h"
#include "text/sentencepiece.h"

#include <stdlib.h>

enum { MOST = 4096 };

static void check(int good)
{
    if (!good)
        abort();
}

static void decode(const struct ech_sentencepiece *m, const int32_t *ids, int64_t count)
{
    struct ech_pieces in = {0}, out = {0};
    struct ech_err err = ECH_ERR_NONE;
    for (int64_t i = 0; i < count; i++) {
        size_t bytes;
        const unsigned char *piece = ech_sp_vocab_text(&m->vocab, ids[i], &bytes);
        check(ech_pieces_put(&in, piece, bytes, &err) == ECH_OK && ech_pieces_end(&in, &err) == ECH_OK);
    }
    check(ech_sentencepiece_decode(m, &in, &out, &err) == ECH_OK);
    check(out.count == 1 && (m->denormalizes || ech_utf8_invalid_at(out.text, out.bytes) < 0));
    ech_pieces_fini(&in);
    ech_pieces_fini(&out);
}

static void encode(const struct ech_sentencepiece *m, const uint8_t *text, size_t bytes)
{
    int32_t ids[MOST];
    struct ech_sp_scratch scratch = {0};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_id_sink sink = {.ids = ids, .limit = MOST, .count_all = true};
    check(ech_sentencepiece_encode(m, &scratch, text, bytes, &sink, &err) == ECH_OK);
    int64_t kept = sink.found < MOST ? sink.found : MOST;
    for (int64_t i = 0; i < kept; i++)
        check(ids[i] >= 0 && (size_t)ids[i] < m->vocab.count);
    decode(m, ids, kept);
    ech_sp_scratch_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_sentencepiece model;
    struct ech_err err = ECH_ERR_NONE;
    size_t bytes = size > 0 && data[size - 1] < size ? data[size - 1] : 0;
    size_t file = size > 0 ? size - 1 - bytes : 0;
    if (ech_sentencepiece_parse("fuzz", data, file, &model, &err) != ECH_OK) {
        check(err.code != ECH_OK && err.text[0]);
        return 0;
    }
    encode(&model, data + file, bytes);
    ech_sentencepiece_fini(&model);
    return 0;
}
