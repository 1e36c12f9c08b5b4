/* What Slurm's programs print, and the batch script: texts in, structs and texts out. */
#include "tests/harness.h"

#include "launcher/advice.h"
#include "launcher/slurm_script.h"
#include "launcher/slurm_site.h"

#include "base/mem.h"

#include <string.h>

static const char site_text[] = "short*|up|10:00|2|2|2000|small,eth|(null)\n"
                                "main|up|1-00:00:00|1|8|64000+|huge,ib|gpu:2(S:0)\n"
                                "main|up|1-00:00:00|2|2|2000|small,eth|(null)\n"
                                "closed|down|infinite|99|64|256000|x|(null)\n";

static const char *choose(struct ech_site_ask ask, struct ech_err *err)
{
    static char name[64];
    struct ech_site site;
    const char *out = NULL;
    assert_int_equal(ech_site_parse(site_text, &site, NULL), ECH_OK);
    assert_int_equal(site.count, 4);
    if (ech_site_choose(&site, &ask, &out, err) == ECH_OK)
        snprintf(name, sizeof name, "%s", out);
    bool found = out != NULL;
    ech_site_fini(&site);
    return found ? name : NULL;
}

static void partition_by_limits(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    assert_string_equal(choose((struct ech_site_ask){.nodes = 1, .cpus = 2, .time = 600}, &err), "short");
    assert_string_equal(choose((struct ech_site_ask){.nodes = 1, .time = 601}, &err), "main");
    assert_string_equal(choose((struct ech_site_ask){.nodes = 1, .gres = "gpu:1"}, &err), "main");
    static const char *const there[] = {"gpu", "gpu:2", "gpu:a100:2", "gpu:1,gpu:2", "gpu:2K"};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        assert_string_equal(choose((struct ech_site_ask){.nodes = 1, .gres = there[i]}, &err), "main");
    static const char *const absent[] = {"gpu:3", "gpu:a100:3", "mps:1", "gpu:1,mps:1"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        assert_null(choose((struct ech_site_ask){.nodes = 1, .gres = absent[i]}, &err));
        assert_non_null(strstr(err.text, "main: 0 of its 3 nodes fit, 1 are asked for"));
        ech_err_clear(&err);
    }
    assert_string_equal(choose((struct ech_site_ask){.nodes = 1, .constraint = "huge&ib"}, &err), "main");
    assert_string_equal(choose((struct ech_site_ask){.nodes = 1, .constraint = "[a|b]"}, &err), "short");
    assert_null(choose((struct ech_site_ask){.nodes = 2, .memory_mib = 3000}, &err));
    assert_non_null(strstr(err.text, "main: 1 of its 3 nodes fit, 2 are asked for"));
    assert_non_null(strstr(err.text, "closed: it is not up"));
    ech_err_clear(&err);
    assert_null(choose((struct ech_site_ask){.nodes = 1, .partition = "none"}, &err));
    assert_non_null(strstr(err.text, "no partition none"));
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {
        {"infinite", 0},  {"30", 1800},  {"10:00", 600},     {"1:30:00", 5400}, {"2-00:00:00", 172800},
        {"1-12", 129600}, {"", -1},      {"x", -1},          {"1:", -1},        {"1:2:3:4", -1},
        {"-1", -1},       {"1-2-3", -1}, {"9999999999", -1}, {"1:-2", -1},      {"1-1:1:1:1", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(ech_slurm_seconds(cases[i].text) == cases[i].seconds);
    char out[64];
    ech_slurm_time(5400.2, out, sizeof out);
    assert_string_equal(out, "01:30:01");
    ech_slurm_time(2 * 86400 + 60, out, sizeof out);
    assert_string_equal(out, "2-00:01:00");
}

static void hostile_tables(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "\n\n",
                                        "|||||||",
                                        "a|up|1:00|x|1|1|f|g",
                                        "a|up|1:00|1|1|1|f",
                                        "a|up|1:00|1|1|1|f|g|h",
                                        "sinfo: error: no\n",
                                        "a|up|1:00|-1|1|1|f|g",
                                        "a|up|1:00|99999999999999999999999|1|1|f|g",
                                        "|up|1:00|1|1|1|f|g"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ech_site site;
        struct ech_queue_entry entry;
        assert_int_equal(ech_site_parse(texts[i], &site, NULL), ECH_OK);
        assert_int_equal(site.count, 0);
        ech_site_fini(&site);
        assert_false(ech_queue_find(texts[i], "1", &entry));
        assert_int_equal(ech_site_array_size(texts[i]), 0);
    }
    char *longer = ech_calloc(100001, 1, NULL);
    struct ech_queue_entry entry;
    memset(longer, '1', 100000);
    assert_false(ech_queue_find(longer, "1", &entry));
    ech_free(longer);
}

static void queue_lines(void **state)
{
    (void)state;
    static const char text[] = "squeue: warning: slow\n12|RUNNING|None|2026-01-01T00:00:00|n1\n"
                               "13_[2-4,9%1]|PENDING|JobArrayTaskLimit|N/A|\n13_1|RUNNING|None|N/A|n2\n"
                               "14+0|PENDING|Priority|N/A|\n14+1|RUNNING|None|N/A|\n";
    struct ech_queue_entry e;
    assert_true(ech_queue_find(text, "12", &e));
    assert_string_equal(e.state, "RUNNING");
    assert_string_equal(e.nodes, "n1");
    assert_true(ech_queue_find(text, "13_1", &e));
    assert_string_equal(e.nodes, "n2");
    assert_true(ech_queue_find(text, "13_9", &e));
    assert_string_equal(e.reason, "JobArrayTaskLimit");
    assert_true(ech_queue_find(text, "13_3", &e));
    assert_false(ech_queue_find(text, "13_5", &e));
    assert_true(ech_queue_find(text, "14", &e));
    assert_string_equal(e.reason, "Priority");
    assert_false(ech_queue_find(text, "1", &e));
    assert_true(*ech_queue_reason("Resources"));
    assert_string_equal(ech_queue_reason("Odd"), "");
}

static void answers(void **state)
{
    (void)state;
    char job[32];
    assert_int_equal(ech_site_array_size("A = 1\nMaxArraySize            = 1001\nB = 2\n"), 1001);
    assert_int_equal(ech_site_array_size("XMaxArraySize = 3\n"), 0);
    assert_true(ech_sbatch_job("sbatch: warning: 3 things\n77;east\n", job, sizeof job));
    assert_string_equal(job, "77");
    assert_false(ech_sbatch_job("sbatch: error\n", job, sizeof job));
    assert_false(ech_sbatch_job("111111111111111111111111111111111111111\n", job, sizeof job));
}

static struct ech_job plain_job(void)
{
    return (struct ech_job){.name = (char *)(uintptr_t) "job",
                            .resources = {.nodes = 2, .ranks_per_node = 4, .threads = 2, .time = 5400},
                            .limits = {.stop_margin = 30}};
}

static bool refused(struct ech_job job, const char *words)
{
    struct ech_batch batch = {.job = &job, .run_dir = "/runs", .echelon = "/e"};
    struct ech_err err = ECH_ERR_NONE;
    return ech_batch_check(&batch, &err) == ECH_CONFIG && strstr(err.text, words);
}

static void checks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {{"nodes=3", "resources.nodes"},
               {"--comment=x", "no option"},
               {"comment=a\nb", "control"},
               {"comment=\"", "quote"},
               {"", "no option"},
               {"no-requeue", "not passed"}};
    struct ech_job job = plain_job();
    struct ech_batch batch = {.job = &job, .run_dir = "/runs", .echelon = "/e"};
    assert_int_equal(ech_batch_check(&batch, NULL), ECH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *items[] = {(char *)(uintptr_t)bad[i].text, NULL};
        job.slurm = (struct ech_list){items, 1};
        assert_true(refused(job, bad[i].words));
    }
    job = plain_job();
    job.resources.partition = (char *)(uintptr_t) "a\n#SBATCH --x";
    assert_true(refused(job, "resources.partition"));
}

static void script_says(void **state)
{
    (void)state;
    struct ech_job job = plain_job();
    struct ech_str text;
    struct ech_batch batch = {.job = &job,
                              .run_dir = "/r/it's 5%",
                              .echelon = "/e",
                              .after = "afterok:7",
                              .array_tasks = 3,
                              .array_throttle = 2,
                              .partition = "main"};
    static const char head[] = "#SBATCH --job-name=job\n"
                               "#SBATCH --output=\"/r/it's 5%%/slurm-%A_%a.out\"\n"
                               "#SBATCH --open-mode=append\n"
                               "#SBATCH --nodes=2\n"
                               "#SBATCH --ntasks-per-node=4\n"
                               "#SBATCH --cpus-per-task=2\n"
                               "#SBATCH --time=01:30:00\n"
                               "#SBATCH --partition=main\n"
                               "#SBATCH --dependency=afterok:7\n"
                               "#SBATCH --kill-on-invalid-dep=yes\n"
                               "#SBATCH --array=0-2%2\n"
                               "#SBATCH --no-kill\n"
                               "#SBATCH --requeue\n"
                               "#SBATCH --signal=B:USR1@60\n"
                               "\nrun='/r/it'\\''s 5%'\n";
    ech_str_init(&text);
    ech_batch_script(&batch, &text);
    assert_non_null(strstr(text.data, head));
    assert_int_equal(strncmp(text.data, "#!/bin/bash\n", 12), 0);
    ech_str_fini(&text);
    job.resources.time = 90;
    assert_int_equal(ech_batch_notice(&job), 30);
    job.resources.time = 0;
    assert_int_equal(ech_batch_notice(&job), 60);
}

static void advice(void **state)
{
    (void)state;
    struct ech_str out;
    struct ech_advice much = {.time_s = 7200,
                              .used_s = 1368,
                              .memory = 16LL << 30,
                              .memory_at = 3LL << 30,
                              .idle_rank = 3,
                              .idle_share = 0.22};
    ech_str_init(&out);
    ech_advice_print(&much, &out);
    assert_string_equal(
        out.data, "advice: used 19 % of the requested time: next time ask for resources.time=0:31:00\n"
                  "advice: used at most 3.0 of 16.0 GiB of a node: next time ask for resources.memory=4GiB\n"
                  "advice: rank 3 was idle for 22 % of the computing time: next time ask for fewer ranks or "
                  "smaller leases (balance.lease_rows)\n");
    struct ech_advice fits = {.time_s = 7200,
                              .used_s = 4000,
                              .memory = 4LL << 30,
                              .memory_at = 3LL << 30,
                              .idle_rank = 1,
                              .idle_share = 0.05};
    ech_str_clear(&out);
    ech_advice_print(&fits, &out);
    const char *at = "advice: one\nadvice: two\n";
    assert_int_equal(strncmp(ech_advice_next(&at), "one\n", 4), 0);
    assert_int_equal(strncmp(ech_advice_next(&at), "two\n", 4), 0);
    assert_null(ech_advice_next(&at));
    struct ech_advice nothing = {.used_s = 5, .memory_at = 100, .idle_rank = -1};
    ech_advice_print(&nothing, &out);
    assert_int_equal(out.length, 0);
    ech_str_fini(&out);
}

/* Others wait for the rows of a rank that fell silent: fewer ranks would not help. */
static void advice_after_a_loss(void **state)
{
    (void)state;
    struct ech_rank_view ranks[2] = {{.seen = true, .rank = 0, .first_lease = 100, .busy_s = 4, .host = "a"},
                                     {.seen = true, .rank = 1, .first_lease = 100, .busy_s = 9, .host = "a"}};
    struct ech_run_view view = {.ranks = ranks, .rank_count = 2, .run_end = 110};
    struct ech_advice a = ech_advice_of(&view, 0, 0, 12);
    assert_int_equal(a.idle_rank, 0);
    assert_true(a.idle_share > 0.59 && a.idle_share < 0.61);
    ranks[1].dead = true;
    assert_int_equal(ech_advice_of(&view, 0, 0, 12).idle_rank, -1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(partition_by_limits), cmocka_unit_test(times),   cmocka_unit_test(hostile_tables),
    cmocka_unit_test(queue_lines),         cmocka_unit_test(answers), cmocka_unit_test(checks),
    cmocka_unit_test(script_says),         cmocka_unit_test(advice),  cmocka_unit_test(advice_after_a_loss),
};
ECH_TEST_MAIN(tests)
