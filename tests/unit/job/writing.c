/* Kinds generate and score from end to end in one process, with the model that counts: prompts in every form,
 * rows that cannot be, and that what a text writes itself never becomes a token of the template. */
#include "tests/unit/job/fixture.h"
#include "tests/unit/model/writer.h"

#include "base/json.h"

#include <glob.h>

static const struct ech_column columns[] = {{.name = "text", .type = ECH_TEXT, .dtype = ECH_U8}};
static const char *const *rows; /* of the dataset that is made */

static void cell(int64_t row, int column, struct ech_str *out)
{
    (void)column;
    ech_str_adds(out, rows[row]);
}

static void put_rows(const char *const *texts, int64_t count)
{
    rows = texts;
    must(ech_remove_all("in", NULL), NULL);
    put_dataset("in", &(struct table){columns, 1, count, 4096, cell});
}

/* What the run's events say last. */
static int64_t tokens_done(void)
{
    static const char key[] = "\"tokens_done\":";
    struct ech_err err = ECH_ERR_NONE;
    glob_t found;
    char *text;
    size_t bytes;
    int64_t tokens = -1;
    assert_int_equal(glob("run/nodes/*/events-1-0.jsonl", 0, NULL, &found), 0);
    must(ech_read_file(found.gl_pathv[0], 1 << 20, &text, &bytes, &err), &err);
    for (const char *at = text; (at = strstr(at, key)); at++)
        tokens = strtoll(at + sizeof key - 1, NULL, 10);
    ech_free(text);
    globfree(&found);
    return tokens;
}

/* Runs a job over "in"; how many tokens were read and written. */
static int64_t run_job(const char *kind, const char *options)
{
    struct ech_err err = ECH_ERR_NONE;
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "kind: %s\nmodel: m\ninput: {dataset: in}\noutput: {dataset: out}\noptions: {%s}\n"
             "resources: {threads: 2}\nbalance: {probe: false, lease_rows: 2, lease_rows_max: 2}\n",
             kind, options);
    must(ech_remove_all("out", NULL), NULL);
    put_run(yaml);
    must(run_attempt(1, NULL, &err), &err);
    return tokens_done();
}

static void fails(const char *options, int code, const char *says)
{
    struct ech_err err = ECH_ERR_NONE;
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "kind: generate\nmodel: m\ninput: {dataset: in}\noutput: {dataset: out}\noptions: {%s}\n",
             options);
    must(ech_remove_all("out", NULL), NULL);
    put_run(yaml);
    expect(run_attempt(1, NULL, &err), code, &err, says);
    assert_false(ech_path_exists("out"));
}

/* A column of "out", row by row; `part`: a text that contains the wanted one will do. */
static void has(const char *name, const char *const *wanted, bool part)
{
    struct ech_dataset *ds = open_dataset("out");
    struct ech_cells cells = read_column(ds, name);
    for (int64_t i = 0; i < cells.rows; i++) {
        size_t bytes = (size_t)(cells.offsets[i + 1] - cells.offsets[i]), length = strlen(wanted[i]);
        const char *text = (const char *)cells.bytes + cells.offsets[i];
        bool good = part && length ? memmem(text, bytes, wanted[i], length) != NULL
                                   : bytes == length && memcmp(text, wanted[i], length) == 0;
        if (!good)
            fail_msg("%s of row %lld is \"%.*s\", \"%s\" was expected", name, (long long)i, (int)bytes, text,
                     wanted[i]);
    }
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
}

static void values(const char *name, const int64_t *wanted, int64_t count)
{
    struct ech_dataset *ds = open_dataset("out");
    struct ech_cells cells = read_column(ds, name);
    assert_int_equal(cells.offsets[cells.rows], (size_t)count * sizeof *wanted);
    assert_memory_equal(cells.bytes, wanted, (size_t)count * sizeof *wanted);
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__})

static void texts(void **state)
{
    (void)state;
    put_writer("m", false);
    put_rows(
        TEXTS("a", "say x", "u", "", "\xff", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
        6);
    assert_int_equal(run_job("generate", "max_tokens: 4, stop: [\"x\", \"z\"]"), 1 + 4 + 5 + 2 + 1 + 3);
    has("generated", TEXTS("bcde", "y", "vw", "", "", ""), false);
    has("finish", TEXTS("length", "stop", "stop", "", "", ""), false);
    has("errors",
        TEXTS("", "", "", "an empty prompt", "invalid UTF-8 at byte 1",
              "61 tokens, at most 60 leave room in options.context"),
        false);
    values("tokens", (const int64_t[]){4, 5, 6, 7, 27, 28, 24, 25, 26}, 9);
    has("log_probabilities", TEXTS("[]", "[]", "[]", "null", "null", "null"), false);
    run_job("generate", "max_tokens: 4, on_long: truncate, prefix: k");
    has("generated", TEXTS("bcde", "yz\u00e9", "vwxy", "lmno", "", "cdef"), false);
}

static void put_template(const char *text)
{
    struct ech_str s;
    ech_str_init(&s);
    ech_str_adds(&s, "{\"chat_template\":");
    ech_json_put_str(&s, text, strlen(text));
    ech_str_adds(&s, ",\"eos_token\":\"</s>\"}");
    put_text("m/tokenizer_config.json", s.data);
    ech_str_fini(&s);
}

/* The model knows none of ChatML's tokens: each byte of the template is one, "</s>" alone is a token, which a
 * text must not write. */
static void conversations(void **state)
{
    (void)state;
    static const char frame[] = "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n",
                      turn[] = "<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nb<|im_end|>\n",
                      said[] = "<|im_start|>system\nBe brief.<|im_end|>\n";
    const int64_t own = sizeof frame - 1;
    put_writer("m", false);
    put_text(
        "m/config.json",
        "{\"model_type\":\"llama\",\"hidden_act\":\"silu\",\"hidden_size\":128,\"intermediate_size\":8,"
        "\"num_hidden_layers\":1,\"num_attention_heads\":4,\"num_key_value_heads\":4,"
        "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,\"vocab_size\":101,"
        "\"tie_word_embeddings\":false,\"eos_token_id\":2}");
    put_template("{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}");
    put_rows(TEXTS("a", "</s>", "x\xff"), 3);
    assert_int_equal(run_job("generate", "max_tokens: 3"), own + 1 + 3 + own + 4 + 3);
    has("generated", TEXTS("!\"#", "!\"#", ""), false);
    has("errors", TEXTS("", "", "invalid UTF-8 at byte 2"), false);
    assert_int_equal(run_job("generate", "max_tokens: 3, system: Be brief., prefix: 'ab'"),
                     2 * ((int64_t)sizeof said - 1 + own + 2 + 3) + 1 + 4);
    put_rows(TEXTS("[{\"role\":\"user\",\"content\":\"a\"}]",
                   "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"yes\"},"
                   "{\"role\":\"user\",\"content\":\"b\"}]",
                   "[{\"role\":\"user\",\"content\":\"</s>\"}]", "nothing", "[1]", "[]"),
             6);
    assert_int_equal(run_job("generate", "max_tokens: 3, messages: true"),
                     3 * (own + 3) + 1 + 1 + (int64_t)sizeof turn - 1 + 4);
    has("errors",
        TEXTS("", "", "", "not JSON: line 1, column", "message 1: {role", "without a user's message"), true);
    /* The system's text in the last turn: "[INST]a[/INST]yes</s>[INST]</s>\n\nb[/INST]"; the template's own
     * "</s>" is one token, the text's four. */
    put_template("{% if loop.last and system_message %}{{ '[INST]' + s }}{% endif %}{{ c + '[/INST]' }}");
    put_rows(TEXTS("[{\"role\":\"system\",\"content\":\"</s>\"},{\"role\":\"user\",\"content\":\"a\"},"
                   "{\"role\":\"assistant\",\"content\":\"yes\"},{\"role\":\"user\",\"content\":\"b\"}]"),
             1);
    assert_int_equal(run_job("generate", "max_tokens: 3, messages: true"),
                     2 * 13 + 1 + 3 + 1 + 4 + 2 + 1 + 3);
    has("generated", TEXTS("^_`"), false);
    put_rows(TEXTS("a"), 1);
    run_job("generate", "max_tokens: 3, chat: none");
    has("generated", TEXTS("bcd"), false);
}

static void likelihoods(void **state)
{
    (void)state;
    put_writer("m", false);
    put_rows(TEXTS("abc", "", "a"), 3);
    assert_int_equal(run_job("score", "mode: text"), 3);
    values("tokens", (const int64_t[]){2, 0, 0}, 3);
    has("errors", TEXTS("", "nothing to score", "nothing to score"), true);
    put_rows(TEXTS("{\"prompt\":\"a\",\"choices\":[\"c\",\"b\",\"bd\"]}", "{\"prompt\":\"a\"}",
                   "{\"prompt\":\"a\",\"choices\":[3]}"),
             3);
    run_job("score", "mode: choice");
    values("choice", (const int64_t[]){1, 0, 0}, 3);
    has("errors", TEXTS("", "choices: [text, ...]", "choices: [text, ...]"), true);
    put_rows(TEXTS("{\"prompt\":\"ab\",\"completion\":\"cde\"}", "{\"prompt\":\"ab\"}"), 2);
    run_job("score", "mode: completion");
    values("tokens", (const int64_t[]){3, 0}, 2);
}

static void wrong(void **state)
{
    (void)state;
    put_writer("m", false);
    put_rows(TEXTS("a"), 1);
    fails("max_tokens: 64", ECH_CONFIG, "options.max_tokens is 64, the context holds 64 tokens");
    fails("messages: true, max_tokens: 3", ECH_CONFIG, "options.messages: the model has no chat template");
    fails("context: 100, max_tokens: 3", ECH_CONFIG, "context is 100, the model's positions end at 64");
    put_text("m/tokenizer_config.json", "[]");
    fails("max_tokens: 3", ECH_DATA, "tokenizer_config.json");
    must(ech_remove_all("m/tokenizer.json", NULL), NULL);
    fails("max_tokens: 3", ECH_NOINPUT, "m has no tokenizer");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(texts),
    cmocka_unit_test(conversations),
    cmocka_unit_test(likelihoods),
    cmocka_unit_test(wrong),
};
ECH_TEST_MAIN(tests)
