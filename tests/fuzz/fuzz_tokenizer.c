/* tokenizer.json up to the first zero byte, then a text: a tokenizer that opens encodes any text within its
 * limits, and cutting it gives the same front. */
#include "tests/fuzz/fuzz.h"

#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static void check(int good)
{
    if (!good)
        abort();
}

static void encode(const struct ech_tokenizer *t, const char *text, size_t bytes)
{
    struct ech_encoder *encoder;
    struct ech_encoded whole, cut;
    struct ech_err err = ECH_ERR_NONE;
    int64_t added = ech_tokenizer_added(t), most = added + MOST;
    int32_t front[MOST + 64];
    check(ech_encoder_create(&encoder, &err) == ECH_OK);
    check(ech_tokenizer_encode(t, encoder, text, bytes, most, true, &whole, &err) == ECH_OK);
    check(whole.count <= most && whole.count <= whole.needed);
    for (int64_t i = 0; i < whole.count; i++)
        check(whole.ids[i] >= 0 && whole.ids[i] <= ech_tokenizer_largest_id(t));
    if (whole.invalid_at < 0) {
        int64_t count = whole.count, needed = whole.needed;
        memcpy(front, whole.ids, (size_t)count * sizeof *front);
        check(ech_tokenizer_encode(t, encoder, text, bytes, most, false, &cut, &err) == ECH_OK);
        check(cut.count == count && (needed > most) == (cut.needed > most));
        check(memcmp(front, cut.ids, (size_t)count * sizeof *front) == 0);
    }
    ech_encoder_destroy(encoder);
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
    if (zero)
        encode(t, (const char *)zero + 1, size - json - 1);
    ech_tokenizer_close(t);
    return 0;
}
