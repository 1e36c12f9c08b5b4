/* dataset.yaml as it is, and with the right hash behind it, so that the fuzzer passes beyond the last line.
 * An accepted manifest adds up, and what is printed of it reads the same. */
#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "base/str.h"
#include "data/manifest.h"

#include <stdlib.h>
#include <string.h>

static void check(int good)
{
    if (!good)
        abort();
}

static void check_accepted(struct ech_manifest *m)
{
    struct ech_str first = {0}, second = {0};
    struct ech_manifest again;
    int64_t rows = 0;
    check(m->column_count > 0 && m->root_count == m->shard_count * m->column_count);
    for (size_t s = 0; s < m->shard_count; s++) {
        check(m->shards[s].first_row == rows && m->shards[s].rows > 0);
        rows += m->shards[s].rows;
    }
    check(rows == m->rows);
    ech_free(m->provenance); /* what others wrote under other keys need not stand alone */
    m->provenance = NULL;
    check(ech_manifest_print(m, &first, NULL) == ECH_OK);
    check(ech_manifest_parse("printed", first.data, first.length, &again, NULL) == ECH_OK);
    check(ech_hash_equal(again.identity, m->identity));
    check(ech_manifest_print(&again, &second, NULL) == ECH_OK);
    check(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    ech_manifest_fini(&again);
    ech_str_fini(&first);
    ech_str_fini(&second);
}

static void once(const char *text, size_t size)
{
    struct ech_manifest m;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_manifest_parse("fuzz", text, size, &m, &err) != ECH_OK) {
        check(err.code == ECH_DATA && err.text[0]);
        return;
    }
    check_accepted(&m);
    ech_manifest_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_str sealed = {0};
    char hex[ECH_HASH_HEX];
    once((const char *)data, size);
    ech_str_add(&sealed, data, size);
    ech_str_addf(&sealed, "hash: %s\n", ech_hash_print(ech_hash_bytes(data, size), hex));
    once(sealed.data, sealed.length);
    ech_str_fini(&sealed);
    return 0;
}
