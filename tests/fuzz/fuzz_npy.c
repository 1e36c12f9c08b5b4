/* The header of a .npy file: an accepted one has sizes that fit, and its column's own header reads the same.
 */
#include "tests/fuzz/fuzz.h"

#include "data/npy.h"

#include <stdlib.h>

static void check(int good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_npy npy, back;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_npy_parse(data, size, &npy, &err) != ECH_OK) {
        check(err.code == ECH_DATA && err.text[0]);
        return 0;
    }
    int64_t bytes;
    check(npy.header_bytes <= (int64_t)size && npy.rows >= 0 && npy.dim >= 1);
    check(!__builtin_mul_overflow(npy.rows, npy.dim, &bytes) &&
          !__builtin_mul_overflow(bytes, npy.item_bytes, &bytes));
    struct ech_column column = ech_npy_column(&npy, "values");
    struct ech_str header = {0};
    ech_npy_put_header(&header, &column, npy.rows);
    check(header.length % 64 == 0 && ech_npy_parse(header.data, header.length, &back, NULL) == ECH_OK);
    check(back.rows == npy.rows && back.dim == npy.dim &&
          back.item_bytes == (int)ech_dtype_bytes(column.dtype));
    ech_str_fini(&header);
    return 0;
}
