/* A whole attempt with its n-th allocation, open, read, write, sync or rename failing, for n = 1, 2, ...
 * until one passes untouched: a clear error and no wrong dataset; the next attempt ends with the bytes of an
 * undisturbed run. Counted are all threads: main, the feeder, the spooler, the engine's lanes. */
#include "tests/unit/job/fixture.h"
#include "tests/unit/model/writer.h"

#include "base/fault.h"
#include "data/verify.h"

#include <glob.h>

enum { ROWS = 24 };

/* No power is lost here, and thousands of syncs would be most of the time. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

static const char embed_text[] = "kind: embed\n"
                                 "model: m\n"
                                 "input: {dataset: in, column: text}\n"
                                 "output: {dataset: out, keep: [id]}\n"
                                 "resources: {threads: 2}\n"
                                 "balance: {lease_rows: 6, lease_rows_max: 6, probe: false}\n";

static const char retrieve_text[] = "kind: retrieve\n"
                                    "model: m\n"
                                    "input: {dataset: in, column: text}\n"
                                    "output: {dataset: out}\n"
                                    "options: {index: index, top_k: 3, join: [id]}\n"
                                    "resources: {threads: 2}\n"
                                    "balance: {lease_rows: 6, lease_rows_max: 6, probe: false}\n";
/* Pairs of a text and itself, labelled; the tokens of texts. */
static const char pairs_text[] = "kind: classify\n"
                                 "model: m\n"
                                 "input: {dataset: in, column: text}\n"
                                 "output: {dataset: out}\n"
                                 "options: {pair: text}\n"
                                 "resources: {threads: 2}\n"
                                 "balance: {lease_rows: 6, lease_rows_max: 6, probe: false}\n";

static const char tokens_text[] = "kind: classify\n"
                                  "model: m\n"
                                  "input: {dataset: in, column: text}\n"
                                  "output: {dataset: out}\n"
                                  "resources: {threads: 2}\n"
                                  "balance: {lease_rows: 6, lease_rows_max: 6, probe: false}\n";

static const char generate_text[] =
    "kind: generate\n"
    "model: w\n"
    "input: {dataset: in, column: text}\n"
    "output: {dataset: out, keep: [id]}\n"
    "options: {max_tokens: 4, stop: [fg], log_probabilities: true, chat: mistral}\n"
    "resources: {threads: 2}\n"
    "balance: {lease_rows: 6, lease_rows_max: 6, probe: false}\n";
static const char *job_text;

static const struct ech_column columns[] = {
    {.name = "text", .type = ECH_TEXT, .dtype = ECH_U8},
    {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1},
};

/* Row 5 is not UTF-8: it ends in the errors column. */
static void cell(int64_t row, int column, struct ech_str *out)
{
    static const char *const words[] = {"hello ", "world ", "unable ", "a b "};
    int64_t id = 1000 + row;
    if (column == 1)
        ech_str_add(out, &id, sizeof id);
    for (int64_t i = 0; column == 0 && i < row % 7; i++)
        ech_str_adds(out, words[(row + i) % 4]);
    if (column == 0 && row == 5)
        ech_str_adds(out, "\xff");
}

static struct ech_str want, got;

/* The undisturbed run: what all others must end with. */
static void run_undisturbed(void)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_verify sums;
    put_run(job_text);
    must(run_attempt(1, NULL, &err), &err);
    struct ech_dataset *ds = open_dataset("out");
    assert_int_equal(ech_dataset_rows(ds), ROWS);
    must(ech_verify(ds, 0, 1, NULL, NULL, &sums, &err), &err);
    assert_int_equal(sums.damages, 0);
    struct ech_cells errors = read_column(ds, "errors");
    assert_true(errors.offsets[5] == 0 && errors.offsets[6] > 0 && errors.offsets[ROWS] == errors.offsets[6]);
    ech_cells_fini(&errors);
    ech_dataset_close(ds);
    folder_bytes("out", &want);
}

static void prepare(void)
{
    put_model("m");
    put_dataset("in", &(struct table){columns, 2, ROWS, 500, cell});
    job_text = embed_text;
    run_undisturbed();
}

/* The vectors become the index that the same texts are looked up in. */
static void prepare_retrieve(void)
{
    prepare();
    must(ech_rename("out", "index", NULL), NULL);
    job_text = retrieve_text;
    run_undisturbed();
}

static void prepare_classify(bool tokens)
{
    put_headed(tokens ? HEADED("BertForTokenClassification", "")
                      : HEADED("BertForSequenceClassification", ""));
    put_pair_template();
    put_dataset("in", &(struct table){columns, 2, ROWS, 500, cell});
    job_text = tokens ? tokens_text : pairs_text;
    run_undisturbed();
}

/* What a model writes behind the same texts. */
static void prepare_generate(void)
{
    put_writer("w", false);
    put_dataset("in", &(struct table){columns, 2, ROWS, 500, cell});
    job_text = generate_text;
    run_undisturbed();
}

/* An output that is there is whole and right; nothing else of it is left. */
static bool output_is_right(const char *when, int64_t n)
{
    glob_t left;
    int found = glob("out.*", 0, NULL, &left);
    if (found == 0)
        fail_msg("%s, failure %lld: %s is left", when, (long long)n, left.gl_pathv[0]);
    globfree(&left);
    if (!ech_path_exists("out"))
        return false;
    folder_bytes("out", &got);
    if (got.length != want.length || memcmp(got.data, want.data, want.length) != 0)
        fail_msg("%s, failure %lld: another output than that of an undisturbed run", when, (long long)n);
    return true;
}

/* Failure n of attempt `attempt`; then the attempt after it. False: the failure did not happen. */
static bool fail_once(int site, int64_t n, int attempt)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_run_result result;
    ech_fault_arm(site, n);
    int code = run_attempt(attempt, NULL, &err);
    bool fired = ech_fault_fired();
    ech_fault_arm(-1, 0);
    bool there = output_is_right("after it", n);
    if (code == ECH_OK ? !there : err.code != code || !err.text[0])
        fail_msg("failure %lld: status %d, \"%s\", output %s", (long long)n, code, err.text,
                 there ? "there" : "not there");
    if (!fired)
        return assert_int_equal(code, ECH_OK), false;
    /* A result that says "sealed" may have failed to be synced. */
    if (ech_run_result_read("run", attempt, &result, NULL) == ECH_OK)
        assert_true((result.code == code && (code == ECH_OK || result.text[0])) ||
                    (there && result.code == ECH_OK));
    else
        assert_true(code != ECH_OK);
    ech_err_clear(&err);
    code = run_attempt(attempt + 1, NULL, &err);
    if (code != ECH_OK)
        fail_msg("failure %lld: the next attempt ended with %d, \"%s\"", (long long)n, code, err.text);
    assert_true(output_is_right("after the next attempt", n));
    return true;
}

static bool fail_new_run(int site, int64_t n)
{
    must(ech_remove_all("out", NULL), NULL);
    put_run(job_text);
    return fail_once(site, n, 1);
}

static void finish(void)
{
    ech_str_fini(&want);
    ech_str_fini(&got);
}

static void sweep_prepared(int site)
{
    int64_t n = 1;
    for (bool fired = true; fired; n = n < 200 ? n + 1 : n * 13 / 10)
        fired = fail_new_run(site, n);
    assert_true(n > 5);
    finish();
}

static void sweep(int site)
{
    prepare();
    sweep_prepared(site);
}

/* From the end back, where rows run and the output is sealed: most of what precedes is opening. step: every
 * how many of the last 300. */
static void sweep_back(int site, int64_t step)
{
    struct ech_err err = ECH_ERR_NONE;
    must(ech_remove_all("out", NULL), NULL);
    put_run(job_text);
    ech_fault_arm(site, INT64_MAX);
    must(run_attempt(1, NULL, &err), &err);
    int64_t passes = ech_fault_passes();
    ech_fault_arm(-1, 0);
    for (int64_t back = 0; back < passes - 200; back = back < 300 ? back + step : back * 13 / 10)
        fail_new_run(site, passes - back);
    assert_true(passes > 300);
    finish();
}

/* Few points over the whole of it: most of this job is what the others do, too. */
static void sweep_few(int site)
{
    int64_t n = 1;
    for (bool fired = true; fired; n = n * 5 / 4 + 1)
        fired = fail_new_run(site, n);
    assert_true(n > 500);
    finish();
}

static void allocations(void **state)
{
    (void)state;
    sweep(ECH_FAULT_ALLOC);
}

static void allocations_from_the_end(void **state)
{
    (void)state;
    prepare();
    sweep_back(ECH_FAULT_ALLOC, 1);
}

static void allocations_of_retrieve(void **state)
{
    (void)state;
    prepare_retrieve();
    sweep_back(ECH_FAULT_ALLOC, 1);
}

static void allocations_of_pairs(void **state)
{
    (void)state;
    prepare_classify(false);
    sweep_back(ECH_FAULT_ALLOC, 5);
}

static void allocations_of_tokens(void **state)
{
    (void)state;
    prepare_classify(true);
    sweep_back(ECH_FAULT_ALLOC, 4);
}

static void allocations_of_generate(void **state)
{
    (void)state;
    prepare_generate();
    sweep_few(ECH_FAULT_ALLOC);
}

static void opens(void **state)
{
    (void)state;
    sweep(ECH_FAULT_OPEN);
}

static void reads(void **state)
{
    (void)state;
    sweep(ECH_FAULT_READ);
}

static void writes(void **state)
{
    (void)state;
    sweep(ECH_FAULT_WRITE);
}

static void syncs(void **state)
{
    (void)state;
    sweep(ECH_FAULT_FSYNC);
}

static void renames(void **state)
{
    (void)state;
    sweep(ECH_FAULT_RENAME);
}

static void any(void **state)
{
    (void)state;
    sweep(-1);
}

static void any_of_retrieve(void **state)
{
    (void)state;
    prepare_retrieve();
    sweep_prepared(-1);
}

/* Attempt 2 finds a spool that lacks its end. */
static bool fail_resumed_run(int64_t n)
{
    struct ech_err err = ECH_ERR_NONE;
    glob_t spools;
    must(ech_remove_all("out", NULL), NULL);
    put_run(job_text);
    must(run_attempt(1, NULL, &err), &err);
    must(ech_remove_all("out", NULL), NULL);
    assert_int_equal(glob("run/nodes/*/spool-1-0", 0, NULL, &spools), 0);
    assert_int_equal(truncate(spools.gl_pathv[0], ech_file_size(spools.gl_pathv[0], NULL) * 6 / 10), 0);
    globfree(&spools);
    return fail_once(-1, n, 2);
}

static void any_of_a_resumed_run(void **state)
{
    (void)state;
    int64_t n = 1;
    prepare();
    while (fail_resumed_run(n))
        n = n < 200 ? n + 1 : n * 13 / 10;
    assert_true(n > 200);
    finish();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(allocations),
    cmocka_unit_test(allocations_from_the_end),
    cmocka_unit_test(allocations_of_retrieve),
    cmocka_unit_test(allocations_of_pairs),
    cmocka_unit_test(allocations_of_tokens),
    cmocka_unit_test(allocations_of_generate),
    cmocka_unit_test(opens),
    cmocka_unit_test(reads),
    cmocka_unit_test(writes),
    cmocka_unit_test(syncs),
    cmocka_unit_test(renames),
    cmocka_unit_test(any),
    cmocka_unit_test(any_of_retrieve),
    cmocka_unit_test(any_of_a_resumed_run),
};

ECH_TEST_MAIN(tests)
