/* runtime/model/spec, bind, sentence: what a folder says, and what is refused by name. */
#include "tests/unit/model/fixture.h"

#include "base/json.h"
#include "model/sentence.h"
#include "model/spec.h"

#include <math.h>

static int parse(const char *text, struct ech_spec *spec, struct ech_err *err)
{
    json_t *config;
    must(ech_json_parse("config.json", text, strlen(text), &config, err), err);
    int code = ech_spec_parse("config.json", config, spec, err);
    json_decref(config);
    return code;
}

static const struct {
    const char *config, *says;
} refused[] = {
    {"{}", "\"model_type\" is missing"},
    {"{\"model_type\":\"mamba\"}", "model_type \"mamba\" is not supported (known: bert, roberta"},
    {"{\"model_type\":\"bert\"}", "num_hidden_layers"},
    {CONFIG_TEXT(",\"is_decoder\":true"), "is_decoder"},
    {CONFIG_TEXT(",\"add_cross_attention\":true"), "add_cross_attention"},
    {CONFIG_TEXT(",\"hidden_act\":\"mish\""), "activation \"mish\""},
    {CONFIG_TEXT(",\"position_embedding_type\":\"relative_key\""), "relative_key"},
    {CONFIG_TEXT(",\"quantization_config\":{}"), "quantization_config"},
    {CONFIG_TEXT(",\"pruned_heads\":{\"0\":[1]}"), "pruned_heads"},
    {CONFIG_TEXT(",\"layer_norm_eps\":0"), "epsilon"},
    {CONFIG_TEXT(",\"layer_norm_eps\":\"small\""), "layer_norm_eps"},
    {"{\"model_type\":\"bert\",\"num_hidden_layers\":0}", "\"num_hidden_layers\" is 0"},
    {"{\"model_type\":\"bert\",\"num_hidden_layers\":1e3}", "num_hidden_layers"},
    {"{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":36,\"num_attention_heads\":5,"
     "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":48,\"type_vocab_size\":2}",
     "not a multiple of 5 heads"},
    {"{\"model_type\":\"roberta\",\"num_hidden_layers\":2,\"hidden_size\":36,\"num_attention_heads\":3,"
     "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":2,\"type_vocab_size\":1}",
     "pad_token_id 1 leaves no position of 2"},
    {"{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":268435455,\"num_attention_heads\":1,"
     "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":48,\"type_vocab_size\":2}",
     "beyond what any model has"},
};

static void configs(void **state)
{
    (void)state;
    struct ech_spec spec;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct ech_err err = ECH_ERR_NONE;
        expect(parse(refused[i].config, &spec, &err), ECH_DATA, &err, refused[i].says);
    }
    struct ech_err err = ECH_ERR_NONE;
    must(parse(CONFIG_TEXT(",\"hidden_act\":\"gelu_new\""), &spec, &err), &err);
    assert_int_equal(spec.act, ECH_ACT_GELU_TANH);
    assert_int_equal(spec.head_dim, 12);
    assert_int_equal(ech_spec_max_tokens(&spec), 48);
    /* 2 x (4 d d + 2 d f) a token and layer, 4 t t d for the attention */
    assert_true(ech_spec_flops(&spec, 10) == 2.0 * 10 * 2 * (4 * 36 * 36 + 2 * 36 * 70) + 4.0 * 100 * 36 * 2);
}

/* Buckets of T5's rule for 32 buckets and distance 128, as its authors' implementation gives them. */
static void buckets(void **state)
{
    (void)state;
    struct ech_spec spec = {.buckets = 32, .distance = 128};
    static const struct {
        int64_t gap, bucket;
    } known[] = {{0, 0},    {1, 1},   {7, 7},   {8, 8},    {11, 8},   {12, 9},   {16, 10},
                 {23, 11},  {32, 12}, {46, 13}, {64, 14},  {91, 15},  {127, 15}, {128, 15},
                 {500, 15}, {-1, 17}, {-8, 24}, {-64, 30}, {-500, 31}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(ech_spec_bucket(&spec, 600, 600 - known[i].gap), known[i].bucket);
}

/* Nomic BERT as its published files spell it is the model that the reference implementation writes. */
static void nomic(void **state)
{
    (void)state;
#define SAME "\"model_type\":\"nomic_bert\",\"vocab_size\":101,\"type_vocab_size\":2,"
#define PUBLISHED                                                                                            \
    SAME "\"n_embd\":768,\"n_head\":12,\"n_layer\":12,\"n_inner\":3072,\"n_positions\":8192,"                \
         "\"rotary_emb_fraction\":1.0,\"rotary_emb_base\":10000,\"rotary_emb_interleaved\":false,"           \
         "\"rotary_emb_scale_base\":null,\"rotary_scaling_factor\":null,\"layer_norm_epsilon\":1e-6,"        \
         "\"activation_function\":\"swiglu\",\"prenorm\":false,\"qkv_proj_bias\":false,\"causal\":false"
    struct ech_spec want, got;
    struct ech_err err = ECH_ERR_NONE;
    must(parse("{" SAME "\"hidden_size\":768,\"num_attention_heads\":12,\"num_hidden_layers\":12,"
               "\"intermediate_size\":3072,\"max_position_embeddings\":8192,\"hidden_act\":\"silu\","
               "\"layer_norm_eps\":1e-6,\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":"
               "\"default\"}}",
               &want, &err),
         &err);
    must(parse("{" PUBLISHED "}", &got, &err), &err);
    assert_memory_equal(&got, &want, sizeof got);
    assert_true(got.ropes[0].dim == 64 && got.gated && got.norm_eps == 1e-6f);
    static const struct {
        const char *config, *says;
    } bad[] = {{"{" PUBLISHED ",\"use_rms_norm\":true}", "use_rms_norm"},
               {"{" PUBLISHED ",\"parallel_block\":true}", "parallel_block"},
               {"{" PUBLISHED ",\"num_experts\":8}", "\"num_experts\": 8 is not supported"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ech_err_clear(&err);
        expect(parse(bad[i].config, &got, &err), ECH_DATA, &err, bad[i].says);
    }
}

#define DEBERTA(more)                                                                                        \
    "{\"model_type\":\"deberta-v2\",\"num_hidden_layers\":2,\"hidden_size\":36,\"num_attention_heads\":3,"   \
    "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":512,\"type_vocab_size\":0,"      \
    "\"position_biased_input\":false,\"relative_attention\":true,\"share_att_key\":true" more "}"

/* Rows of the table for 256 buckets over 512 positions, as the reference implementation gives them. */
static void deberta(void **state)
{
    (void)state;
    static const struct {
        int64_t gap, row;
    } known[] = {{0, 256},   {1, 257},   {127, 383},  {128, 384},  {129, 385}, {130, 386},
                 {150, 399}, {200, 425}, {256, 448},  {300, 463},  {400, 489}, {510, 511},
                 {511, 511}, {-1, 255},  {-128, 128}, {-129, 127}, {-256, 64}, {-511, 1}};
    static const struct {
        const char *config, *says;
    } bad[] = {
        {DEBERTA(",\"pos_att_type\":\"p2p\""), "pos_att_type \"p2p\""},
        {DEBERTA(",\"pos_att_type\":[\"c2p\",7]"), "pos_att_type"},
        {DEBERTA(",\"pos_att_type\":[\"c2p\"],\"norm_rel_ebd\":\"rms\""), "norm_rel_ebd \"rms\""},
        {DEBERTA(",\"conv_kernel_size\":3"), "\"conv_kernel_size\": 3 is not supported"},
        {DEBERTA(",\"embedding_size\":20"), "embedding_size"},
        {DEBERTA(",\"pos_att_type\":\"c2p|p2c\",\"position_buckets\":256,\"max_relative_positions\":8"),
         "256 position_buckets over 8 positions"},
        {DEBERTA(",\"pos_att_type\":[\"c2p\"],\"position_buckets\":1"), "1 position_buckets over 512"}};
    struct ech_spec spec;
    struct ech_err err = ECH_ERR_NONE;
    must(
        parse(DEBERTA(",\"pos_att_type\":\"p2c|c2p\",\"position_buckets\":256,\"max_relative_positions\":-1"),
              &spec, &err),
        &err);
    assert_true(spec.disentangled && spec.content_to_position && spec.position_to_content);
    assert_true(fabsf(spec.attention_scale - 1 / 6.0f) < 1e-7f);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(ech_spec_relative(&spec, known[i].gap), known[i].row);
    must(parse(DEBERTA(",\"pos_att_type\":[\"c2p\"],\"max_relative_positions\":9"), &spec, &err), &err);
    assert_true(spec.content_to_position && !spec.position_to_content && spec.relative == 9);
    assert_int_equal(ech_spec_relative(&spec, -9), 0);
    assert_int_equal(ech_spec_relative(&spec, -30), 0);
    assert_int_equal(ech_spec_relative(&spec, 0), 9);
    assert_int_equal(ech_spec_relative(&spec, 30), 17);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ech_err_clear(&err);
        expect(parse(bad[i].config, &spec, &err), ECH_DATA, &err, bad[i].says);
    }
}

static int bind(const char *config, struct ech_spec *spec, struct ech_err *err)
{
    struct ech_weights *w;
    struct ech_bound bound;
    must(parse(config, spec, err), err);
    must(ech_weights_open(".", &w, err), err);
    int code = ech_spec_bind(spec, w, &bound, err);
    if (code == ECH_OK) {
        assert_non_null(ech_bound_at(&bound, ECH_T_NORM2_B, 1));
        assert_null(ech_bound_at(&bound, ECH_T_RELATIVE, 0));
        ech_bound_fini(&bound);
    }
    ech_weights_close(w);
    return code;
}

static void binding(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"", "bert.", "0.auto_model.", "some.other.place."};
    struct ech_spec spec;
    struct ech_err err = ECH_ERR_NONE;
    for (int i = 0; i < 4; i++) {
        put_weights("model.safetensors", prefixes[i]);
        must(bind(CONFIG_TEXT(""), &spec, &err), &err);
        assert_string_equal(spec.prefix, prefixes[i]);
    }
    expect(
        bind("{\"model_type\":\"bert\",\"num_hidden_layers\":3,\"hidden_size\":36,\"num_attention_heads\":3,"
             "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":48,\"type_vocab_size\":"
             "2}",
             &spec, &err),
        ECH_DATA, &err,
        "model.safetensors has no tensor some.other.place.encoder.layer.2.attention.self.query.weight");
    ech_err_clear(&err);
    expect(
        bind("{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":36,\"num_attention_heads\":3,"
             "\"intermediate_size\":72,\"vocab_size\":80,\"max_position_embeddings\":48,\"type_vocab_size\":"
             "2}",
             &spec, &err),
        ECH_DATA, &err, "has shape [70, 36], [72, 36] was expected");
    ech_err_clear(&err);
    expect(
        bind("{\"model_type\":\"mpnet\",\"num_hidden_layers\":2,\"hidden_size\":36,\"num_attention_heads\":3,"
             "\"intermediate_size\":70,\"vocab_size\":80,\"max_position_embeddings\":48}",
             &spec, &err),
        ECH_DATA, &err, "no tensor some.other.place.encoder.relative_attention_bias.weight");
}

/* Checkpoints of 2018 call a norm's vectors gamma and beta; a file with two models is ambiguous. */
static void odd_names(void **state)
{
    (void)state;
    struct ech_spec spec;
    struct ech_err err = ECH_ERR_NONE;
    char *data;
    size_t bytes;
    put_weights("model.safetensors", "");
    must(ech_read_file("model.safetensors", 1 << 24, &data, &bytes, &err), &err);
    char *header = data + 8; /* equal length: "LayerNorm.weight" -> "LayerNorm.gamma\"" would shift */
    for (char *p = header; (p = strstr(p, "embeddings.LayerNorm.weight\":")); p++)
        memcpy(p, "embeddings.LayerNorm.gamma\" :", 29);
    put_file("model.safetensors", data, bytes);
    ech_free(data);
    must(bind(CONFIG_TEXT(""), &spec, &err), &err);
    struct weights w = {.seed = 1};
    ech_str_init(&w.header);
    ech_str_init(&w.data);
    add_tensor(&w, "a.embeddings.word_embeddings.weight", VOCAB, HIDDEN);
    add_tensor(&w, "b.embeddings.word_embeddings.weight", VOCAB, HIDDEN);
    write_weights(&w, "model.safetensors");
    expect(bind(CONFIG_TEXT(""), &spec, &err), ECH_DATA, &err, "two models");
}

static void refuse_sentence(const char *file, const char *text, const char *prompt, int code,
                            const char *says)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sentence s = {0};
    put_model(".");
    if (file)
        put_text(file, text);
    expect(ech_sentence_read(".", prompt, &s, &err), code, &err, says);
    assert_null(s.folder);
}

static void sentence_wrong(void **state)
{
    (void)state;
    static const char pooling[] = "1_Pooling/config.json", modules[] = "modules.json";
    refuse_sentence(modules, "{}", NULL, ECH_DATA, "not a list");
    refuse_sentence(modules, "[{\"type\":\"m.Transformer\"},{\"type\":\"m.Dense\",\"path\":\"2_Dense\"}]",
                    NULL, ECH_DATA, "module \"m.Dense\" is not supported");
    refuse_sentence(modules, "[{\"type\":\"m.Transformer\"}]", NULL, ECH_DATA, "Transformer and Pooling");
    refuse_sentence(modules, "[{\"type\":\"m.Pooling\"}]", NULL, ECH_DATA, "not supported at its place");
    refuse_sentence(modules, "[{\"type\":\"m.Transformer\",\"path\":\"../x\"}]", NULL, ECH_DATA,
                    "leaves the model");
    refuse_sentence(modules, "[{\"type\":\"m.Transformer\"},{\"type\":\"m.Pooling\",\"path\":\"none\"}]",
                    NULL, ECH_NOINPUT, "none/config.json is not there");
    refuse_sentence(pooling, "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}", NULL,
                    ECH_DATA, "several poolings at once (cls and mean)");
    refuse_sentence(pooling, "{\"pooling_mode_lasttoken\":true}", NULL, ECH_DATA, "pooling lasttoken");
    refuse_sentence(pooling, "{\"pooling_mode\":\"weightedmean\"}", NULL, ECH_DATA, "pooling weightedmean");
    refuse_sentence(pooling, "{\"pooling_mode\":\"median\"}", NULL, ECH_DATA, "unknown pooling median");
    refuse_sentence(pooling, "{}", NULL, ECH_DATA, "no pooling is chosen");
    refuse_sentence(pooling, "{\"pooling_mode_mean_tokens\":true,\"include_prompt\":false}", "query",
                    ECH_DATA, "include_prompt");
    refuse_sentence("sentence_bert_config.json", "{\"max_seq_length\":0}", NULL, ECH_DATA, "max_seq_length");
    refuse_sentence(NULL, NULL, "qeury", ECH_CONFIG, "did you mean \"query\"");
    refuse_sentence("config_sentence_transformers.json", "{}", "query", ECH_CONFIG, "names none");
    refuse_sentence("config_sentence_transformers.json", "{\"default_prompt_name\":\"x\"}", NULL, ECH_CONFIG,
                    "no prompt \"x\"");
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sentence s;
    expect(ech_sentence_read("nowhere", NULL, &s, &err), ECH_NOINPUT, &err, "nowhere is not there");
    ech_err_clear(&err);
    expect(ech_sentence_read("config.json", NULL, &s, &err), ECH_DATA, &err, "is a file");
}

static void sentence_right(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sentence s;
    put_model("m");
    must(ech_sentence_read("m", "query", &s, &err), &err);
    assert_true(s.normalize && s.pooling == ECH_POOL_MEAN && s.max_tokens == 24 && s.dim == 36);
    assert_string_equal(s.prompt, "hello ");
    ech_sentence_fini(&s);
    must(ech_sentence_read("m", "document", &s, &err), &err);
    assert_null(s.prompt);
    ech_sentence_fini(&s);
    put_text("m/1_Pooling/config.json", "{\"embedding_dimension\":36,\"pooling_mode\":\"max\"}");
    put_text("m/config_sentence_transformers.json",
             "{\"prompts\":{\"query\":\"hello \"},\"default_prompt_name\":\"query\"}");
    put_text("m/sentence_bert_config.json", "{\"max_seq_length\":null,\"do_lower_case\":true}");
    put_text("m/tokenizer_config.json", "{\"model_max_length\":40}");
    must(ech_sentence_read("m", NULL, &s, &err), &err);
    assert_true(s.pooling == ECH_POOL_MAX && s.lower && s.max_tokens == 40);
    assert_string_equal(s.prompt, "hello ");
    ech_sentence_fini(&s);
    put_text("plain/config.json", "{}");
    must(ech_sentence_read("plain", NULL, &s, &err), &err);
    assert_true(s.pooling == ECH_POOL_MEAN && !s.normalize && s.max_tokens == 0 && !s.prompt);
    ech_sentence_fini(&s);
    put_text("old/modules.json", "[{\"type\":\"m.Transformer\",\"path\":\"0_Transformer\"},"
                                 "{\"type\":\"m.Pooling\",\"path\":\"1_Pooling\"}]");
    put_text("old/1_Pooling/config.json", "{\"pooling_mode_cls_token\":true}");
    put_text("old/0_Transformer/sentence_bert_config.json", "{\"max_seq_length\":30}");
    must(ech_sentence_read("old", NULL, &s, &err), &err);
    assert_string_equal(s.folder, "old/0_Transformer");
    assert_true(s.pooling == ECH_POOL_CLS && s.max_tokens == 30 && !s.normalize);
    ech_sentence_fini(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(configs),        cmocka_unit_test(buckets),        cmocka_unit_test(binding),
    cmocka_unit_test(odd_names),      cmocka_unit_test(nomic),          cmocka_unit_test(deberta),
    cmocka_unit_test(sentence_wrong), cmocka_unit_test(sentence_right),
};
ECH_TEST_MAIN(tests)
