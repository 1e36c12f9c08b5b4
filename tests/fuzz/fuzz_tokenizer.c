/* tokenizer.json up to the first zero byte, then a text: a tokenizer that opens encodes any text within its
 * limits (or says why not), cutting it gives the same front, and ids decode to valid UTF-8. */
#include "tests/fuzz/fuzz.h"

#include "base/str.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static void check(int good)
{
    if (!good)
        abort();
}

/* A regex may come to its limit, an unknown character may have no token: errors with a text. */
static int may_fail(int code, const struct ech_err *err)
{
    check(code == ECH_OK || (code == ECH_DATA && err->text[0]));
    return code;
}

static void decode(const struct ech_tokenizer *t, struct ech_encoder *encoder, const int32_t *ids,
                   int64_t count)
{
    struct ech_decoded text;
    struct ech_err err = ECH_ERR_NONE;
    if (may_fail(ech_tokenizer_decode(t, encoder, ids, count, false, &text, &err), &err) == ECH_OK)
        check(strlen(text.text) <= text.bytes && ech_utf8_invalid_at(text.text, text.bytes) < 0);
}

static void encode_pair(const struct ech_tokenizer *t, struct ech_encoder *encoder, const char *text,
                        size_t bytes)
{
    const struct ech_text_pair pair = {text, bytes, text, bytes};
    const struct ech_encode_options options = {.most = ech_tokenizer_added_pair(t) + MOST / 2,
                                               .literal = true};
    struct ech_encoded out;
    struct ech_err err = ECH_ERR_NONE;
    if (may_fail(ech_tokenizer_encode_pair(t, encoder, &pair, &options, &out, &err), &err) == ECH_OK)
        check(out.count <= options.most);
}

static void encode(const struct ech_tokenizer *t, struct ech_encoder *encoder, const char *text, size_t bytes)
{
    struct ech_encoded whole, cut;
    struct ech_err err = ECH_ERR_NONE;
    int64_t added = ech_tokenizer_added(t), most = added + MOST;
    int32_t front[MOST + 64];
    if (may_fail(ech_tokenizer_encode(t, encoder, text, bytes, most, true, &whole, &err), &err) != ECH_OK)
        return;
    check(whole.count <= most && whole.count <= whole.needed);
    for (int64_t i = 0; i < whole.count; i++)
        check(whole.ids[i] >= 0 && whole.ids[i] <= ech_tokenizer_largest_id(t));
    if (whole.invalid_at >= 0)
        return;
    int64_t count = whole.count, needed = whole.needed;
    memcpy(front, whole.ids, (size_t)count * sizeof *front);
    check(ech_tokenizer_encode(t, encoder, text, bytes, most, false, &cut, &err) == ECH_OK);
    check(cut.count == count && (needed > most) == (cut.needed > most));
    check(memcmp(front, cut.ids, (size_t)count * sizeof *front) == 0);
    decode(t, encoder, front, count);
    encode_pair(t, encoder, text, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_tokenizer *t;
    struct ech_err err = ECH_ERR_NONE;
    const uint8_t *zero = memchr(data, 0, size);
    size_t json = zero ? (size_t)(zero - data) : size;
    if (ech_tokenizer_parse("fuzz", (const char *)data, json, &t, &err) != ECH_OK) {
        check(err.code != ECH_OK && err.text[0]);
        return 0;
    }
    if (zero) {
        struct ech_encoder *encoder;
        check(ech_encoder_create(&encoder, &err) == ECH_OK);
        encode(t, encoder, (const char *)zero + 1, size - json - 1);
        ech_encoder_destroy(encoder);
    }
    ech_tokenizer_close(t);
    return 0;
}
