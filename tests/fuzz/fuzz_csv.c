/* A row of CSV: what was parsed, written again and parsed again, has the same fields. */
#include "tests/fuzz/fuzz.h"

#include "data/csv.h"

#include <stdlib.h>
#include <string.h>

static void check(int good)
{
    if (!good)
        abort();
}

static void check_again(const struct ech_csv_row *row, char delimiter)
{
    struct ech_str line = {0}, a = {0}, b = {0};
    struct ech_csv_row again = {0};
    size_t at;
    for (size_t i = 0; i < row->count; i++) {
        if (i > 0)
            ech_str_addc(&line, delimiter);
        ech_str_clear(&a);
        ech_csv_unquote(&row->fields[i], &a);
        ech_csv_put(&line, a.data ? a.data : "", a.length, delimiter, row->count == 1);
    }
    check(ech_csv_parse(line.data ? line.data : "", line.length, delimiter, &again, &at, NULL) == ECH_OK);
    check(again.count == row->count);
    for (size_t i = 0; i < row->count; i++) {
        ech_str_clear(&a);
        ech_str_clear(&b);
        ech_csv_unquote(&row->fields[i], &a);
        ech_csv_unquote(&again.fields[i], &b);
        check(a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0));
    }
    ech_str_fini(&line);
    ech_str_fini(&a);
    ech_str_fini(&b);
    ech_csv_row_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char delimiters[] = ",;\t|";
    struct ech_csv_row row = {0};
    struct ech_err err = ECH_ERR_NONE;
    size_t at = 0;
    if (size == 0)
        return 0;
    char delimiter = delimiters[data[0] % 4];
    if (ech_csv_parse((const char *)data + 1, size - 1, delimiter, &row, &at, &err) == ECH_OK) {
        check(row.count > 0);
        check_again(&row, delimiter);
    } else
        check(at <= size - 1 && err.text[0]);
    ech_csv_row_fini(&row);
    return 0;
}
