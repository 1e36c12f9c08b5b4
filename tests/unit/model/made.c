/* Small model files of our own making (tests/fuzz/make_models.py): whole ones under Hugging Face's names, and
 * lies, each refused by name and place. */
#include "tests/unit/model/fixture.h"

#include "model/weights.h"

static const char *made(const char *name)
{
    static char path[1024];
    const char *source = getenv("ECH_SOURCE");
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", source ? source : ".", name);
    return path;
}

static const struct {
    const char *file, *says;
} lies[] = {
    {"gguf/version1", "is GGUF version 1, versions 2 and 3 are supported"},
    {"gguf/big_endian", "big-endian"},
    {"gguf/alignment3", "general.alignment is 3, a power of two"},
    {"gguf/truncated", "is truncated: tensor blk.0.ffn_down.weight takes 256 bytes"},
    {"gguf/twice", "tensor token_embd.weight is there twice"},
    {"gguf/key_twice", "the key general.architecture is there twice"},
    {"gguf/many", "is truncated"},
    {"gguf/deep", "the value of x at byte"},
    {"gguf/unknown_type", "tensor token_embd.weight has the unknown type 77"},
    {"gguf/old_type", "is stored as IQ2_XXS, which is not supported"},
    {"gguf/huge", "the shape of tensor token_embd.weight is too large"},
    {"gguf/half_block", "are 33 elements, not whole blocks of 32 (Q8_0)"},
    {"gguf/no_name", "is empty, too long or holds a NUL"},
    {"gguf/other", "tensor blk.0.unheard_of.weight is none that a llama model is known to have"},
    {"gguf/layered", "llama.attention.head_count_kv differs from layer to layer"},
    {"gguf/scores", "tokenizer.ggml.scores is not a list of one number for each of the 4 tokens"},
    {"ct2/version7", "is version 7 of CTranslate2's format, 2 to 6 are supported"},
    {"ct2/unknown_spec", "the specification OtherSpec of CTranslate2 is not supported"},
    {"ct2/unknown_variable", "the variable encoder/unheard_of of a TransformerSpec is not supported"},
    {"ct2/twice", "is there twice"},
    {"ct2/alias_of_none", "alias a is of b, which is not there"},
    {"ct2/truncated", "is truncated"},
    {"ct2/behind", "the last variable ends at byte"},
    {"ct2/many", "a variable's name at byte"},
    {"ct2/odd_rows", "has no rows for 3 equal parts"},
    {"ct2/bad_scale", "encoder/embeddings_0/weight_scale is no f32 a row of its 4 (F32, 3 values)"},
    {"marian/many", "is truncated: the list of items at byte 16"},
    {"marian/truncated", "is truncated: special:model.yml"},
    {"marian/behind", "the last item ends at byte"},
    {"marian/twice", "the item Wemb is there twice"},
    {"marian/other_type", "item Wemb has the type 0x1404"},
    {"marian/no_settings", "has no text special:model.yml"},
    {"marian/pre_norm", "says transformer-preprocess: \"n\", which is not supported"},
    {"marian/missing", "has no item encoder_l1_ffn_W2"},
    {"marian/extra", "the item unheard_of is not supported"},
    {"marian/negative", "item Wemb has a dimension of -1"},
    {"marian/short_data", "item Wemb has 16 bytes, its shape takes 64"},
    {"marian/no_multiplier", "item Wemb has 4 bytes, its shape takes 8"},
    {"npz/fortran", "a has no shape in C order"},
    {"npz/double", "a has a type other than <f4"},
    {"npz/short", "a has 16 bytes of values, its shape takes 36"},
    {"npz/no_end", "it has no end record"},
    {"npz/wrong_crc", "member a has checksum"},
    {"npz/wrong_size", "member a does not inflate to the 4000 bytes stated"},
    {"npz/bomb", "member a cannot inflate from"},
    {"npz/method", "member a is packed by method 9"},
    {"npz/one", "has no text special:model.yml"},
};

static void hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_weights *w = NULL;
        expect(ech_weights_open(made(lies[i].file), &w, &err), ECH_DATA, &err, lies[i].says);
        if (!strstr(err.text, lies[i].file))
            fail_msg("\"%s\" does not name the file", err.text);
    }
}

/* Of every prefix none opens, and none harms. */
static void prefixes(void **state)
{
    (void)state;
    static const char *const files[] = {"gguf/llama", "ct2/int8", "marian/ssru_int8", "npz/deflated"};
    for (size_t i = 0; i < 4; i++) {
        struct ech_err err = ECH_ERR_NONE;
        char *data;
        size_t bytes;
        must(ech_read_file(made(files[i]), 1 << 20, &data, &bytes, &err), &err);
        for (size_t cut = 1; cut < bytes; cut += bytes / 150 + 1) {
            struct ech_weights *w = NULL;
            ech_err_clear(&err);
            put_file("cut", data, cut);
            assert_int_equal(ech_weights_open("cut", &w, &err), ECH_DATA);
            assert_true(err.text[0]);
        }
        ech_free(data);
    }
}

static struct ech_weights *open_made(const char *name)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w = NULL;
    must(ech_weights_open(made(name), &w, &err), &err);
    return w;
}

static float value(const struct ech_weights *w, const char *name, int64_t i)
{
    struct ech_err err = ECH_ERR_NONE;
    float out;
    const struct ech_tensor *t = ech_weights_find(w, name);
    if (!t)
        fail_msg("no tensor %s", name);
    assert_true(i < t->elements);
    must(ech_tensor_to_f32(t, i, 1, &out, &err), &err);
    return out;
}

static void is_text(const struct ech_weights *w, const char *key, const char *want)
{
    const char *found = json_string_value(json_object_get(ech_weights_config(w), key));
    if (!found || strcmp(found, want) != 0)
        fail_msg("%s is %s, %s was expected", key, found ? found : "(none)", want);
}

static float made_value(int64_t i)
{
    return (float)(i % 7 - 3) * 0.125f;
}

static void gguf_names(void **state)
{
    (void)state;
    struct ech_weights *w = open_made("gguf/mixtral");
    is_text(w, "model_type", "mixtral");
    assert_int_equal(ech_weights_count(w), 8 + 1 + 3 * 2);
    /* expert 1 is the second half of its stack */
    assert_true(value(w, "model.layers.0.block_sparse_moe.experts.1.w2.weight", 5) == made_value(64 + 5));
    assert_true(value(w, "model.layers.0.block_sparse_moe.gate.weight", 0) == made_value(0));
    ech_weights_close(w);
    w = open_made("gguf/phi2");
    is_text(w, "model_type", "phi");
    assert_true(value(w, "model.layers.0.self_attn.k_proj.weight", 3) == made_value(64 + 3));
    assert_true(value(w, "model.layers.0.self_attn.v_proj.bias", 1) == made_value(12 + 1));
    ech_weights_close(w);
    w = open_made("gguf/gemma3");
    is_text(w, "model_type", "gemma3_text");
    is_text(w, "chat_template", "{{ x }}");
    assert_true(json_is_true(json_object_get(ech_weights_config(w), "ech_norm_plus_one")));
    const json_t *scaling = json_object_get(ech_weights_config(w), "rope_scaling");
    assert_string_equal(json_string_value(json_object_get(scaling, "rope_type")), "linear");
    assert_non_null(ech_weights_find(w, "model.layers.0.pre_feedforward_layernorm.weight"));
    ech_weights_close(w);
    w = open_made("gguf/factors");
    scaling = json_object_get(ech_weights_config(w), "rope_scaling");
    assert_string_equal(json_string_value(json_object_get(scaling, "rope_type")), "factors");
    assert_int_equal(json_array_size(json_object_get(scaling, "factors")), 2);
    assert_null(ech_weights_find(w, "rope_freqs.weight"));
    ech_weights_close(w);
    ech_weights_close(open_made("gguf/version2"));
    ech_weights_close(open_made("gguf/alignment64"));
    ech_weights_close(open_made("gguf/no_tensors"));
}

/* A GGUF in parts, named in any way that leads to the first. */
static void gguf_parts(void **state)
{
    (void)state;
    static const char *const names[] = {"p/x-00001-of-00002.gguf", "p/x-00002-of-00002.gguf"};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w = NULL;
    for (int i = 0; i < 2; i++) {
        char *data, from[64];
        size_t bytes;
        snprintf(from, sizeof from, "gguf/part%d", i + 1);
        must(ech_read_file(made(from), 1 << 20, &data, &bytes, &err), &err);
        put_file(names[i], data, bytes);
        ech_free(data);
    }
    must(ech_weights_open("p", &w, &err), &err);
    assert_int_equal(ech_weights_count(w), 11);
    assert_string_equal(ech_weights_files(w)[1], "x-00002-of-00002.gguf");
    assert_string_equal(ech_weights_path(w, ech_weights_find(w, "model.layers.0.mlp.down_proj.weight")->file),
                        names[1]);
    ech_weights_close(w);
    expect(ech_weights_open(names[1], &w, &err), ECH_DATA, &err, "is part 2 of 2: name the first");
    must(ech_remove_all(names[1], &err), &err);
    ech_err_clear(&err);
    expect(ech_weights_open("p", &w, &err), ECH_NOINPUT, &err, "x-00002-of-00002.gguf");
}

static void ct2_scales(void **state)
{
    (void)state;
    struct ech_weights *w = open_made("ct2/int8");
    const struct ech_tensor *t = ech_weights_find(w, "model.encoder.embed_tokens.weight");
    assert_int_equal(t->dtype, ECH_ST_I8);
    assert_int_equal(t->scale_count, 4);
    assert_true(ech_tensor_scale(t, 2) == -50.0f);
    assert_true(value(w, t->name, 2 * 8 + 3) == (float)(int8_t)(19 * 7 % 256) / -50.0f);
    ech_weights_close(w);
    w = open_made("ct2/version2");
    assert_int_equal(json_integer_value(json_object_get(ech_weights_config(w), "encoder_attention_heads")),
                     8);
    ech_weights_close(w);
    ech_weights_close(open_made("ct2/version3"));
    ech_weights_close(open_made("ct2/whisper"));
    w = open_made("ct2/bert");
    is_text(w, "model_type", "bert");
    assert_true(value(w, "encoder.layer.0.attention.self.key.weight", 9) == made_value(64 + 9));
    ech_weights_close(w);
}

/* Binary and .npz, stored and deflated, say the same; weights are read (out, in). */
static void marian_kinds(void **state)
{
    (void)state;
    static const char *const files[] = {"marian/attention_f32", "npz/stored", "npz/deflated", "npz/comment"};
    for (int i = 0; i < 4; i++) {
        struct ech_weights *w = open_made(files[i]);
        const struct ech_tensor *t = ech_weights_find(w, "model.encoder.layers.0.fc1.weight");
        assert_int_equal(t->shape[0], 12);
        assert_int_equal(t->shape[1], 8);
        assert_false(ech_tensor_in_place(t));
        for (int64_t out = 0; out < 12; out++)
            for (int64_t in = 0; in < 8; in++)
                assert_true(value(w, t->name, out * 8 + in) == made_value(in * 12 + out));
        is_text(w, "ech_decoder_cell", "attention");
        assert_null(json_object_get(ech_weights_config(w), "ech_compute"));
        ech_weights_close(w);
    }
    struct ech_weights *w = open_made("marian/ssru_int8");
    const struct ech_tensor *t = ech_weights_find(w, "model.decoder.layers.0.rnn.w.weight");
    assert_true(ech_tensor_in_place(t));
    assert_true(t->input_scale == 8.5f);
    assert_true(ech_weights_find(w, "model.shared.weight")->input_scale == 9.5f);
    assert_true(ech_tensor_scale(t, 3) == 63.5f);
    is_text(w, "ech_compute", "int8");
    ech_weights_close(w);
}

/* What a path may be. */
static void paths(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_weights *w = NULL;
    expect(ech_weights_open("nowhere", &w, &err), ECH_NOINPUT, &err, "the model nowhere cannot be read");
    put_text("m/notes.txt", "hello there, this is no model of any kind at all");
    ech_err_clear(&err);
    expect(ech_weights_open("m", &w, &err), ECH_NOINPUT, &err, "neither model.safetensors nor");
    ech_err_clear(&err);
    expect(ech_weights_open("m/notes.txt", &w, &err), ECH_DATA, &err, "is no model file that is known");
    char *data;
    size_t bytes;
    ech_err_clear(&err);
    must(ech_read_file(made("gguf/llama"), 1 << 20, &data, &bytes, &err), &err);
    put_file("m/a model of mine", data, bytes); /* the name says nothing */
    must(ech_weights_open("m", &w, &err), &err);
    assert_string_equal(ech_weights_format(w), "gguf");
    assert_string_equal(ech_weights_folder(w), "m");
    assert_string_equal(ech_weights_files(w)[0], "a model of mine");
    assert_string_equal(ech_weights_config_path(w), "m/a model of mine");
    ech_weights_close(w);
    put_file("m/another", data, bytes);
    expect(ech_weights_open("m", &w, &err), ECH_DATA, &err, "m holds two models");
    ech_free(data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hostile),    cmocka_unit_test(prefixes),   cmocka_unit_test(gguf_names),
    cmocka_unit_test(gguf_parts), cmocka_unit_test(ct2_scales), cmocka_unit_test(marian_kinds),
    cmocka_unit_test(paths),
};
ECH_TEST_MAIN(tests)
