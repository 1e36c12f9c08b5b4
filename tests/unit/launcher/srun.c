/* Ranks by srun: the components of a heterogeneous job, the command, the settings; a site's own mpirun. */
#include "tests/harness.h"

#include "launcher/slurm_script.h"
#include "launcher/srun.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void set(const char *name, int group, const char *value)
{
    char key[96];
    snprintf(key, sizeof key, "%s_HET_GROUP_%d", name, group);
    assert_int_equal(setenv(key, value, 1), 0);
}

static struct ech_place two_components(void)
{
    struct ech_place place = {.allocation = true, .nodes = 1};
    setenv("SLURM_HET_SIZE", "2", 1);
    set("SLURM_JOB_NUM_NODES", 0, "1");
    set("SLURM_NTASKS", 0, "1");
    set("SLURM_CPUS_PER_TASK", 0, "4");
    set("SLURM_JOB_NUM_NODES", 1, "2");
    set("SLURM_NTASKS", 1, "5");
    set("SLURM_CPUS_PER_TASK", 1, "2");
    ech_components_find(&place);
    return place;
}

static void components(void **state)
{
    (void)state;
    struct ech_place place = two_components();
    struct ech_layout l;
    assert_int_equal(place.components, 2);
    assert_int_equal(ech_layout_components(&place, &l, NULL), ECH_OK);
    assert_true(l.ranks == 6 && l.nodes == 3 && l.per_node == 3 && l.threads == 2);
}

/* What is not said, or is no number, is the least that there can be; one component is none. */
static void odd_environments(void **state)
{
    (void)state;
    static const char *const none[] = {"", "1", "0", "-2", "x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct ech_place place = {.nodes = 1};
        setenv("SLURM_HET_SIZE", none[i], 1);
        ech_components_find(&place);
        assert_int_equal(place.components, 0);
    }
    struct ech_place place = {.nodes = 1};
    struct ech_layout l;
    setenv("SLURM_HET_SIZE", "2", 1);
    set("SLURM_NTASKS", 0, "-5");
    set("SLURM_NTASKS", 1, "x");
    set("SLURM_JOB_NUM_NODES", 1, "3");
    ech_components_find(&place);
    assert_int_equal(ech_layout_components(&place, &l, NULL), ECH_OK);
    assert_true(l.ranks == 4 && l.nodes == 4 && l.threads == 1);
    struct ech_err err = ECH_ERR_NONE;
    setenv("SLURM_HET_SIZE", "33", 1);
    ech_components_find(&place);
    assert_int_equal(ech_layout_components(&place, &l, &err), ECH_CONFIG);
    setenv("SLURM_HET_SIZE", "2", 1);
    set("SLURM_NTASKS", 0, "999999999");
    ech_components_find(&place);
    assert_int_equal(ech_layout_components(&place, &l, &err), ECH_CONFIG);
}

static void expect_command(const struct ech_mpirun *m, const struct ech_place *place, const char *expected)
{
    struct ech_argv argv;
    struct ech_str joined;
    ech_argv_init(&argv);
    ech_str_init(&joined);
    ech_srun_command(m, place, &argv);
    for (size_t i = 0; i < argv.count; i++)
        ech_str_addf(&joined, "%s%s", i ? " " : "", argv.items[i]);
    assert_string_equal(joined.data, expected);
    ech_argv_fini(&argv);
    ech_str_fini(&joined);
}

static void command(void **state)
{
    (void)state;
    char *arguments[] = {"run", "/r", NULL};
    struct ech_layout l = {.ranks = 6, .per_node = 2, .threads = 4, .nodes = 3};
    struct ech_mpirun m = {
        .mpirun = "/usr/bin/srun", .program = "/b/rank", .layout = &l, .arguments = arguments};
    struct ech_place plain = {.allocation = true, .nodes = 3}, place = two_components();
    expect_command(&m, &plain,
                   "/usr/bin/srun --mpi=pmix --kill-on-bad-exit=0 --nodes=3 --ntasks=6 --ntasks-per-node=2 "
                   "--cpus-per-task=4 --export=ALL /b/rank run /r");
    m.hosts_file = "/r/hosts-1";
    expect_command(
        &m, &plain,
        "/usr/bin/srun --mpi=pmix --kill-on-bad-exit=0 --nodes=3 --ntasks=6 --distribution=arbitrary "
        "--cpus-per-task=4 --export=ALL /b/rank run /r");
    m.hosts_file = NULL;
    expect_command(
        &m, &place,
        "/usr/bin/srun --mpi=pmix --kill-on-bad-exit=0 --het-group=0 --ntasks=1 --cpus-per-task=4 "
        "--export=ALL,OMP_NUM_THREADS=4 /b/rank run /r : --mpi=pmix --kill-on-bad-exit=0 "
        "--het-group=1 --ntasks=5 --cpus-per-task=2 --export=ALL,OMP_NUM_THREADS=2 /b/rank run /r");
    struct ech_argv settings;
    ech_argv_init(&settings);
    ech_srun_settings("/dev/shm/x", NULL, &settings);
    assert_int_equal(settings.count, 4);
    assert_string_equal(settings.items[2], "OMPI_MCA_btl_vader_backing_directory=/dev/shm/x");
    ech_srun_settings("/dev/shm/x", "/r/hosts-1", &settings);
    assert_string_equal(settings.items[4], "SLURM_HOSTFILE=/r/hosts-1");
    ech_argv_fini(&settings);
}

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static struct ech_job het_job(char **items, int count)
{
    return (struct ech_job){.name = TEXT("job"),
                            .resources = {.nodes = 1,
                                          .ranks_per_node = 1,
                                          .threads = 1,
                                          .time = 600,
                                          .partition = TEXT("main"),
                                          .account = TEXT("p7"),
                                          .launcher = ECH_LAUNCHER_SRUN,
                                          .components = {items, count}},
                            .limits = {.stop_margin = 30}};
}

/* What a component does not say itself is the first one's. */
static void script(void **state)
{
    (void)state;
    char *items[] = {TEXT("nodes=2  ntasks-per-node=3 time=05:00"), TEXT(" partition=gpu gres=gpu:1"), NULL};
    struct ech_job job = het_job(items, 2);
    struct ech_batch batch = {.job = &job, .run_dir = "/r", .echelon = "/e"};
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_batch_check(&batch, NULL), ECH_OK);
    ech_batch_script(&batch, &text);
    assert_non_null(strstr(text.data, "#SBATCH --signal=B:USR1@60\n"
                                      "#SBATCH hetjob\n#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=3\n"
                                      "#SBATCH --time=05:00\n#SBATCH --partition=main\n#SBATCH --account=p7\n"
                                      "#SBATCH --no-kill\n#SBATCH --requeue\n"
                                      "#SBATCH hetjob\n#SBATCH --partition=gpu\n#SBATCH --gres=gpu:1\n"
                                      "#SBATCH --time=00:10:00\n#SBATCH --account=p7\n"
                                      "#SBATCH --no-kill\n#SBATCH --requeue\n\nrun='/r'\n"));
    ech_str_fini(&text);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {{"", "empty component"},
               {"   ", "empty component"},
               {"nodes=1\n#SBATCH", "no option of sbatch"},
               {"--nodes=1", "no option of sbatch"},
               {"nodes=\"1\"", "no option of sbatch"},
               {"comment=$(x)", "no option of sbatch"}};
    char *items[40];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        items[0] = TEXT(bad[i].text);
        struct ech_job job = het_job(items, 1);
        struct ech_batch batch = {.job = &job, .run_dir = "/r", .echelon = "/e"};
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(ech_batch_check(&batch, &err), ECH_CONFIG);
        assert_non_null(strstr(err.text, bad[i].words));
    }
    for (int i = 0; i < 40; i++)
        items[i] = TEXT("nodes=1");
    struct ech_job many = het_job(items, 40), few = het_job(items, 1);
    struct ech_batch batch = {.job = &many, .run_dir = "/r", .echelon = "/e"};
    assert_int_equal(ech_batch_check(&batch, NULL), ECH_CONFIG);
    batch.job = &few;
    batch.array_tasks = 2;
    assert_int_equal(ech_batch_check(&batch, NULL), ECH_CONFIG);
    batch.array_tasks = 0;
    few.resources.launcher = ECH_LAUNCHER_MPIRUN;
    assert_int_equal(ech_batch_check(&batch, NULL), ECH_CONFIG);
}

static void own_mpirun(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char *path = NULL;
    FILE *file = fopen("site-mpirun", "w");
    assert_non_null(file);
    fclose(file);
    setenv("ECHELON_MPIRUN", "./site-mpirun", 1);
    assert_int_equal(ech_find_mpirun(&path, &err), ECH_UNAVAILABLE);
    assert_non_null(strstr(err.text, "ECHELON_MPIRUN=./site-mpirun is no program"));
    assert_int_equal(chmod("site-mpirun", 0755), 0);
    assert_int_equal(ech_find_mpirun(&path, &err), ECH_OK);
    assert_non_null(strstr(path, "site-mpirun"));
    ech_free(path);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(components), cmocka_unit_test(odd_environments),
                                          cmocka_unit_test(command),    cmocka_unit_test(script),
                                          cmocka_unit_test(refusals),   cmocka_unit_test(own_mpirun)};
ECH_TEST_MAIN(tests)
