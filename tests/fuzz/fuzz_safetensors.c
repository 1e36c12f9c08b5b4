/* A safetensors file: whatever it says, every tensor handed out lies within it. */
#include "tests/fuzz/fuzz.h"

#include "model/safetensors.h"

#include <stdlib.h>

static void check_tensor(const struct ech_tensor *t, const uint8_t *data, size_t size)
{
    size_t wanted = ech_stype_bytes(t->dtype);
    const volatile unsigned char *bytes = t->data;
    for (int i = 0; i < t->dims; i++)
        wanted *= (size_t)t->shape[i];
    if (wanted != t->bytes || t->data < data || t->data > data + size ||
        t->bytes > (size_t)(data + size - t->data))
        abort();
    for (size_t i = 0; i < t->bytes; i++)
        (void)bytes[i];
    float value;
    if (t->elements > 0 && t->dtype <= ECH_ST_BF16 &&
        ech_tensor_to_f32(t, t->elements - 1, 1, &value, NULL) != ECH_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_tensor_list list = {0};
    struct ech_err err = ECH_ERR_NONE;
    int code = ech_safetensors_parse("fuzz", data, size, 0, &list, &err);
    if ((code != ECH_OK) != (err.text[0] != '\0'))
        abort();
    for (size_t i = 0; code == ECH_OK && i < list.count; i++)
        check_tensor(&list.items[i], data, size);
    ech_tensor_list_fini(&list);
    return 0;
}
