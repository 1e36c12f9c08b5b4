/* The verb `submit`: run directories, their batch script, sbatch. What is decided lies in slurm_script.c and
 * slurm_site.c. */
#include "launcher/submit.h"

#include "launcher/argv.h"
#include "launcher/job.h"
#include "launcher/rundirs.h"
#include "launcher/slurm.h"
#include "launcher/slurm_script.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { LIST_BYTES = 16 << 20, MOST_EACH = 100000, ARRAY_DEFAULT = 1001 };
#define SCRIPT "submit.sh"
#define RUNS   "slurm-runs"

static const struct ech_option options[] = {
    {"set", "KEY=VALUE", true, "overrides a value of the job file"},
    {"after", "JOB", true, "a run, or a number of a Slurm job, that must end well first"},
    {"each", "FILE", false, "one array task for each dataset (a line): output.dataset/NAME is its output"},
    {"throttle", "N", false, "with --each: at most N tasks at a time"},
    {"cluster", "FILE", false, "cluster file: only its nodes, each with the ranks of its class"},
    {"dry-run", NULL, false, "print the batch script; nothing is made or submitted"},
    {NULL, NULL, false, NULL}};

static const struct ech_exit exits[] = {
    {0, "submitted (or printed)"},
    {ECH_USAGE, NULL},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "Slurm is not here or refuses, or no partition fits; the reasons are told"},
    {ECH_EXISTS, NULL},
    {ECH_CONFIG, NULL},
    {0, NULL}};

const struct ech_command ech_submit_command = {
    .name = "echelon submit",
    .usage = "JOB.yaml [--set KEY=VALUE]... [--after JOB]... [--each FILE [--throttle N]]\n"
             "       [--cluster C.yaml] [--dry-run]",
    .summary =
        "Submits a job to Slurm: makes the run directory (its path on stdout), writes submit.sh into it and\n"
        "gives it to sbatch; a file with steps becomes a job a step. Stopped by the time limit or a lost "
        "node, the job goes back into the queue and\n"
        "goes on, until it is sealed or two attempts brought nothing. echelon status shows what Slurm says,\n"
        "echelon cancel stops it. Keys: resources.*, and slurm for other options of sbatch. --cluster asks "
        "for the\n"
        "nodes of its classes (a class without hosts: nodes with a feature of its name); with launcher srun "
        "each\n"
        "class is a component. Nodes that failed in three attempts of a run are not asked for again.",
    .options = options,
    .operands_least = 1,
    .operands_most = 1,
    .example = "echelon submit job.yaml --set resources.nodes=4 --set resources.time=1:30:00",
    .exits = exits};

static const struct ech_job *job_of(const struct ech_submission *s)
{
    return ech_config_job(s->configs[0]);
}

/* ---- reading ---- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The job with the dataset of one line. */
static int load_each(struct ech_submission *s, const char *dataset, const char *output, struct ech_err *err)
{
    const char *const *sets = ech_args_all(s->args, "set");
    size_t n = 0;
    while (sets[n])
        n++;
    const char **all = ech_calloc(n + 3, sizeof *all, err);
    char *in = ech_sprintf(err, "input.dataset=%s", dataset);
    char *out = ech_sprintf(err, "output.dataset=%s/%s", output, last_part(dataset));
    int code = all && in && out ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        memcpy(all, sets, n * sizeof *all);
        all[n] = in;
        all[n + 1] = out;
        struct ech_config_request request = {
            .path = s->args->operands[0], .sets = all, .env = (const char *const *)environ};
        code = ech_config_load(&request, &s->configs[s->count], err);
        s->count += code == ECH_OK;
    }
    ech_free(in);
    ech_free(out);
    ech_free(all);
    return code;
}

static int check_twice(const struct ech_submission *s, struct ech_err *err)
{
    const char *mine = ech_config_job(s->configs[s->count - 1])->output.dataset;
    for (int64_t i = 0; i + 1 < s->count; i++)
        if (strcmp(ech_config_job(s->configs[i])->output.dataset, mine) == 0)
            return ech_fail(err, ECH_CONFIG,
                            "--each: two datasets have the same last name, both would write %s", mine);
    return ECH_OK;
}

static int load_list(struct ech_submission *s, const char *file, const char *output, struct ech_err *err)
{
    char *text = NULL;
    int code = ech_read_file(file, LIST_BYTES, &text, NULL, err);
    for (char *line = text; code == ECH_OK && *line;) {
        char *next = line + strcspn(line, "\n");
        bool last = *next == '\0';
        *next = '\0';
        size_t length = strlen(line);
        while (length > 1 && line[length - 1] == '/')
            line[--length] = '\0';
        if (length && line[0] != '#' && s->count == MOST_EACH)
            code = ech_fail(err, ECH_CONFIG, "--each: %s has more than %d datasets", file, MOST_EACH);
        else if (length && line[0] != '#' && (code = load_each(s, line, output, err)) == ECH_OK)
            code = check_twice(s, err);
        line = last ? next : next + 1;
    }
    if (code == ECH_OK && !s->count)
        code = ech_fail(err, ECH_CONFIG, "--each: %s names no dataset", file);
    ech_free(text);
    return code;
}

static int load(struct ech_submission *s, struct ech_err *err)
{
    const char *file = ech_args_get(s->args, "each");
    struct ech_config *config = NULL;
    struct ech_config_request request = {.path = s->args->operands[0],
                                         .sets = ech_args_all(s->args, "set"),
                                         .env = (const char *const *)environ,
                                         .step = s->step};
    int code = ech_config_load(&request, &config, err);
    if (code != ECH_OK)
        return code;
    s->configs = ech_calloc(file ? MOST_EACH : 1, sizeof(struct ech_config *), err);
    if (!s->run_dirs) /* a step that goes on has one */
        s->run_dirs = ech_calloc(file ? MOST_EACH : 1, sizeof(char *), err);
    if (!s->configs || !s->run_dirs)
        code = ECH_UNAVAILABLE;
    else if (file)
        code = load_list(s, file, ech_config_job(config)->output.dataset, err);
    else {
        s->configs[s->count++] = config;
        return ECH_OK;
    }
    ech_config_destroy(config);
    return code;
}

static int check(const struct ech_submission *s, struct ech_err *err)
{
    int code = ECH_OK;
    for (int64_t i = 0; code == ECH_OK && i < s->count; i++) {
        const struct ech_job *job = ech_config_job(s->configs[i]);
        bool is_there = !s->fed || ech_job_check_inputs(job, NULL) == ECH_OK;
        if (!s->fed)
            code = ech_job_check_inputs(job, err);
        if (code == ECH_OK && is_there && !s->run_dirs[i])
            code = ech_job_check_output(job, err);
    }
    return code;
}

/* --after: a number, or a run that was submitted. */
static int find_after(struct ech_submission *s, struct ech_err *err)
{
    const char *const *names = ech_args_all(s->args, "after");
    for (; *names; names++) {
        char id[64];
        char *run_dir = NULL;
        if (strspn(*names, "0123456789_") == strlen(*names) && **names)
            snprintf(id, sizeof id, "%.60s", *names);
        else {
            int code = ech_rundir_find(*names, &run_dir, err);
            bool known = code == ECH_OK && ech_slurm_read_job(run_dir, id, sizeof id);
            ech_free(run_dir);
            if (code != ECH_OK)
                return ech_prefix(err, "--after");
            if (!known)
                return ech_fail(err, ECH_USAGE, "--after %s: that run was not submitted to Slurm", *names);
        }
        ech_str_addf(&s->after, "%s:%s", s->after.length ? "" : "afterok", id);
    }
    return ech_str_check(&s->after, err);
}

/* What went before, where the run is not new. */
static int read_left_out(struct ech_submission *s, struct ech_err *err)
{
    char *path = s->kept ? ech_run_path(err, s->run_dirs[0], "%s", ECH_RUN_SLURM_EXCLUDE) : NULL;
    int code = s->kept && !path ? ECH_UNAVAILABLE : ECH_OK;
    if (path && ech_path_exists(path))
        code = ech_read_file(path, LIST_BYTES, &s->left_out, NULL, err);
    if (s->left_out)
        s->left_out[strcspn(s->left_out, "\n")] = '\0';
    ech_free(path);
    return code;
}

static struct ech_batch batch_of(const struct ech_submission *s, const char *run_dir, int64_t tasks)
{
    return (struct ech_batch){.job = job_of(s),
                              .run_dir = run_dir,
                              .echelon = s->echelon,
                              .partition = s->partition[0] ? s->partition : NULL,
                              .after = s->after.length ? s->after.data : NULL,
                              .shape = s->shape.made ? &s->shape : NULL,
                              .left_out = s->left_out,
                              .array_tasks = tasks,
                              .array_throttle = s->throttle};
}

static int check_batch(const struct ech_submission *s, struct ech_err *err)
{
    struct ech_batch batch = batch_of(s, job_of(s)->runs, ech_args_given(s->args, "each") ? s->count : 0);
    return ech_batch_check(&batch, err);
}

/* ---- the site ---- */

static int ask_sinfo(char **out, struct ech_err *err)
{
    char *argv[] = {"sinfo", "--exact", "--noheader", "--format=" ECH_SINFO_FORMAT, NULL};
    return ech_slurm_call(argv, out, err);
}

/* What the cluster file asks of this site. */
static int find_shape(struct ech_submission *s, const struct ech_site *site, struct ech_err *err)
{
    char *nodes = NULL, *argv[] = {"sinfo", "--Node", "--noheader", "--format=" ECH_SINFO_WHERE, NULL};
    if (!s->cluster)
        return ECH_OK;
    int code = site && ech_cluster_names_hosts(s->cluster) ? ech_slurm_call(argv, &nodes, err) : ECH_OK;
    struct ech_cluster_ask ask = {.cluster = s->cluster,
                                  .job = job_of(s),
                                  .nodes_given = ech_config_given(s->configs[0], "resources.nodes"),
                                  .nodes = nodes,
                                  .site = site};
    if (code == ECH_OK)
        code = ech_cluster_shape_make(&ask, &s->shape, err);
    if (code == ECH_OK)
        code = check_batch(s, err);
    ech_free(nodes);
    return code;
}

static struct ech_site_ask ask_of(const struct ech_submission *s)
{
    const struct ech_job *job = job_of(s);
    const struct ech_cluster_shape *shape = s->shape.made ? &s->shape : NULL;
    int64_t ranks = ech_max64(shape ? shape->ranks : job->resources.ranks_per_node, 1);
    int64_t threads = ech_max64(shape ? shape->threads : job->resources.threads, 1);
    return (struct ech_site_ask){.partition = job->resources.partition,
                                 .constraint = shape && shape->constraint.length ? shape->constraint.data
                                                                                 : job->resources.constraint,
                                 .gres = job->resources.gres,
                                 .among = shape && shape->partitions.length ? shape->partitions.data : NULL,
                                 .nodes = shape ? shape->nodes : job->resources.nodes,
                                 .cpus = ranks * threads,
                                 .memory_mib = (job->resources.memory + (1 << 20) - 1) >> 20,
                                 .time = job->resources.time};
}

int ech_submission_place(struct ech_submission *s, const char *sinfo, struct ech_err *err)
{
    const char *several = job_of(s)->resources.partition, *partition = NULL;
    struct ech_site site = {0};
    int code = sinfo ? ech_site_parse(sinfo, &site, err) : ECH_OK;
    if (code == ECH_OK)
        code = find_shape(s, sinfo ? &site : NULL, err);
    if (code != ECH_OK || !sinfo || (several && strchr(several, ','))) {
        ech_site_fini(&site);
        return code; /* nothing is known; or several are named: Slurm chooses */
    }
    struct ech_site_ask ask = ask_of(s);
    code = ech_site_choose(&site, &ask, &partition, err);
    for (size_t i = 0; code == ECH_OK && i < site.count; i++)
        if (!site.rows[i].is_default && strcmp(site.rows[i].partition, partition) == 0)
            snprintf(s->partition, sizeof s->partition, "%s", partition);
    ech_site_fini(&site);
    return code;
}

/* Tasks of one array; the site's limit is the first index that is refused. */
static int64_t array_size(void)
{
    char *argv[] = {"scontrol", "show", "config", NULL}, *text = NULL;
    int64_t size = ech_slurm_call(argv, &text, NULL) == ECH_OK ? ech_site_array_size(text) : 0;
    ech_free(text);
    return size > 0 ? size : ARRAY_DEFAULT;
}

/* ---- making and submitting ---- */

/* Each rank finds its class there. */
static int keep_cluster(const struct ech_submission *s, const char *run_dir, struct ech_err *err)
{
    struct ech_str text;
    if (!s->cluster)
        return ECH_OK;
    ech_str_init(&text);
    int code = ech_cluster_print(s->cluster, &text, err);
    if (code == ECH_OK)
        code = ech_rundir_write(run_dir, ECH_RUN_CLUSTER, &text, err);
    ech_str_fini(&text);
    return code;
}

static int make_run(struct ech_submission *s, int64_t i, struct ech_err *err)
{
    const struct ech_job *job = ech_config_job(s->configs[i]);
    if (s->kept)
        return keep_cluster(s, s->run_dirs[i], err);
    int code = ech_rundir_create(job->runs, job->name, &s->run_dirs[i], err);
    if (code == ECH_OK)
        code = ech_job_write(s->run_dirs[i], s->configs[i], err);
    if (code == ECH_OK)
        code = keep_cluster(s, s->run_dirs[i], err);
    if (code == ECH_OK)
        code = ech_job_make_parent(job, err);
    char *nodes = code == ECH_OK ? ech_run_path(err, s->run_dirs[i], "%s", ECH_RUN_NODES) : NULL;
    if (code == ECH_OK)
        code = nodes ? ech_mkdir_all(nodes, err) : ECH_UNAVAILABLE;
    ech_free(nodes);
    return code;
}

static int write_script(const struct ech_submission *s, int64_t first, int64_t tasks, struct ech_err *err)
{
    struct ech_str text, runs;
    struct ech_batch batch = batch_of(s, s->run_dirs[first], tasks);
    ech_str_init(&text);
    ech_str_init(&runs);
    ech_batch_script(&batch, &text);
    for (int64_t i = 0; i < tasks; i++)
        ech_str_addf(&runs, "%s\n", s->run_dirs[first + i]);
    int code = ech_rundir_write(s->run_dirs[first], SCRIPT, &text, err);
    if (code == ECH_OK && tasks)
        code = ech_rundir_write(s->run_dirs[first], RUNS, &runs, err);
    ech_str_fini(&text);
    ech_str_fini(&runs);
    return code;
}

/* One sbatch for the runs from `first` on; tasks 0: one plain job. */
static int submit(struct ech_submission *s, int64_t first, int64_t tasks, struct ech_err *err)
{
    char id[32], task[64];
    char *text = NULL, *script = ech_run_path(err, s->run_dirs[first], "%s", SCRIPT);
    char *argv[] = {"sbatch", "--parsable", script, NULL};
    int code = script ? ech_slurm_call(argv, &text, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && !ech_sbatch_job(text, id, sizeof id))
        code = ech_fail(err, ECH_UNAVAILABLE, "sbatch gave no job number: %.300s", text);
    for (int64_t i = 0; code == ECH_OK && i < ech_max64(tasks, 1); i++) {
        snprintf(task, sizeof task, tasks ? "%s_%lld" : "%s", id, (long long)i);
        code = ech_slurm_write_job(s->run_dirs[first + i], task, err);
        if (code == ECH_OK)
            printf("%s\n", s->run_dirs[first + i]);
    }
    fflush(stdout);
    if (code == ECH_OK && job_of(s)->resources.launcher == ECH_LAUNCHER_SRUN)
        ech_say("launcher srun: the death of a rank ends an attempt, and the job goes back into the queue");
    if (code == ECH_OK) {
        snprintf(s->id, sizeof s->id, "%s", id);
        ech_say("%s%s%ssubmitted as job %s; echelon status %s shows it", s->step ? "step " : "",
                s->step ? s->step : "", s->step ? ": " : "", id, s->run_dirs[first]);
    }
    ech_free(text);
    ech_free(script);
    return code;
}

/* Nothing that was not submitted stays. */
static void remove_runs(const struct ech_submission *s, int64_t from)
{
    for (int64_t i = from; !s->kept && i < s->count; i++)
        if (s->run_dirs[i])
            ech_remove_all(s->run_dirs[i], NULL);
}

static int submit_all(struct ech_submission *s, struct ech_err *err)
{
    bool array = ech_args_given(s->args, "each");
    int64_t most = array ? array_size() : 1, first = 0;
    int code = ECH_OK;
    for (int64_t i = 0; code == ECH_OK && i < s->count; i++)
        code = make_run(s, i, err);
    while (code == ECH_OK && first < s->count) {
        int64_t tasks = array ? ech_min64(most, s->count - first) : 0;
        code = write_script(s, first, tasks, err);
        if (code == ECH_OK)
            code = submit(s, first, tasks, err);
        first += code == ECH_OK ? ech_max64(tasks, 1) : 0;
    }
    if (code != ECH_OK)
        remove_runs(s, first);
    return code;
}

static int dry_run(const struct ech_submission *s, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    char *run_dir = ech_sprintf(err, "%s/%s-RUN", job_of(s)->runs, job_of(s)->name);
    int code = run_dir ? ECH_OK : ECH_UNAVAILABLE;
    if (code == ECH_OK) {
        struct ech_batch batch = batch_of(s, run_dir, ech_args_given(s->args, "each") ? s->count : 0);
        ech_batch_script(&batch, &text);
        code = ech_str_check(&text, err);
    }
    if (code == ECH_OK)
        fputs(text.data, stdout);
    ech_str_fini(&text);
    ech_free(run_dir);
    return code;
}

int ech_submission_prepare(struct ech_submission *s, struct ech_err *err)
{
    const char *cluster = ech_args_get(s->args, "cluster");
    ssize_t n = readlink("/proc/self/exe", s->echelon, sizeof s->echelon - 1);
    s->echelon[n > 0 ? n : 0] = '\0';
    int code = load(s, err);
    if (code == ECH_OK)
        code = check(s, err);
    if (code == ECH_OK)
        code = find_after(s, err);
    if (code == ECH_OK)
        code = read_left_out(s, err);
    if (code == ECH_OK && cluster)
        code = ech_cluster_load(cluster, &s->cluster, err);
    return code == ECH_OK ? check_batch(s, err) : code;
}

int ech_submission_send(struct ech_submission *s, struct ech_err *err)
{
    return ech_args_given(s->args, "dry-run") ? dry_run(s, err) : submit_all(s, err);
}

void ech_submission_fini(struct ech_submission *s)
{
    for (int64_t i = 0; i < s->count; i++)
        ech_config_destroy(s->configs[i]);
    for (int64_t i = 0; s->run_dirs && i < ech_max64(s->count, s->kept); i++)
        ech_free(s->run_dirs[i]);
    ech_free(s->configs);
    ech_free(s->run_dirs);
    ech_str_fini(&s->after);
    ech_cluster_shape_fini(&s->shape);
    ech_cluster_destroy(s->cluster);
    ech_free(s->left_out);
}

int ech_submit_ask_site(const struct ech_args *args, char **sinfo, struct ech_err *err)
{
    int code = ask_sinfo(sinfo, err);
    if (code == ECH_OK || !ech_args_given(args, "dry-run"))
        return code;
    ech_say("the limits of the partitions were not looked at: %s", err->text);
    ech_err_clear(err);
    return ECH_OK;
}

static int submit_one(const struct ech_args *args, int64_t throttle, struct ech_err *err)
{
    struct ech_submission s = {.args = args, .throttle = throttle};
    char *sinfo = NULL;
    int code = ech_submission_prepare(&s, err);
    if (code == ECH_OK)
        code = ech_submit_ask_site(args, &sinfo, err);
    if (code == ECH_OK)
        code = ech_submission_place(&s, sinfo, err);
    if (code == ECH_OK)
        code = ech_submission_send(&s, err);
    ech_free(sinfo);
    ech_submission_fini(&s);
    return code;
}

static int submit_file(const struct ech_args *args, struct ech_err *err)
{
    int64_t throttle = 0;
    struct ech_pipeline pipeline = {0};
    int code = ech_args_get_int(args, "throttle", 1, MOST_EACH, &throttle, err);
    if (code == ECH_OK && throttle && !ech_args_given(args, "each"))
        code = ech_fail(err, ECH_USAGE, "--throttle goes with --each: it limits the tasks of an array");
    if (code == ECH_OK)
        code = ech_pipeline_load(args->operands[0], ech_args_all(args, "set"), &pipeline, err);
    if (code == ECH_OK && pipeline.steps.count && ech_args_given(args, "each"))
        code =
            ech_fail(err, ECH_USAGE, "--each goes with a file of one job, %s has steps", args->operands[0]);
    if (code == ECH_OK)
        code =
            pipeline.steps.count ? ech_submit_steps(args, &pipeline, err) : submit_one(args, throttle, err);
    ech_pipeline_fini(&pipeline);
    return code;
}

int ech_verb_submit(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    bool done;
    int code = ech_verb_args(&ech_submit_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = submit_file(&args, err);
    ech_args_fini(&args);
    return code;
}
