/* launcher: the decisions, which are pure functions: cores, layout, command line, ending, outcome, sweep,
 * logs. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/cores.h"
#include "base/peers.h"
#include "launcher/attempt.h"
#include "launcher/ending.h"
#include "launcher/job.h"
#include "launcher/logmerge.h"
#include "launcher/mpirun.h"
#include "launcher/origins.h"
#include "launcher/rundirs.h"
#include "base/sweep.h"
#include "launcher/tail.h"
#include "launcher/verbs.h"

#include <sys/stat.h>
#include <unistd.h>

static void cores(void **state)
{
    (void)state;
    assert_int_equal(ech_cores_of_cpu_max("max 100000\n"), 0);
    assert_int_equal(ech_cores_of_cpu_max("150000 100000\n"), 1);
    assert_int_equal(ech_cores_of_cpu_max("400000 100000"), 4);
    assert_int_equal(ech_cores_of_cpu_max("22000 100000"), 1); /* a part of a core is one rank's */
    assert_int_equal(ech_cores_of_cpu_max(""), 0);
    assert_int_equal(ech_cores_of_quota(-1, 100000), 0);
    assert_int_equal(ech_cores_of_quota(199999, 100000), 2); /* rounding of a quota is no lost core */
    assert_int_equal(ech_cores_of_quota(10000, 5000), 2);
    assert_int_equal(ech_cores_of_quota(1, 0), 0);
    char path[64];
    const char *text = "5:devices:/d\n1:cpu,cpuacct:/a/b\n0::/u\n";
    assert_true(ech_cgroup_path(text, "cpu", path, sizeof path));
    assert_string_equal(path, "/a/b");
    assert_true(ech_cgroup_path(text, "", path, sizeof path));
    assert_string_equal(path, "/u");
    assert_false(ech_cgroup_path(text, "cp", path, sizeof path));
    assert_false(ech_cgroup_path("nonsense", "cpu", path, sizeof path));
    assert_false(ech_cgroup_path("1:cpu:/0123456789", "cpu", path, 5));
    assert_true(ech_usable_cores() >= 1);
}

static struct ech_layout layout_of(struct ech_place place, struct ech_asked asked)
{
    struct ech_layout l;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_layout_decide(&place, &asked, &l, &err), ECH_OK);
    return l;
}

static void layout(void **state)
{
    (void)state;
    struct ech_place here = {.nodes = 1, .machine = {.cores = 8, .domains = 1}};
    struct ech_place numa = {.nodes = 1, .machine = {.cores = 64, .domains = 8, .devices = 4}};
    struct ech_place few = {.nodes = 1, .machine = {.cores = 2, .domains = 8}};
    struct ech_place slurm = {.allocation = true, .nodes = 3, .machine = {.cores = 16, .domains = 2}};
    struct ech_layout l = layout_of(here, (struct ech_asked){.ranks = -1});
    assert_true(l.ranks == 1 && l.threads == 8); /* auto, auto: one rank a domain with all cores of it */
    l = layout_of(numa, (struct ech_asked){.ranks = -1});
    assert_true(l.ranks == 8 && l.threads == 8);
    l = layout_of(numa, (struct ech_asked){.ranks = -1, .devices = true});
    assert_true(l.ranks == 4 && l.threads == 16);
    l = layout_of(numa, (struct ech_asked){.ranks = -1, .threads = 4});
    assert_true(l.ranks == 16 && l.threads == 4);
    l = layout_of(few, (struct ech_asked){.ranks = -1});
    assert_true(l.ranks == 2 && l.threads == 1); /* never more than cores */
    l = layout_of(slurm, (struct ech_asked){.ranks = -1, .nodes = 3});
    assert_true(l.ranks == 6 && l.per_node == 2 && l.threads == 8);
    l = layout_of(here, (struct ech_asked){.ranks = -1, .threads = 2});
    assert_true(l.ranks == 4 && l.threads == 2);
    l = layout_of(here, (struct ech_asked){.ranks = -1, .threads = 16});
    assert_true(l.ranks == 1 && l.threads == 16);
    l = layout_of(here, (struct ech_asked){.ranks = -1, .ranks_per_node = 3});
    assert_true(l.ranks == 3 && l.threads == 2);
    l = layout_of(here, (struct ech_asked){.ranks = 7, .ranks_per_node = 3});
    assert_true(l.ranks == 7 && l.threads == 1);
    l = layout_of(here, (struct ech_asked){.ranks = -1, .nodes = 2, .ranks_per_node = 2});
    assert_true(l.ranks == 4 && l.threads == 2); /* all on this host */
    l = layout_of(slurm, (struct ech_asked){.ranks = -1, .nodes = 3, .ranks_per_node = 4});
    assert_true(l.ranks == 12 && l.per_node == 4 && l.threads == 4);
    l = layout_of(slurm, (struct ech_asked){.ranks = 7, .nodes = 3});
    assert_true(l.ranks == 7 && l.per_node == 3 && l.threads == 5);
    struct ech_err err = ECH_ERR_NONE;
    struct ech_asked none = {.ranks = 0}, many = {.ranks = -1, .nodes = 4};
    assert_int_equal(ech_layout_decide(&here, &none, &l, &err), ECH_USAGE);
    ech_err_clear(&err);
    assert_int_equal(ech_layout_decide(&slurm, &many, &l, &err), ECH_UNAVAILABLE);
    struct ech_asked huge = {.ranks = -1, .nodes = 100000, .ranks_per_node = 1000};
    assert_int_equal(ech_layout_decide(&here, &huge, &l, NULL), ECH_CONFIG);

    assert_int_equal(ech_slurm_least_cores("16(x3),8"), 8);
    assert_int_equal(ech_slurm_least_cores("72"), 72);
    assert_int_equal(ech_slurm_least_cores("what"), 0);
    assert_int_equal(ech_slurm_least_cores("16,-1"), 0);
}

static void command(void **state)
{
    (void)state;
    struct ech_layout l = {.ranks = 6, .per_node = 2, .threads = 1, .nodes = 3};
    char *arguments[] = {"run", "/r", NULL};
    struct ech_mpirun m = {.mpirun = "/usr/bin/mpirun",
                           .program = "/b/echelon-rank",
                           .layout = &l,
                           .shm_dir = "/dev/shm/echelon-x",
                           .recovery = true,
                           .heartbeat_s = 10,
                           .arguments = arguments};
    struct ech_argv argv;
    ech_argv_init(&argv);
    ech_mpirun_command(&m, &argv);
    struct ech_str joined;
    ech_str_init(&joined);
    for (size_t i = 0; i < argv.count; i++)
        ech_str_addf(&joined, "%s%s", i ? " " : "", argv.items[i]);
    assert_string_equal(
        joined.data,
        "/usr/bin/mpirun -n 6 --enable-recovery --oversubscribe --bind-to none --mca "
        "mpi_yield_when_idle 1 --mca sharedfp ^sm --mca routed_radix 512 --mca btl_vader_backing_directory "
        "/dev/shm/echelon-x --mca osc_sm_backing_directory /dev/shm/echelon-x --mca "
        "orte_local_tmpdir_base /dev/shm/echelon-x --mca oob_tcp_keepalive_time 10 --mca "
        "oob_tcp_keepalive_intvl 3 --mca "
        "oob_tcp_keepalive_probes 3 -x OMP_WAIT_POLICY -x OMP_NUM_THREADS -x OPENBLAS_NUM_THREADS -x "
        "ECH_RUN_DIR -x ECH_NODE_DIR -x ECH_START_SECONDS /b/echelon-rank run /r");
    ech_argv_fini(&argv);
    m.allocation = true;
    m.recovery = false;
    ech_argv_init(&argv);
    ech_mpirun_command(&m, &argv);
    assert_string_equal(argv.items[3], "--oversubscribe");
    assert_string_equal(argv.items[6], "--map-by");
    assert_string_equal(argv.items[7], "ppr:2:node");
    ech_argv_fini(&argv);
    ech_str_fini(&joined);
}

/* In Open MPI's words. */
static void lost_ranks(void **state)
{
    (void)state;
    struct ech_lost_rank lost;
    assert_true(ech_line_lost_rank(
        "mpirun noticed that process rank 3 with PID 812 on node n-7 exited on signal 9 (Killed).", &lost));
    assert_true(lost.rank == 3 && lost.signal == 9 && strcmp(lost.host, "n-7") == 0);
    assert_false(ech_line_lost_rank("a row noticed that process rank is a word", &lost));
}

/* Two lines of /proc/net/tcp, as the kernel writes them: to another host, to ourselves, to one that has gone.
 */
static void peers(void **state)
{
    (void)state;
    const int64_t sockets[] = {41, 42, 43, 44, 45, 46, 47};
    const char *table =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 01004D0A:BE7F 02004D0A:A39C 01 00000000:00000000 02:000000C2 00000000     0        0 41 2 0 "
        "20 4 30 10 -1\n"
        "   1: 01004D0A:BE7F 01004D0A:A39E 01 00000000:00000000 00:00000000 00000000     0        0 42 1 0 "
        "20 4 30 10 -1\n"
        "   2: 0100007F:BE7F 0100007F:A39F 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0 "
        "20 4 30 10 -1\n"
        "   3: 00000000:BE7F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 44 1 0 "
        "20 4 30 10 -1\n"
        "   4: 01004D0A:BE7F 03004D0A:A3A0 08 00000000:00000000 00:00000000 00000000     0        0 45 1 0 "
        "20 4 30 10 -1\n"
        "   5: 01004D0A:BE80 04004D0A:A3A1 01 00000000:00000000 00:00000000 00000000     0        0 99 1 0 "
        "20 4 30 10 -1\n"
        "   6: 01004D0A:BE7F 05004D0A:A3A2 01 00001448:00000000 01:0000000A 00000006     0        0 46 1 0 "
        "20 4 30 10 -1\n"
        "   7: 01004D0A:BE7F 06004D0A:A3A3 01 00001448:00000000 01:0000000A 00000005     0        0 47 1 0 "
        "20 4 30 10 -1\n";
    assert_int_equal(ech_peers_count(table, sockets, 7), 2);
    assert_int_equal(ech_peers_count("", sockets, 7), 0);
    assert_int_equal(ech_peers_count(table, NULL, 0), 0);
    assert_true(ech_peers_of(getpid()) >= 0);
    assert_int_equal(ech_peers_of(-1), -1);
}

static void nodes_without_ranks(void **state)
{
    (void)state;
    struct ech_rank_view ranks[] = {{.seen = true, .node = 0},
                                    {.seen = true, .node = 1, .dead = true},
                                    {.seen = true, .node = 1},
                                    {.seen = true, .node = 2, .dead = true},
                                    {.seen = true, .node = 2, .ended = true},
                                    {.seen = false, .node = 0},
                                    {.seen = true, .node = 99}};
    struct ech_run_view view = {.ranks = ranks, .rank_count = 7};
    assert_int_equal(ech_nodes_without_ranks(&view), 1);
    ranks[2].dead = true;
    assert_int_equal(ech_nodes_without_ranks(&view), 2);
    view.rank_count = 0;
    assert_int_equal(ech_nodes_without_ranks(&view), 0);
}

static void ending(void **state)
{
    (void)state;
    struct ech_ending e = {.grace_s = 30};
    assert_int_equal(ech_ending_step(&e, 1000), ECH_STEP_NONE);
    e.result_at = 100;
    assert_int_equal(ech_ending_step(&e, 102.9), ECH_STEP_NONE);
    assert_int_equal(ech_ending_step(&e, 103), ECH_STEP_TERM);
    assert_int_equal(ech_ending_step(&e, 105), ECH_STEP_KILL);
    e = (struct ech_ending){.grace_s = 30, .lost_at = 100};
    assert_int_equal(ech_ending_step(&e, 100.9), ECH_STEP_NONE);
    assert_int_equal(ech_ending_step(&e, 101), ECH_STEP_TERM);
    assert_int_equal(ech_ending_step(&e, 103), ECH_STEP_KILL);
    e = (struct ech_ending){.grace_s = 30, .stop_at = 10, .asks = true};
    assert_int_equal(ech_ending_step(&e, 10), ECH_STEP_ASK);
    assert_int_equal(ech_ending_step(&e, 39.9), ECH_STEP_ASK);
    assert_int_equal(ech_ending_step(&e, 40), ECH_STEP_TERM);
    assert_int_equal(ech_ending_step(&e, 43), ECH_STEP_KILL);
    e.result_at = 12; /* the ranks answered: the shorter time counts */
    assert_int_equal(ech_ending_step(&e, 15), ECH_STEP_TERM);
    e = (struct ech_ending){.grace_s = 30, .stop_at = 10, .stop_again = 11, .asks = true};
    assert_int_equal(ech_ending_step(&e, 11), ECH_STEP_TERM);
    assert_int_equal(ech_ending_step(&e, 14), ECH_STEP_KILL);
    e = (struct ech_ending){.grace_s = 30, .stop_at = 10}; /* nothing has begun */
    assert_int_equal(ech_ending_step(&e, 10), ECH_STEP_TERM);
}

static int outcome_of(struct ech_outcome o, bool *retry)
{
    return ech_outcome_code(&o, retry);
}

static void outcome(void **state)
{
    (void)state;
    bool retry;
    enum { EXITED_1 = 1 << 8, EXITED_66 = 66 << 8, KILLED = 9 };
    assert_int_equal(outcome_of((struct ech_outcome){.has_result = true, .result_state = "sealed"}, &retry),
                     0);
    assert_false(retry);
    /* A sealed run is a success, also where a signal came at the end. */
    assert_int_equal(
        outcome_of((struct ech_outcome){.has_result = true, .result_state = "sealed", .stopped_by_us = true},
                   &retry),
        0);
    assert_int_equal(
        outcome_of((struct ech_outcome){.has_result = true, .result_state = "failed", .result_code = 65},
                   &retry),
        65);
    assert_false(retry);
    assert_int_equal(
        outcome_of((struct ech_outcome){.has_result = true, .result_state = "failed", .result_code = 75},
                   &retry),
        75);
    assert_true(retry);
    assert_int_equal(
        outcome_of((struct ech_outcome){.has_result = true, .result_state = "stopped", .result_code = 75},
                   &retry),
        75);
    assert_false(retry); /* the walltime has come: another attempt would not help */
    assert_int_equal(outcome_of((struct ech_outcome){.begun = 2, .mpirun_ended = true}, &retry), 75);
    assert_true(retry);
    assert_int_equal(outcome_of((struct ech_outcome){.begun = 2, .stopped_by_us = true}, &retry), 75);
    assert_false(retry);
    assert_int_equal(
        outcome_of((struct ech_outcome){.mpirun_ended = true, .mpirun_status = EXITED_1}, &retry), 69);
    assert_false(retry);
    assert_int_equal(
        outcome_of((struct ech_outcome){.given_up = true, .mpirun_ended = true, .mpirun_status = EXITED_1},
                   &retry),
        75);
    assert_true(retry); /* no rank came in time: perhaps next time */
    assert_int_equal(
        outcome_of((struct ech_outcome){.mpirun_ended = true, .mpirun_status = EXITED_66}, &retry), 66);
    assert_int_equal(outcome_of((struct ech_outcome){.mpirun_ended = true, .mpirun_status = KILLED}, &retry),
                     75);
    assert_true(retry);
}

static void sweep(void **state)
{
    (void)state;
    static const char env[] = "A=1\0ECH_RUN_DIR=/r/a\0B=2", other[] = "ECH_RUN_DIR=/r/ab\0XECH_RUN_DIR=/r/a";
    static const char rank[] = "/x/echelon-rank\0run\0/r/a\0--attempt", logs[] = "/x/echelon\0logs\0/r/a";
    assert_true(ech_sweep_matches(env, sizeof env, "", 0, "/r/a"));
    assert_false(ech_sweep_matches(other, sizeof other, "", 0, "/r/a"));
    assert_false(ech_sweep_matches(env, 10, "", 0, "/r/a")); /* cut */
    assert_true(ech_sweep_matches("", 0, rank, sizeof rank, "/r/a"));
    assert_false(ech_sweep_matches("", 0, rank, sizeof rank, "/r"));
    assert_false(ech_sweep_matches("", 0, logs, sizeof logs, "/r/a")); /* a reader is not a rank */
    assert_false(ech_sweep_matches("", 0, "vi\0run\0/r/a", 12, "/r/a"));
    assert_true(ech_process_start(getpid()) > 0);
    assert_int_equal(ech_process_start(0), 0);
    assert_int_equal(ech_sweep_signal("/no/such/run", 0), 0);
}

static void tail(void **state)
{
    (void)state;
    struct ech_tail t = {.length = 0};
    struct ech_str out;
    ech_str_init(&out);
    const char *text = "one\n-------\nPrimary job  terminated normally\ntwo\n\n   \nthree";
    ech_tail_add(&t, text, strlen(text));
    ech_tail_useful(&t, 2, &out);
    assert_string_equal(out.data, "  two\n  three\n");
    for (int i = 0; i < 3000; i++)
        ech_tail_add(&t, "0123456789\n", 11);
    assert_true(t.length <= sizeof t.data);
    char big[20000];
    memset(big, 'x', sizeof big);
    ech_tail_add(&t, big, sizeof big);
    assert_true(t.length == sizeof t.data && t.data[0] == 'x');
    ech_str_fini(&out);
}

static void add_line(struct ech_log_lines *lines, const char *text, int rank)
{
    ech_log_lines_add(lines, text, strlen(text), rank);
}

static void merged_logs(void **state)
{
    (void)state;
    struct ech_log_lines lines = {0};
    struct ech_str out;
    ech_str_init(&out);
    add_line(&lines, "2026-11-24T10:00:01.000Z [0] info: a: late", 0);
    add_line(&lines, "continued", 0);
    add_line(&lines, "2026-11-24T10:00:00.000Z [1] warn: b: same", 1);
    add_line(&lines, "2026-11-24T10:00:00.500Z [2] warn: b: same", 2);
    add_line(&lines, "2026-11-24T10:00:00.600Z [1] warn: b: same", 1); /* one rank twice is two lines */
    add_line(&lines, "2026-11-24T10:00:09.000Z [3] warn: b: same", 3);
    add_line(&lines, "", 4);
    ech_log_lines_print(&lines, &out);
    assert_string_equal(out.data, "2026-11-24T10:00:00.000Z [2 ranks] warn: b: same\n"
                                  "2026-11-24T10:00:00.600Z [1] warn: b: same\n"
                                  "2026-11-24T10:00:01.000Z [0] info: a: late\n"
                                  "[0] continued\n"
                                  "2026-11-24T10:00:09.000Z [3] warn: b: same\n"
                                  "[4] \n");
    ech_log_lines_fini(&lines);
    ech_str_fini(&out);
}

static void same_job(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_job_same("a=1\nb=2\n", "a=1\nb=2\n", &err), ECH_OK);
    assert_int_equal(ech_job_same("", "", &err), ECH_OK);
    assert_int_equal(ech_job_same("a=1\nb=2\n", "a=1\nb=3\n", &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "began with b=2, now it is b=3"));
    ech_err_clear(&err);
    assert_int_equal(ech_job_same("a=1\n", "a=1\nc=3\n", &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "began with nothing, now it is c=3"));
}

static void run_directories(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    char *one = NULL, *two = NULL, *found = NULL;
    assert_int_equal(ech_rundir_find(NULL, &found, &err), ECH_NOINPUT);
    ech_err_clear(&err);
    assert_int_equal(ech_rundir_create("runs", "job", &one, &err), ECH_OK);
    assert_int_equal(ech_rundir_create("runs", "job", &two, &err), ECH_OK);
    assert_string_not_equal(one, two);
    assert_int_equal(one[0], '/');
    assert_int_equal(ech_rundir_find(one, &found, &err), ECH_NOINPUT); /* no job.yaml yet */
    ech_err_clear(&err);
    char *job = ech_path_join(one, "job.yaml", NULL);
    assert_int_equal(ech_write_file(job, "x", 1, &err), ECH_OK);
    assert_int_equal(ech_rundir_find(ech_path_base(one), &found, &err), ECH_OK);
    assert_string_equal(found, one);
    ech_free(found);
    assert_int_equal(ech_rundir_find(NULL, &found, &err), ECH_OK);
    assert_string_equal(found, one);

    assert_false(ech_rundir_is_held(one));
    int lock;
    assert_int_equal(ech_rundir_lock(one, &lock, &err), ECH_OK);
    assert_true(ech_rundir_is_held(one));
    struct ech_launch launch = {.attempt = 1, .pid = getpid(), .ranks = 3, .host = "h", .started = "now"},
                      back;
    launch.pid_start = (int64_t)ech_process_start(getpid());
    gethostname(launch.host, sizeof launch.host - 1);
    char *words[] = {"a \"b\"", "c", NULL};
    assert_int_equal(ech_launch_write(one, &launch, words, &err), ECH_OK);
    assert_int_equal(ech_launch_read(one, 1, &back, &err), ECH_OK);
    assert_true(back.pid == launch.pid && back.ranks == 3 && strcmp(back.started, "now") == 0);
    int again; /* the holder lives: refused at once */
    assert_int_equal(ech_rundir_lock(one, &again, &err), ECH_UNAVAILABLE);
    close(lock);
    ech_free(job);
    ech_free(found);
    ech_free(one);
    ech_free(two);
}

static void origins(void **state)
{
    (void)state;
    static const char saved[] = "kind: embed  # my.yaml:3\nname: \"a  # b\"  # --set\nbare: 1\n";
    char out[64];
    assert_string_equal(ech_origin_first(saved, "job.yaml:1", out, sizeof out), "my.yaml:3");
    assert_string_equal(ech_origin_first(saved, "job.yaml:2", out, sizeof out), "--set");
    assert_string_equal(ech_origin_first(saved, "job.yaml:3", out, sizeof out), "job.yaml:3");
    assert_string_equal(ech_origin_first(saved, "job.yaml:99", out, sizeof out), "job.yaml:99");
    assert_string_equal(ech_origin_first(saved, "job.yaml:0", out, sizeof out), "job.yaml:0");
    assert_string_equal(ech_origin_first(saved, "default", out, sizeof out), "default");
    struct ech_str text;
    ech_str_init(&text);
    static const char nodes[] =
        "a:\n  nodes: 1  # --set\nresources:\n  nodes: 1  # default\n  x: 2  # default not\n";
    assert_true(ech_origin_is_default(nodes, "resources", "nodes"));
    assert_false(ech_origin_is_default(nodes, "a", "nodes"));
    assert_false(ech_origin_is_default(nodes, "resources", "x"));
    assert_false(ech_origin_is_default(nodes, "resources", "node"));
    ech_origins_restore(saved, "kind: embed  # job.yaml:1\nmore: 2  # --set\nx:\n", &text);
    assert_string_equal(text.data, "kind: embed  # my.yaml:3\nmore: 2  # --set\nx:\n");
    ech_str_fini(&text);
}

static void verb_table(void **state)
{
    (void)state;
    for (const struct ech_verb *v = ech_verbs; v->name; v++) {
        if (!v->call)
            continue;
        assert_true(strncmp(v->command->name, "echelon ", 8) == 0 &&
                    strcmp(v->command->name + 8, v->name) == 0);
        assert_non_null(v->command->example);
        assert_non_null(v->command->exits);
        assert_true(strlen(v->brief) < 70 && v->group);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(cores),       cmocka_unit_test(layout),     cmocka_unit_test(command),
    cmocka_unit_test(ending),      cmocka_unit_test(outcome),    cmocka_unit_test(sweep),
    cmocka_unit_test(lost_ranks),  cmocka_unit_test(peers),      cmocka_unit_test(nodes_without_ranks),
    cmocka_unit_test(tail),        cmocka_unit_test(same_job),   cmocka_unit_test(run_directories),
    cmocka_unit_test(merged_logs), cmocka_unit_test(verb_table), cmocka_unit_test(origins),
};
ECH_TEST_MAIN(tests)
