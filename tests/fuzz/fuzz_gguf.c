/* A GGUF file: header, names, configuration, vocabulary. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_weights.h"

#include "model/gguf_arch.h"
#include "model/gguf_vocab.h"

static void read_vocab(const struct ech_gguf *g)
{
    struct ech_gguf_vocab *vocab;
    struct ech_err err = ECH_ERR_NONE;
    fuzz_result(ech_gguf_vocab_read(g, &vocab, &err), &err);
    if (err.code != ECH_OK || !vocab)
        return;
    for (size_t i = 0; i < vocab->source.count; i++)
        for (size_t k = 0; k < vocab->source.tokens[i].bytes; k++)
            (void)((const volatile char *)vocab->source.tokens[i].text)[k];
    ech_gguf_vocab_destroy(vocab);
}

static void describe(const struct ech_gguf *g)
{
    struct ech_tensor_list named = {0};
    struct ech_err err = ECH_ERR_NONE;
    json_t *config = NULL;
    const struct ech_gguf_arch *arch = ech_gguf_arch_find(g);
    fuzz_result(ech_gguf_rename(g, arch, &g->tensors, &named, &err), &err);
    if (err.code == ECH_OK) {
        fuzz_tensors(&named);
        fuzz_result(ech_gguf_config(g, arch, &named, &config, &err), &err);
    }
    json_decref(config);
    ech_tensor_list_fini(&named);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_gguf g;
    struct ech_err err = ECH_ERR_NONE;
    int code = ech_gguf_parse("fuzz", data, size, 0, &g, &err);
    fuzz_result(code, &err);
    if (code != ECH_OK)
        return 0;
    fuzz_tensors(&g.tensors);
    describe(&g);
    read_vocab(&g);
    ech_gguf_fini(&g);
    return 0;
}
