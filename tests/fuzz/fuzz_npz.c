/* A zip of NumPy's arrays. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_weights.h"

#include "model/npz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_npz npz;
    struct ech_err err = ECH_ERR_NONE;
    int code = ech_npz_parse("fuzz", data, size, 0, &npz, &err);
    fuzz_result(code, &err);
    if (code != ECH_OK)
        return 0;
    fuzz_tensors(&npz.items);
    ech_npz_fini(&npz);
    return 0;
}
