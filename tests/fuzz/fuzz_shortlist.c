/* A Marian shortlist, and the words of some sentences. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_weights.h"

#include "base/mem.h"
#include "model/shortlist.h"

enum { WORDS = 70 };

static void words(struct ech_shortlist *s, const int32_t *ids, int64_t count)
{
    struct ech_err err = ECH_ERR_NONE;
    int32_t *found = NULL;
    int64_t n = 0;
    fuzz_result(ech_shortlist_words(s, ids, count, &found, &n, &err), &err);
    if (n < 1 || n > WORDS || found[0] != 0 || (n % 8 && n != WORDS))
        abort();
    for (int64_t i = 0; i < n; i++)
        if (found[i] < 0 || found[i] >= WORDS || (i && found[i] <= found[i - 1]))
            abort();
    ech_free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_shortlist *s;
    struct ech_err err = ECH_ERR_NONE;
    int code = ech_shortlist_parse("fuzz", data, size, 3, WORDS, &s, &err);
    fuzz_result(code, &err);
    if (code != ECH_OK)
        return 0;
    words(s, (const int32_t[]){0, 1, 2, -1, 3}, 5);
    words(s, NULL, 0);
    words(s, (const int32_t[]){2, 2}, 2);
    ech_shortlist_close(s);
    return 0;
}
