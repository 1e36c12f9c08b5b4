/* A CTranslate2 file: variables, names, configuration. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_weights.h"

#include "model/ct2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_ct2 m;
    struct ech_tensor_list named = {0};
    struct ech_err err = ECH_ERR_NONE;
    json_t *config = NULL;
    int code = ech_ct2_parse("fuzz", data, size, 0, &m, &err);
    fuzz_result(code, &err);
    if (code != ECH_OK)
        return 0;
    fuzz_tensors(&m.variables);
    fuzz_result(ech_ct2_describe(&m, NULL, &named, &config, &err), &err);
    fuzz_tensors(&named);
    json_decref(config);
    ech_tensor_list_fini(&named);
    ech_ct2_fini(&m);
    return 0;
}
