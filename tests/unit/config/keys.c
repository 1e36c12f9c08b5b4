/* Every key of the schema from every origin; precedence; nearest names; keys of later versions. */
#include "tests/unit/config/load.h"

#include "base/mem.h"
#include "config/precision.h"
#include "config/schema.h"
#include "config/value.h"

/* Two values of a field that differ from its default, as written and as printed. */
struct sample {
    char text[64], printed[96];
};

static struct sample sample(const struct ech_field *field, int which)
{
    struct sample s = {"", ""};
    switch (field->type) {
    case ECH_F_PATH:
        snprintf(s.text, sizeof s.text, "/data/x%d", which);
        break;
    case ECH_F_INT:
    case ECH_F_AUTO:
        snprintf(s.text, sizeof s.text, "%d", 40 + which);
        break;
    case ECH_F_TIME:
        snprintf(s.text, sizeof s.text, "0:%d", 40 + which);
        snprintf(s.printed, sizeof s.printed, "%ds", 40 + which);
        break;
    case ECH_F_BYTES:
        snprintf(s.text, sizeof s.text, "%d KiB", 40 + which);
        snprintf(s.printed, sizeof s.printed, "%dKiB", 40 + which);
        break;
    case ECH_F_BOOL:
        snprintf(s.text, sizeof s.text, "%s", which ? "yes" : "off");
        snprintf(s.printed, sizeof s.printed, "%s", which ? "true" : "false");
        break;
    case ECH_F_CHOICE:
        snprintf(s.text, sizeof s.text, "%s", field->choices[which && field->choices[1] ? 1 : 0]);
        break;
    case ECH_F_LIST:
        snprintf(s.text, sizeof s.text, "[col%d, colb]", which);
        break;
    default:
        snprintf(s.text, sizeof s.text, "word%d", which);
    }
    if (field->type == ECH_F_FLOAT)
        snprintf(s.text, sizeof s.text, "0.%d", 25 + which);
    if (strcmp(field->path, "input.template") == 0) {
        snprintf(s.text, sizeof s.text, "'{word%d}'", which);
        snprintf(s.printed, sizeof s.printed, "\"{word%d}\"", which);
    }
    if (strcmp(field->path, "kind") == 0)
        snprintf(s.text, sizeof s.text, "%s", which ? "retrieve" : "embed");
    if (!s.printed[0])
        memcpy(s.printed, s.text, sizeof s.text);
    return s;
}

static void check_printed(const struct ech_config *config, const char *path, const char *value,
                          const char *origin)
{
    char line[256];
    struct ech_str text;
    ech_str_init(&text);
    const char *dot = strchr(path, '.');
    assert_int_equal(ech_config_print(config, true, &text, NULL), ECH_OK);
    snprintf(line, sizeof line, "\n%s%s: %s  # %s\n", dot ? "  " : "", dot ? dot + 1 : path, value, origin);
    /* The same name may lie in two sections (input.dataset): look behind the section's line. */
    char head[64];
    snprintf(head, sizeof head, "\n%.*s:\n", dot ? (int)(dot - path) : 0, path);
    const char *from = dot ? strstr(text.data, head) : text.data;
    bool first = strncmp(text.data, line + 1, strlen(line + 1)) == 0;
    if (!from || !(strstr(from, line) || (!dot && first)))
        fail_msg("%s was expected in\n%s", line, text.data);
    ech_str_fini(&text);
}

/* The keys a job of this kind cannot be without, less the one under test; as --set. */
static const char *const *frame(const struct ech_kind *kind, const char *path, char (*room)[64])
{
    static const char *sets[8];
    bool retrieve = strcmp(kind->name, "retrieve") == 0, query = strcmp(path, "options.query") == 0;
    bool context = strcmp(path, "options.context") == 0 && strcmp(kind->name, "generate") == 0;
    const char *const all[][2] = {{"kind", kind->name},
                                  {"model.path", "/m"},
                                  {"output.dataset", "/o"},
                                  {"options.index", retrieve ? "/i" : NULL},
                                  {"options.max_tokens", context ? "8" : NULL},
                                  {"options.mode", strcmp(path, "options.by") == 0 ? "choice" : NULL},
                                  {"input.dataset", query ? NULL : "/in"}};
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        bool skip = !all[i][1] || strcmp(all[i][0], path) == 0;
        if (!skip && strcmp(path, "kind") != 0) {
            snprintf(room[n], 64, "%s=%s", all[i][0], all[i][1]);
            sets[n] = room[n];
            n++;
        }
    }
    sets[n] = NULL;
    return sets;
}

static void from_every_origin(const struct ech_kind *kind, const struct ech_field *field)
{
    char room[8][64], env[256], set[256], yaml[512], name[128], origin[64] = "job.yaml:2";
    const char *sets[10];
    const char *const *base = frame(kind, field->path, room);
    struct sample file = sample(field, 0), other = sample(field, 1);
    int n = 0;
    for (; base[n]; n++)
        sets[n] = base[n];
    sets[n] = sets[n + 1] = NULL;
    const char *dot = strchr(field->path, '.');
    if (dot)
        snprintf(yaml, sizeof yaml, "%.*s:\n  %s: %s\n", (int)(dot - field->path), field->path, dot + 1,
                 file.text);
    else
        snprintf(yaml, sizeof yaml, "# one\n%s: %s\n", field->path, file.text);
    assert_true(ech_schema_env_name(field->path, name, sizeof name));
    snprintf(env, sizeof env, "%s=%s", name, other.text);
    snprintf(set, sizeof set, "%s=%s", field->path, file.text);

    struct ech_config *config = load_good(yaml, sets, NULL);
    check_printed(config, field->path, file.printed, origin);
    ech_config_destroy(config);
    config = load_good(yaml, sets, WORDS("PATH=/bin", env));
    check_printed(config, field->path, other.printed, name);
    ech_config_destroy(config);
    sets[n] = set;
    config = load_good(yaml, sets, WORDS(env, "HOME=/"));
    check_printed(config, field->path, file.printed, "--set");
    ech_config_destroy(config);
}

static void every_key(void **state)
{
    (void)state;
    int keys = 0;
    for (const struct ech_kind *const *kind = ech_kinds(); *kind; kind++)
        for (int i = 0; i < ech_schema_count(*kind); i++) {
            const struct ech_field *field = ech_schema_at(*kind, i);
            if (strcmp(field->path, "kind") == 0 || strcmp(field->path, "resources.time") == 0 ||
                strcmp(field->path, "resources.each") == 0 ||
                strcmp(field->path, "resources.ranks_per_worker") == 0 ||
                strncmp(field->path, "precision.", 10) == 0)
                continue; /* of their own below */
            from_every_origin(*kind, field);
            keys++;
        }
    assert_true(keys > 70);
}

static void ranks_per_worker(void **state)
{
    (void)state;
    struct ech_config *config = load_good(BASIC "resources: {ranks_per_worker: 3}\n", NULL, NULL);
    assert_int_equal(ech_config_job(config)->resources.ranks_per_worker, 3);
    check_printed(config, "resources.ranks_per_worker", "3", "job.yaml:5");
    ech_config_destroy(config);
    load_bad("kind: retrieve\nmodel: m\noptions: {index: i, query: q}\noutput: {dataset: b}\n"
             "resources: {ranks_per_worker: 2}\n",
             5, 13, "kind retrieve runs its model whole on each rank");
    load_bad(BASIC "resources: {ranks_per_worker: 2}\nbalance: {policy: equal}\n", 6, 11,
             "balanced by speed");
    load_bad(BASIC "resources: {ranks_per_worker: 0}\n", 5, 13, "resources.ranks_per_worker is");
}

static void kind_and_time(void **state)
{
    (void)state;
    const char *text = "kind: embed\nmodel: m\ninput: {dataset: a}\noutput: {dataset: b}\n";
    struct ech_config *config = load_good(text, WORDS("kind=retrieve", "options.index=i"), NULL);
    check_printed(config, "kind", "retrieve", "--set");
    ech_config_destroy(config);
    config = load_good(text, WORDS("options.index=i"), WORDS("ECHELON_KIND=retrieve"));
    check_printed(config, "kind", "retrieve", "ECHELON_KIND");
    ech_config_destroy(config);
    config = load_good(text, WORDS("resources.time=2:00"), WORDS("ECHELON_RESOURCES__TIME=90m"));
    check_printed(config, "resources.time", "120s", "--set");
    ech_config_destroy(config);
}

/* A row of the table that is not right would be found by a user first. */
static void table(void **state)
{
    (void)state;
    for (const struct ech_kind *const *kind = ech_kinds(); *kind; kind++)
        for (int i = 0; i < ech_schema_count(*kind); i++) {
            const struct ech_field *field = ech_schema_at(*kind, i);
            char name[160], path[160];
            assert_int_equal(ech_schema_find(*kind, field->path), i); /* no path twice */
            assert_true(field->doc && field->doc[0] && field->doc[strlen(field->doc) - 1] != '.');
            assert_true((field->type == ECH_F_CHOICE) == (field->choices != NULL));
            assert_false(field->required && field->fallback);
            assert_true(ech_schema_env_name(field->path, name, sizeof name));
            assert_true(ech_schema_env_path(name, path, sizeof path));
            assert_string_equal(path, field->path);
            const char *dot = strchr(field->path, '.');
            snprintf(path, sizeof path, "%.*s", dot ? (int)(dot - field->path) : 0, field->path);
            assert_true(!dot || ech_schema_is_section(path));
        }
    assert_null(ech_kind_find("nothing"));
}

static void sets_and_lists(void **state)
{
    (void)state;
    struct ech_config *config =
        load_good(BASIC,
                  WORDS("input.template={title}: {text} # 1", "output.keep=[a, \"b\", 'c']", "max_errors = 3",
                        "max_errors=4", "name='x'"),
                  NULL);
    const struct ech_job *job = ech_config_job(config);
    assert_string_equal(job->input.template_, "{title}: {text} # 1");
    assert_null(job->input.column);
    assert_int_equal(job->output.keep.count, 3);
    assert_string_equal(job->output.keep.items[1], "b");
    assert_null(job->output.keep.items[3]);
    assert_int_equal(job->max_errors, 4);
    assert_string_equal(job->name, "x");
    ech_config_destroy(config);
    /* One word is a list of one; null takes the file's value back. */
    config = load_good(BASIC "max_errors: 3\n", WORDS("output.keep=id", "max_errors=null"), NULL);
    job = ech_config_job(config);
    assert_int_equal(job->output.keep.count, 1);
    assert_string_equal(job->output.keep.items[0], "id");
    assert_int_equal(job->max_errors, 1000);
    ech_config_destroy(config);

    load_bad_from(
        BASIC, WORDS("resources.thread=2"), NULL, 0, 0,
        "--set resources.thread=2: unknown key \"resources.thread\": did you mean resources.threads?");
    load_bad_from(BASIC, WORDS("resources.threads=two"), NULL, 0, 0,
                  "--set resources.threads=two: resources.threads is \"two\", \"auto\" or an integer");
    load_bad_from(BASIC, WORDS("max_errors"), NULL, 0, 0, "--set max_errors: key=value was expected");
    load_bad_from(BASIC, WORDS("=1"), NULL, 0, 0, "--set =1: key=value was expected");
    load_bad_from(BASIC, WORDS("output.keep=[a, b"), NULL, 0, 0, "--set output.keep=[a, b: not valid YAML");
    load_bad_from(BASIC, WORDS("output.keep=[a, [b]]"), NULL, 0, 0, "item 2 of output.keep is a list");
    load_bad_from(BASIC, WORDS("name=[a]"), NULL, 0, 0,
                  "--set name=[a]: name is a list, a text was expected");
    load_bad_from(BASIC, WORDS("name=\xFF"), NULL, 0, 0, "not valid UTF-8");
    load_bad_from(BASIC, WORDS("input=x"), NULL, 0, 0,
                  "--set input=x: input is a section: set its keys by name");
    load_bad_from("kind: retrieve\noutput: {dataset: b}\noptions: {index: i, query: x}\nmodel: m\n",
                  WORDS("query=what"), NULL, 0, 0,
                  "--set query=what: unknown key \"query\": did you mean options.query?");
    load_bad_from(BASIC, WORDS("options.top_k=3"), NULL, 0, 0, "it is an option of kind retrieve");
}

static void environment(void **state)
{
    (void)state;
    load_bad_from(BASIC, NULL, WORDS("ECHELON_RESOURCES__THREAD=2"), 0, 0,
                  "ECHELON_RESOURCES__THREAD=2: unknown key \"resources.thread\": did you mean "
                  "ECHELON_RESOURCES__THREADS?");
    load_bad_from(BASIC, NULL, WORDS("ECHELON_XYZZY_PLUGH=2"), 0, 0, "unknown key \"xyzzy_plugh\"");
    load_bad_from(BASIC, NULL, WORDS("ECHELON_MAX_ERRORS=many"), 0, 0,
                  "ECHELON_MAX_ERRORS=many: max_errors is \"many\", an integer");
    ech_config_destroy(load_good(BASIC, NULL, WORDS("ECHELON_ROOT=/opt", "ECH_LOG=debug", "ECHELON=1")));
    /* A saved job looks at no environment. */
    struct ech_config *config = NULL;
    struct ech_config_request request = {
        .path = "job.yaml", .env = WORDS("ECHELON_MAX_ERRORS=5"), .saved = true};
    assert_int_equal(ech_config_load(&request, &config, NULL), ECH_OK);
    assert_int_equal(ech_config_job(config)->max_errors, 1000);
    ech_config_destroy(config);
}

static void unknown_and_later(void **state)
{
    (void)state;
    load_bad(BASIC "max_error: 3\n", 5, 1, "unknown key \"max_error\": did you mean max_errors?");
    load_bad(BASIC "threads: 3\n", 5, 1, "unknown key \"threads\": did you mean resources.threads?");
    load_bad(BASIC "resource: {threads: 3}\n", 5, 1, "unknown key \"resource\": did you mean resources?");
    load_bad(BASIC "resources.threads: 3\n", 5, 1, "write a map, resources: {threads: ...}");
    load_bad(BASIC "options: {nomalize: yes}\n", 5, 11,
             "unknown key \"options.nomalize\" of kind embed: did you mean options.normalize?");
    load_bad(BASIC "resources: 3\n", 5, 1, "resources is a value, a map of keys was expected");
    load_bad(BASIC "balance: {policy: adptive}\n", 5, 11,
             "balance.policy is \"adptive\", one of adaptive, equal was expected (did you mean adaptive?)");
    load_bad(
        "kind: embde\nmodel: m\n", 1, 1,
        "one of embed, retrieve, generate, translate, score, classify was expected (did you mean embed?)");
    load_bad("model: m\noutput: {dataset: b}\n", 1, 1, "kind is missing");
    load_bad("kind: embed\nmodel: m\ninput: {dataset: a}\noutput: {keep: []}\n", 4, 1,
             "output.dataset is missing");
    load_bad("kind: [embed]\noutput: {dataset: b}\n", 1, 1, "kind is a list, one of embed, retrieve");

    load_bad("steps:\n  - kind: embed\n", 1, 1, "--step NAME takes one of them");
    load_bad(BASIC "after: x\n", 5, 1, "after: it belongs to a step");
    load_bad(BASIC "cluster: c.yaml\n", 5, 1, "a cluster file is named on the command line: --cluster");
    load_bad("kind: embed\nmodel: {path: m, stage: disk}\ninput: {dataset: a}\noutput: {dataset: b}\n", 2, 18,
             "model.stage is \"disk\", one of none, broadcast, node was expected");
    load_bad("kind: embed\nmodel: [m]\ninput: {dataset: a}\noutput: {dataset: b}\n", 2, 1,
             "model is a list, a map of keys was expected");
    ech_config_destroy(load_good(
        BASIC "numerics: mixed\nresources: {each: [\"rank 1-2=avx2/bf16\", \"gpu*=cuda\"]}\n", NULL, NULL));
    load_bad(BASIC "resources: {each: [\"rank 1=avx2\"]}\n", 5, 13, "it needs numerics: mixed");
    load_bad(BASIC "numerics: mixed\nresources: {each: [\"rank 3-1=avx2\"]}\n", 6, 13,
             "rank N or rank N-M was expected");
    load_bad(BASIC "resources: {device: cuda, backend: avx2}\n", 5, 27, "leave one of them out");
    load_bad(BASIC "resources: {device: cpu, backend: cuda}\n", 5, 26, "leave one of them out");
    load_bad("kind: recommend\noutput: {dataset: b}\n", 1, 1, "kind recommend comes in a later version");
    load_bad_from(BASIC, WORDS("output.exists=append"), NULL, 0, 0,
                  "--set output.exists=append: exists append comes in");
}

static void precision_is(const char *text, const char *const *sets, int weights, int compute)
{
    struct ech_config *config = load_good(text, sets, NULL);
    assert_int_equal(ech_config_job(config)->precision.weights, weights);
    assert_int_equal(ech_config_job(config)->precision.compute, compute);
    ech_config_destroy(config);
}

/* One word sets both parts; a part alone brings the other along; a pair without kernels is refused. */
static void precision(void **state)
{
    (void)state;
    precision_is(BASIC, NULL, ECH_PRECISION_F32, ECH_PRECISION_F32);
    precision_is(BASIC "precision: bf16\n", NULL, ECH_PRECISION_BF16, ECH_PRECISION_BF16);
    precision_is(BASIC "precision: int4\n", NULL, ECH_PRECISION_INT4, ECH_PRECISION_INT8);
    precision_is(BASIC "precision: auto\n", NULL, ECH_PRECISION_F32, ECH_PRECISION_F32);
    precision_is(BASIC "precision: {weights: bf16}\n", NULL, ECH_PRECISION_BF16, ECH_PRECISION_F32);
    precision_is(BASIC "precision: {compute: bf16}\n", NULL, ECH_PRECISION_BF16, ECH_PRECISION_BF16);
    precision_is(BASIC "precision: {weights: int4}\n", NULL, ECH_PRECISION_INT4, ECH_PRECISION_INT8);
    precision_is(BASIC "precision: int8\n", WORDS("precision=bf16", "precision.compute=f32"),
                 ECH_PRECISION_BF16, ECH_PRECISION_F32);
    precision_is(BASIC "precision: int8\n", WORDS("precision=null"), ECH_PRECISION_F32, ECH_PRECISION_F32);
    load_bad(BASIC "precision: fp32\n", 5, 1,
             "precision is \"fp32\", one of auto, f32, bf16, f16, int8, int4 or a map of keys was expected");
    load_bad(BASIC "precision: {kv: bf16}\n", 5, 13, "precision.kv: kind embed keeps no keys and values");
    load_bad(BASIC "precision: [f32]\n", 5, 1, "precision is a list, a map of keys was expected");
    load_bad(BASIC "precision: {compute: int4}\n", 5, 13, "one of auto, f32, bf16, f16, int8 was expected");
    load_bad(
        BASIC "precision: {weights: f32, compute: int8}\n", 5, 27,
        "precision: weights f32 with compute int8 is no pair that kernels have: f32 with f32, bf16 with");
    load_bad_from(
        BASIC, WORDS("precision=bf61"), NULL, 0, 0,
        "--set precision=bf61: precision is \"bf61\", one of auto, f32, bf16, f16, int8, int4 or a key of "
        "it by name");
    load_bad_from(BASIC, WORDS("precision=[bf16]"), NULL, 0, 0,
                  "precision is a section: set its keys by name, section.key=value");
    load_bad_from(BASIC, WORDS("resources=4"), NULL, 0, 0, "resources is a section: set its keys by name");
    load_bad_from(BASIC, NULL, WORDS("ECHELON_RESOURCES=4"), 0, 0,
                  "resources is a section: set its keys by name, ECHELON_SECTION__KEY=value");
}

/* All errors of a file come at once, in the file's order; those of other origins behind them. */
static void every_error(void **state)
{
    (void)state;
    struct ech_config *config = NULL;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(load_from("kind: embed\nmodel: m\nmax_errors: x\ninput: {dataset: a, colum: b}\n"
                               "retries: -1\noutput: {dataset: b, exists: maybe}\n",
                               WORDS("nme=x"), WORDS("ECHELON_RETRY=3"), &config, &err),
                     ECH_CONFIG);
    static const char *const lines[] = {"max_errors is \"x\"",
                                        "\njob.yaml:4:21: unknown key \"input.colum\"",
                                        "\njob.yaml:5:1: retries is \"-1\"",
                                        "\njob.yaml:6:22: output.exists is \"maybe\"",
                                        "\nECHELON_RETRY=3: unknown key",
                                        "\n--set nme=x: unknown key \"nme\": did you mean name?"};
    assert_int_equal(err.line, 3);
    const char *from = err.text;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        from = strstr(from, lines[i]);
        if (!from)
            fail_msg("%s was expected in order in\n%s", lines[i], err.text);
    }
    char many[4096] = BASIC;
    for (int i = 0; i < 50; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "zz%d: 1\n", i);
    ech_err_clear(&err);
    assert_int_equal(load_from(many, NULL, NULL, &config, &err), ECH_CONFIG);
    assert_int_equal(err.line, 5);
    assert_non_null(strstr(err.text, "\njob.yaml:24:1: unknown key \"zz19\"\nand 30 more"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_key),         cmocka_unit_test(ranks_per_worker),
    cmocka_unit_test(kind_and_time),     cmocka_unit_test(table),
    cmocka_unit_test(sets_and_lists),    cmocka_unit_test(environment),
    cmocka_unit_test(unknown_and_later), cmocka_unit_test(every_error),
    cmocka_unit_test(precision),
};
ECH_TEST_MAIN(tests)
