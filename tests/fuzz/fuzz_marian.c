/* A Marian binary file: items, settings, names. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_weights.h"

#include "model/marian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_tensor_list items = {0}, named = {0};
    struct ech_err err = ECH_ERR_NONE;
    json_t *config = NULL;
    fuzz_result(ech_marian_parse("fuzz", data, size, 0, &items, &err), &err);
    if (err.code == ECH_OK) {
        fuzz_tensors(&items);
        fuzz_result(ech_marian_describe("fuzz", &items, &named, &config, &err), &err);
        fuzz_tensors(&named);
    }
    json_decref(config);
    ech_tensor_list_fini(&named);
    ech_tensor_list_fini(&items);
    return 0;
}
