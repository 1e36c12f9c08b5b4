/* A row of JSON Lines: parsed, every value converted to every type; strings survive printing and parsing. */
#include "tests/fuzz/fuzz.h"

#include "data/convert.h"
#include "data/jsonl.h"
#include "data/text_row.h"

#include <stdlib.h>
#include <string.h>

static const struct ech_column columns[] = {
    {"text", ECH_TEXT, ECH_U8, 0},    {"json", ECH_JSON, ECH_U8, 0},    {"ragged", ECH_INTS, ECH_I64, 0},
    {"one", ECH_INTS, ECH_I64, 1},    {"pair", ECH_TENSOR, ECH_F32, 2}, {"half", ECH_TENSOR, ECH_F16, 1},
    {"wide", ECH_TENSOR, ECH_F64, 1},
};

static void check(int good)
{
    if (!good)
        abort();
}

/* A string, printed and parsed again, is the same. */
static void check_string(const struct ech_jvalue *v)
{
    struct ech_str plain = {0}, printed = {0}, again = {0};
    struct ech_jvalue back;
    size_t at;
    ech_json_unescape(v->text, v->bytes, &plain, NULL);
    ech_text_put_string(&printed, plain.data ? plain.data : "", plain.length);
    check(ech_json_value(printed.data, printed.length, &back, &at, NULL) == ECH_OK &&
          back.kind == ECH_J_STRING);
    ech_json_unescape(back.text, back.bytes, &again, NULL);
    check(again.length == plain.length &&
          (plain.length == 0 || memcmp(again.data, plain.data, plain.length) == 0));
    ech_str_fini(&plain);
    ech_str_fini(&printed);
    ech_str_fini(&again);
}

static void check_value(const struct ech_jvalue *v)
{
    struct ech_str out = {0};
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        size_t before = out.length;
        int code = ech_put_json(&columns[c], v, true, &out, NULL);
        int64_t fixed = columns[c].dim * (int64_t)ech_dtype_bytes(columns[c].dtype);
        if (code == ECH_OK && columns[c].dim > 0)
            check((int64_t)(out.length - before) == fixed);
    }
    ech_str_fini(&out);
    if (v->kind == ECH_J_STRING)
        check_string(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_jrow row = {0};
    struct ech_jvalue value;
    size_t at = 0;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_jsonl_parse((const char *)data, size, &row, &at, &err) == ECH_OK) {
        for (size_t i = 0; i < row.count; i++)
            check_value(&row.members[i].value);
        check(ech_json_value((const char *)data, size, &value, &at, NULL) == ECH_OK);
    } else
        check(at <= size && err.text[0]);
    ech_jrow_fini(&row);
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        struct ech_str out = {0};
        ech_put_cell(&columns[c], (const char *)data, size, &out, NULL);
        ech_str_fini(&out);
    }
    return 0;
}
