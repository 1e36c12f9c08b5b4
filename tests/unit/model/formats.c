/* Model files of other makers: what is read of them equals what the reference decoders read. Needs foreign
 * data but for the corpus of the fuzz targets. */
#include "tests/parity/npy.h"
#include "tests/unit/model/fixture.h"

#include "model/weights.h"
#include "text/tokenizer.h"
#include "text/vocab_source.h"

#include <math.h>

static struct ech_weights *open_weights(const char *path)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w = NULL;
    must(ech_weights_open(path, &w, &err), &err);
    return w;
}

static float *decode(const struct ech_weights *w, const char *name)
{
    struct ech_err err = ECH_ERR_NONE;
    const struct ech_tensor *t = ech_weights_find(w, name);
    if (!t)
        fail_msg("no tensor %s", name);
    float *out = malloc((size_t)t->elements * sizeof *out + 1);
    must(ech_tensor_to_f32(t, 0, t->elements, out, &err), &err);
    return out;
}

/* All of a tensor to 1e-6, and every cut of a row the same bits. */
static void same_as_golden(const struct ech_weights *w, const char *name, const char *golden)
{
    struct npy want = npy_read(ech_test_data(golden));
    struct ech_err err = ECH_ERR_NONE;
    const struct ech_tensor *t = ech_weights_find(w, name);
    float *got = decode(w, name), part[77];
    assert_int_equal(t->elements, want.elements);
    for (int64_t i = 0; i < want.elements; i++)
        if (!(fabsf(got[i] - want.f[i]) <= 1e-6f))
            fail_msg("%s: element %lld is %.9g, %.9g was expected", name, (long long)i, (double)got[i],
                     (double)want.f[i]);
    for (int64_t first = 0; first + 77 <= t->elements; first += 53) {
        must(ech_tensor_to_f32(t, first, 77, part, &err), &err);
        assert_memory_equal(part, got + first, sizeof part);
    }
    free(got);
    npy_free(&want);
}

static void gguf_types(void **state)
{
    (void)state;
    static const char *const types[] = {"f16",  "bf16",  "q4_0",  "q4_1",   "q5_0",  "q5_1",
                                        "q8_0", "tq1_0", "tq2_0", "mxfp4",  "q2_k",  "q3_k",
                                        "q4_k", "q5_k",  "q6_k",  "iq4_nl", "iq4_xs"};
    struct ech_weights *w = open_weights(ech_test_data("goldens/tiny/gguf/types.gguf"));
    assert_int_equal(ech_weights_count(w), 17);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[64], golden[128];
        snprintf(name, sizeof name, "%s.weight", types[i]);
        snprintf(golden, sizeof golden, "goldens/tiny/gguf/expected_%s.npy", types[i]);
        same_as_golden(w, name, golden);
    }
    assert_null(ech_weights_vocab(w));
    ech_weights_close(w);
}

static void expect_int(const json_t *config, const char *key, int64_t want)
{
    const json_t *value = json_object_get(config, key);
    if (!json_is_integer(value) || json_integer_value(value) != want)
        fail_msg("%s is %lld, %lld was expected", key, (long long)json_integer_value(value), (long long)want);
}

static void gguf_llama(void **state)
{
    (void)state;
    static const char *const kinds[] = {"f32", "f16", "q8_0", "q4_0"};
    for (int i = 0; i < 4; i++) {
        char file[128], golden[128];
        snprintf(file, sizeof file, "goldens/tiny/gguf/llama-%s.gguf", kinds[i]);
        snprintf(golden, sizeof golden, "goldens/tiny/gguf/expected_attn_k_%s.npy", kinds[i]);
        struct ech_weights *w = open_weights(ech_test_data(file));
        same_as_golden(w, "model.layers.0.self_attn.k_proj.weight", golden);
        ech_weights_close(w);
    }
    /* the whole of it: as the folder it was made of, but for the order of rows of q and k */
    struct ech_weights *w = open_weights(ech_test_data("goldens/tiny/gguf/llama-f32.gguf"));
    struct ech_weights *hf = open_weights(ech_test_data("goldens/tiny/llama"));
    const json_t *a = ech_weights_config(w), *b = ech_weights_config(hf);
    static const char *const same[] = {
        "model_type",          "hidden_size",         "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim",
        "intermediate_size",   "vocab_size",          "max_position_embeddings",
        "tie_word_embeddings", "hidden_act",          "bos_token_id",
        "eos_token_id",        "attention_bias",      "mlp_bias"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!json_equal(json_object_get(a, same[i]), json_object_get(b, same[i])))
            fail_msg("%s differs", same[i]);
    assert_true(json_is_true(json_object_get(a, "ech_rope_interleaved")));
    assert_int_equal(ech_weights_count(w), ech_weights_count(hf));
    for (int64_t i = 0; i < ech_weights_count(hf); i++) {
        const struct ech_tensor *x = ech_weights_at(hf, i), *y = ech_weights_at(w, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->elements, y->elements);
        float *p = decode(hf, x->name), *q = decode(w, y->name);
        bool rotated = strstr(x->name, "q_proj") || strstr(x->name, "k_proj");
        int64_t cols = x->dims == 2 ? x->shape[1] : 1, head = 16;
        for (int64_t k = 0; k < x->elements; k++) {
            int64_t row = k / cols, in = row % head;
            int64_t from = rotated ? row - in + in % 2 * (head / 2) + in / 2 : row;
            assert_true(q[k] == p[from * cols + k % cols]);
        }
        free(p);
        free(q);
    }
    ech_weights_close(hf);
    ech_weights_close(w);
}

static void gguf_vocab(void **state)
{
    (void)state;
    struct ech_weights *w = open_weights(ech_test_data("models/vocab-goldens/llama-spm.gguf"));
    const struct ech_vocab_source *v = ech_weights_vocab(w);
    assert_non_null(v);
    assert_string_equal(v->model, "llama");
    assert_int_equal(v->count, 32000);
    assert_int_equal(v->bos, 1);
    assert_int_equal(v->eos, 2);
    assert_int_equal(v->pad, ECH_VOCAB_UNSET);
    assert_int_equal(v->add_bos, 1);
    assert_int_equal(v->add_eos, 0);
    assert_int_equal(v->add_space_prefix, ECH_VOCAB_UNSET);
    assert_int_equal(v->tokens[2].bytes, 4);
    assert_memory_equal(v->tokens[2].text, "</s>", 4);
    assert_int_equal(v->types[2], ECH_VOCAB_CONTROL);
    assert_non_null(v->scores);
    ech_weights_close(w);
    w = open_weights(ech_test_data("models/vocab-goldens/gpt-2.gguf"));
    v = ech_weights_vocab(w);
    assert_int_equal(v->merge_count, 50000);
    assert_int_equal(v->merges[0].bytes, 4);
    assert_string_equal(v->pre, "gpt-2");
    ech_weights_close(w);
}

/* The tokenizer outlives the arrays it was built of; none is built of what is left. */
static void dropped_vocab(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_tokenizer *t, *again;
    struct ech_weights *w = open_weights(ech_test_data("models/vocab-goldens/llama-spm.gguf"));
    const struct ech_vocab_source *v = ech_weights_vocab(w);
    size_t bytes;
    must(ech_tokenizer_from_source(NULL, v, &t, &err), &err);
    ech_weights_drop_vocab(w);
    ech_weights_drop_vocab(w);
    assert_ptr_equal(ech_weights_vocab(w), v);
    assert_null(v->tokens);
    assert_null(v->scores);
    assert_null(v->types);
    assert_string_equal(v->model, "llama");
    assert_int_equal(v->count, 32000);
    assert_int_equal(ech_tokenizer_from_source(NULL, v, &again, &err), ECH_DATA);
    ech_weights_close(w);
    assert_int_equal(ech_tokenizer_id(t, "</s>", 4), 2);
    assert_memory_equal(ech_tokenizer_token(t, 2, &bytes), "</s>", 4);
    ech_tokenizer_close(t);
    w = open_weights(ech_test_data("goldens/tiny/llama"));
    ech_weights_drop_vocab(w); /* has none */
    ech_weights_close(w);
}

static double sum_of(const struct ech_weights *w, const char *name, float *first)
{
    const struct ech_tensor *t = ech_weights_find(w, name);
    float *values = decode(w, name);
    double sum = 0;
    for (int64_t i = 0; i < t->elements; i++)
        sum += (double)values[i];
    *first = values[0];
    free(values);
    return sum;
}

struct known {
    const char *name;
    int64_t rows, cols; /* cols 0: a vector */
    double first, sum;
};

static void same_as_known(const struct ech_weights *w, const struct known *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ech_tensor *t = ech_weights_find(w, known[i].name);
        float first = 0;
        if (!t)
            fail_msg("no tensor %s", known[i].name);
        assert_int_equal(t->shape[0], known[i].rows);
        assert_int_equal(t->dims == 1 ? 0 : t->elements / t->shape[0], known[i].cols);
        double sum = sum_of(w, known[i].name, &first);
        if (!(fabs((double)first - known[i].first) <= 1e-6 * (1 + fabs(known[i].first))) ||
            !(fabs(sum - known[i].sum) <= 1e-4 * (1 + fabs(known[i].sum))))
            fail_msg("%s begins with %.9g and sums to %.9g, %.9g and %.9g were expected", known[i].name,
                     (double)first, sum, known[i].first, known[i].sum);
    }
}

#include "tests/unit/model/formats_known.h"

static void ct2_translation(void **state)
{
    (void)state;
    struct ech_weights *w = open_weights(ech_test_data("models/ct2-aren"));
    const json_t *c = ech_weights_config(w);
    assert_string_equal(ech_weights_format(w), "ctranslate2");
    same_as_known(w, known_aren, sizeof known_aren / sizeof *known_aren);
    expect_int(c, "encoder_layers", 6);
    expect_int(c, "decoder_layers", 6);
    expect_int(c, "encoder_attention_heads", 8);
    expect_int(c, "d_model", 32);
    expect_int(c, "encoder_ffn_dim", 128);
    expect_int(c, "vocab_size", 51);
    expect_int(c, "decoder_vocab_size", 43);
    expect_int(c, "bos_token_id", 1);
    expect_int(c, "eos_token_id", 2);
    expect_int(c, "ech_position_first", 1);
    assert_true(json_is_true(json_object_get(c, "ech_normalize_before")));
    assert_true(json_is_false(json_object_get(c, "tie_word_embeddings")));
    ech_weights_close(w);
}

/* A model that ci/get-model fetches; the test skips where it has not been. */
static struct ech_weights *open_model(const char *name)
{
    char path[1024];
    const char *root = getenv("ECH_TEST_MODELS");
    snprintf(path, sizeof path, "%s/%s", root && *root ? root : "models", name);
    if (!ech_path_exists(path))
        ECH_SKIP("models", "%s is not there (ci/get-model %s)", path, name);
    return open_weights(path);
}

static void ct2_whisper(void **state)
{
    (void)state;
    struct ech_weights *w = open_model("whisper-base");
    const json_t *c = ech_weights_config(w);
    same_as_known(w, known_whisper, sizeof known_whisper / sizeof *known_whisper);
    assert_string_equal(json_string_value(json_object_get(c, "model_type")), "whisper");
    expect_int(c, "encoder_layers", 6);
    expect_int(c, "decoder_attention_heads", 8);
    expect_int(c, "max_source_positions", 1500);
    expect_int(c, "max_target_positions", 448);
    assert_null(ech_weights_find(w, "model.encoder.layers.0.self_attn.k_proj.bias"));
    assert_non_null(ech_weights_find(w, "model.encoder.layers.0.self_attn.v_proj.bias"));
    assert_true(json_is_true(json_object_get(c, "tie_word_embeddings")));
    ech_weights_close(w);
}

static void marian_int8(void **state)
{
    (void)state;
    struct ech_weights *w = open_model("bergamot-enpt");
    const json_t *c = ech_weights_config(w);
    assert_string_equal(ech_weights_format(w), "marian");
    same_as_known(w, known_enpt, sizeof known_enpt / sizeof *known_enpt);
    const struct ech_tensor *q = ech_weights_find(w, "model.encoder.layers.0.self_attn.q_proj.weight");
    assert_int_equal(q->dtype, ECH_ST_I8);
    assert_int_equal(q->scale_count, 1);
    assert_true(ech_tensor_in_place(q));
    assert_true(fabsf(ech_weights_find(w, "model.shared.weight")->input_scale - 8.778423f) < 1e-5f);
    assert_true(q->input_scale ==
                ech_weights_find(w, "model.encoder.layers.0.self_attn.k_proj.weight")->input_scale);
    expect_int(c, "decoder_layers", 2);
    expect_int(c, "encoder_ffn_dim", 1536);
    assert_string_equal(json_string_value(json_object_get(c, "ech_decoder_cell")), "ssru");
    assert_string_equal(json_string_value(json_object_get(c, "ech_compute")), "int8");
    ech_weights_close(w);
}

static void gguf_real(void **state)
{
    (void)state;
    struct ech_weights *w = open_model("gemma-3-270m");
    const json_t *c = ech_weights_config(w);
    assert_string_equal(json_string_value(json_object_get(c, "model_type")), "gemma3_text");
    expect_int(c, "hidden_size", 640);
    expect_int(c, "num_hidden_layers", 18);
    expect_int(c, "head_dim", 256);
    expect_int(c, "num_key_value_heads", 1);
    expect_int(c, "sliding_window", 512);
    expect_int(c, "vocab_size", 262144);
    assert_true(json_is_true(json_object_get(c, "ech_norm_plus_one")));
    assert_true(json_is_true(json_object_get(c, "tie_word_embeddings")));
    assert_int_equal(ech_weights_vocab(w)->count, 262144);
    ech_weights_close(w);
}

/* base + alpha / r B A, on the tensors that the adapter names and on no others. */
static void adapter_of(const char *folder, const char *base, const char *tensor, const char *a, const char *b)
{
    char path[256], base_path[256];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *adapter = NULL;
    snprintf(path, sizeof path, "goldens/tiny/%s", folder);
    snprintf(base_path, sizeof base_path, "goldens/tiny/%s", base);
    struct ech_weights *merged = open_weights(ech_test_data(path)),
                       *plain = open_weights(ech_test_data(base_path));
    snprintf(path, sizeof path, "goldens/tiny/%s/adapter_model.safetensors", folder);
    must(ech_weights_open(ech_test_data(path), &adapter, &err), &err);
    const struct ech_tensor *t = ech_weights_find(merged, tensor), *down = ech_weights_find(adapter, a);
    assert_non_null(t);
    assert_false(ech_tensor_in_place(t));
    float *got = decode(merged, tensor), *old = decode(plain, tensor), *fa = decode(adapter, a),
          *fb = decode(adapter, b);
    int64_t rank = down->shape[0], in = down->shape[1], moved = 0;
    for (int64_t i = 0; i < t->elements; i++) {
        double sum = 0;
        for (int64_t r = 0; r < rank; r++)
            sum += (double)fb[i / in * rank + r] * (double)fa[r * in + i % in];
        assert_true(fabs((double)got[i] - (double)old[i] - 2 * sum) < 1e-6); /* alpha 8, rank 4 */
        moved += got[i] != old[i];
    }
    assert_true(moved > t->elements / 2);
    for (int64_t i = 0, touched = 0; i < ech_weights_count(merged); i++) {
        touched += ech_weights_at(merged, i)->delta != NULL;
        if (i + 1 == ech_weights_count(merged))
            assert_int_equal(touched, 4);
    }
    free(got), free(old), free(fa), free(fb);
    ech_weights_close(adapter);
    ech_weights_close(merged);
    ech_weights_close(plain);
}

static void adapters(void **state)
{
    (void)state;
    adapter_of("lora_llama", "llama", "model.layers.1.self_attn.v_proj.weight",
               "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight",
               "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight");
    adapter_of("lora_bert", "bert", "encoder.layer.0.attention.self.query.weight",
               "base_model.model.encoder.layer.0.attention.self.query.lora_A.weight",
               "base_model.model.encoder.layer.0.attention.self.query.lora_B.weight");
}

/* The adapter over the GGUF of its base is, row by row in the file's order, the adapter over the folder. */
static void adapter_over_gguf(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char base[4096];
    struct ech_weights *gguf = NULL, *hf = open_weights(ech_test_data("goldens/tiny/lora_llama"));
    snprintf(base, sizeof base, "%s", ech_test_data("goldens/tiny/gguf/llama-f32.gguf"));
    must(ech_weights_open_adapted(base, ech_test_data("goldens/tiny/lora_llama"), &gguf, &err), &err);
    const char *name = "model.layers.0.self_attn.q_proj.weight";
    float *a = decode(hf, name), *b = decode(gguf, name);
    for (int64_t k = 0; k < 64 * 64; k++) {
        int64_t row = k / 64, in = row % 16, from = row - in + in % 2 * 8 + in / 2;
        assert_true(fabsf(b[k] - a[from * 64 + k % 64]) < 1e-6f);
    }
    free(a);
    free(b);
    ech_weights_close(gguf);
    ech_weights_close(hf);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gguf_types),        cmocka_unit_test(gguf_llama),      cmocka_unit_test(gguf_vocab),
    cmocka_unit_test(dropped_vocab),     cmocka_unit_test(ct2_translation), cmocka_unit_test(ct2_whisper),
    cmocka_unit_test(marian_int8),       cmocka_unit_test(gguf_real),       cmocka_unit_test(adapters),
    cmocka_unit_test(adapter_over_gguf),
};
ECH_TEST_MAIN(tests)
