/* The batch script: see slurm_script.h. */
#include "launcher/slurm_script.h"

#include "launcher/mpirun.h"

#include "base/num.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

/* Options of sbatch that the job file or the promise of a resume decides. */
static const struct {
    const char *option, *instead;
} owned[] = {
    {"nodes", "resources.nodes"},
    {"ntasks-per-node", "resources.ranks_per_node"},
    {"cpus-per-task", "resources.threads"},
    {"mem", "resources.memory"},
    {"time", "resources.time"},
    {"partition", "resources.partition"},
    {"account", "resources.account"},
    {"qos", "resources.qos"},
    {"constraint", "resources.constraint"},
    {"gres", "resources.gres"},
    {"job-name", "name"},
    {"dependency", "echelon submit --after"},
    {"array", "echelon submit --each"},
    {"output", "nothing: it is slurm-JOB.out in the run directory"},
    {"error", "nothing: it is slurm-JOB.out in the run directory"},
    {"open-mode", "nothing: attempts share one file"},
    {"requeue", "nothing: it is always set"},
    {"no-requeue", "nothing: a run that stops in time comes back by itself"},
    {"no-kill", "nothing: it is always set"},
    {"signal", "limits.stop_margin"},
    {"wrap", "nothing: echelon writes the script"},
};

/* ---- checking ---- */

/* Printable, no blanks, nothing that quotes. */
static bool plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!isgraph((unsigned char)*p) || strchr("\"'\\#`$", *p))
            return false;
    return *text && *text != '-';
}

static int check_plain(const char *key, const char *text, struct ech_err *err)
{
    if (!text || plain(text))
        return ECH_OK;
    return ech_fail(err, ECH_CONFIG,
                    "%s is \"%.60s\": a word without blanks, quotes, \"$\", \"#\" and \"\\\" was expected",
                    key, text);
}

/* Length of the option's name, 0 where it is none. */
static size_t option_name(const char *text)
{
    size_t n = 0;
    while (islower((unsigned char)text[n]) || (n && (isdigit((unsigned char)text[n]) || text[n] == '-')))
        n++;
    return n > 1 && (text[n] == '\0' || text[n] == '=') ? n : 0;
}

static int check_option(const char *text, struct ech_err *err)
{
    size_t length = option_name(text);
    if (!length)
        return ech_fail(err, ECH_CONFIG,
                        "slurm: \"%.60s\" is no option of sbatch: name or name=value was expected, without "
                        "dashes before it",
                        text);
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        if (strlen(owned[i].option) == length && memcmp(owned[i].option, text, length) == 0)
            return ech_fail(err, ECH_CONFIG, "slurm: %s is not passed through; instead there is %s",
                            owned[i].option, owned[i].instead);
    for (const char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p) || *p == '"' || *p == '\\')
            return ech_fail(err, ECH_CONFIG,
                            "slurm: %.*s has a quote, a backslash or a control character in its value",
                            (int)length, text);
    return ECH_OK;
}

/* "nodes=1 constraint=big" */
static int check_component(const char *text, struct ech_err *err)
{
    const char *p = text + strspn(text, " ");
    if (!*p)
        return ech_fail(err, ECH_CONFIG, "resources.components has an empty component");
    while (*p) {
        char word[256];
        size_t length = strcspn(p, " ");
        snprintf(word, sizeof word, "%.*s", (int)ech_min64((int64_t)length, 255), p);
        if (length >= sizeof word || !option_name(word) || !plain(word))
            return ech_fail(
                err, ECH_CONFIG,
                "resources.components: \"%.60s\" is no option of sbatch: name=value by blanks was "
                "expected",
                word);
        p += length + strspn(p + length, " ");
    }
    return ECH_OK;
}

static bool is_shaped(const struct ech_batch *batch)
{
    return batch->shape && batch->shape->made;
}

static const struct ech_list *components_of(const struct ech_batch *batch)
{
    return is_shaped(batch) && batch->shape->components.count ? &batch->shape->components
                                                              : &batch->job->resources.components;
}

static int check_components(const struct ech_batch *batch, struct ech_err *err)
{
    const struct ech_list *list = components_of(batch);
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < list->count; i++)
        code = check_component(list->items[i], err);
    if (code == ECH_OK && list->count && batch->job->resources.launcher != ECH_LAUNCHER_SRUN)
        code =
            ech_fail(err, ECH_CONFIG,
                     "resources.components needs resources.launcher: srun (mpirun sees the first component "
                     "alone)");
    if (code == ECH_OK && list->count >= ECH_MOST_COMPONENTS)
        code = ech_fail(err, ECH_CONFIG, "resources.components has %d components, at most %d can be",
                        list->count, ECH_MOST_COMPONENTS - 1);
    if (code == ECH_OK && list->count && batch->array_tasks)
        code =
            ech_fail(err, ECH_CONFIG, "a job with resources.components cannot be an array: Slurm has none");
    return code;
}

static int check_path(const char *what, const char *path, struct ech_err *err)
{
    for (const char *p = path; *p; p++)
        if (iscntrl((unsigned char)*p) || *p == '"' || *p == '\\')
            return ech_fail(err, ECH_CONFIG,
                            "%s %s has a quote, a backslash or a control character in it: sbatch would "
                            "misread it",
                            what, path);
    return ECH_OK;
}

/* The value of an option that is passed through; NULL: it is not there. */
static const char *passed(const struct ech_job *job, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < job->slurm.count; i++)
        if (strncmp(job->slurm.items[i], name, length) == 0 && job->slurm.items[i][length] == '=')
            return job->slurm.items[i] + length + 1;
    return NULL;
}

static int check_chosen_nodes(const struct ech_batch *batch, struct ech_err *err)
{
    static const char *const names[] = {"nodelist", "nodefile"};
    for (size_t i = 0; is_shaped(batch) && i < sizeof names / sizeof names[0]; i++)
        if (passed(batch->job, names[i]))
            return ech_fail(err, ECH_CONFIG, "slurm: %s and --cluster both choose the nodes: leave one out",
                            names[i]);
    return check_plain("slurm: exclude", passed(batch->job, "exclude"), err);
}

int ech_batch_check(const struct ech_batch *batch, struct ech_err *err)
{
    const struct ech_job *job = batch->job;
    const struct {
        const char *key, *text;
    } words[] = {{"resources.partition", job->resources.partition},
                 {"resources.account", job->resources.account},
                 {"resources.qos", job->resources.qos},
                 {"resources.constraint", job->resources.constraint},
                 {"resources.gres", job->resources.gres}};
    int code = check_path("runs", batch->run_dir, err);
    for (size_t i = 0; code == ECH_OK && i < sizeof words / sizeof words[0]; i++)
        code = check_plain(words[i].key, words[i].text, err);
    for (int i = 0; code == ECH_OK && i < job->slurm.count; i++)
        code = check_option(job->slurm.items[i], err);
    if (code == ECH_OK)
        code = check_chosen_nodes(batch, err);
    return code == ECH_OK ? check_components(batch, err) : code;
}

/* ---- the text ---- */

int64_t ech_batch_notice(const struct ech_job *job)
{
    double notice = job->limits.stop_margin + 30, most = job->resources.time / 3;
    if (job->resources.time > 0 && !(notice <= most))
        notice = most;
    return ech_min64(65535, ech_max64(1, (int64_t)ceil(notice < 65535 ? notice : 65535)));
}

void ech_slurm_time(double seconds, char *out, size_t bytes)
{
    long long s = (long long)ceil(seconds), days = s / 86400;
    int n = days ? snprintf(out, bytes, "%lld-", days) : 0;
    snprintf(out + n, bytes - (size_t)n, "%02lld:%02lld:%02lld", s % 86400 / 3600, s % 3600 / 60, s % 60);
}

void ech_shell_quote(const char *text, struct ech_str *out)
{
    ech_str_addc(out, '\'');
    for (; *text; text++)
        if (*text == '\'')
            ech_str_adds(out, "'\\''");
        else
            ech_str_addc(out, *text);
    ech_str_addc(out, '\'');
}

static void option(struct ech_str *out, const char *name, const char *value)
{
    if (value)
        ech_str_addf(out, "#SBATCH --%s=%s\n", name, value);
}

/* A per cent sign begins a placeholder of sbatch. */
static void put_output(const struct ech_batch *batch, struct ech_str *out)
{
    ech_str_adds(out, "#SBATCH --output=\"");
    for (const char *p = batch->run_dir; *p; p++)
        ech_str_adds(out, *p == '%' ? "%%" : (char[]){*p, '\0'});
    ech_str_addf(out, "/slurm-%s.out\"\n", batch->array_tasks ? "%A_%a" : "%j");
}

/* Nodes and what of them: a whole node where ranks or threads are to follow from its cores. */
static void put_shape(const struct ech_batch *batch, struct ech_str *out)
{
    const struct ech_job *job = batch->job;
    bool shaped = is_shaped(batch);
    int64_t ranks = shaped ? batch->shape->ranks : job->resources.ranks_per_node;
    int64_t threads = shaped ? batch->shape->threads : job->resources.threads;
    ech_str_addf(out, "#SBATCH --nodes=%lld\n",
                 (long long)(shaped ? batch->shape->nodes : job->resources.nodes));
    if (ranks || !threads)
        ech_str_addf(out, "#SBATCH --ntasks-per-node=%lld\n", (long long)ech_max64(ranks, 1));
    if (threads)
        ech_str_addf(out, "#SBATCH --cpus-per-task=%lld\n", (long long)threads);
    if (!ranks || !threads)
        ech_str_adds(out, "#SBATCH --exclusive\n");
    if (job->resources.memory)
        ech_str_addf(out, "#SBATCH --mem=%lldM\n", (long long)ceil((double)job->resources.memory / MIB));
}

static void put_queue(const struct ech_batch *batch, struct ech_str *out)
{
    const struct ech_job *job = batch->job;
    char time[64];
    if (job->resources.time > 0) {
        ech_slurm_time(job->resources.time, time, sizeof time);
        option(out, "time", time);
    }
    option(out, "partition", job->resources.partition ? job->resources.partition : batch->partition);
    option(out, "account", job->resources.account);
    option(out, "qos", job->resources.qos);
    option(out, "constraint",
           is_shaped(batch) && batch->shape->constraint.length ? batch->shape->constraint.data
                                                               : job->resources.constraint);
    if (is_shaped(batch) && batch->shape->nodelist.length)
        option(out, "nodelist", batch->shape->nodelist.data);
    option(out, "gres", job->resources.gres);
    if (batch->after)
        ech_str_addf(out, "#SBATCH --dependency=%s\n#SBATCH --kill-on-invalid-dep=yes\n", batch->after);
    if (batch->array_tasks)
        ech_str_addf(out, "#SBATCH --array=0-%lld", (long long)batch->array_tasks - 1);
    if (batch->array_tasks && batch->array_throttle)
        ech_str_addf(out, "%%%lld", (long long)batch->array_throttle);
    if (batch->array_tasks)
        ech_str_addc(out, '\n');
}

/* Who is left out: by the cluster file, by the job, by what happened. Owner: the caller. */
static struct ech_str find_excluded(const struct ech_batch *batch)
{
    struct ech_str out;
    const char *parts[] = {is_shaped(batch) && batch->shape->exclude.length ? batch->shape->exclude.data
                                                                            : NULL,
                           passed(batch->job, "exclude"), batch->left_out};
    ech_str_init(&out);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i] && *parts[i])
            ech_str_addf(&out, "%s%s", out.length ? "," : "", parts[i]);
    return out;
}

static void put_passed(const struct ech_list *list, struct ech_str *out)
{
    for (int i = 0; i < list->count; i++) {
        const char *text = list->items[i], *value = strchr(text, '=');
        if (strncmp(text, "exclude=", 8) == 0)
            continue; /* find_excluded has it */
        if (value)
            ech_str_addf(out, "#SBATCH --%.*s=\"%s\"\n", (int)(value - text), text, value + 1);
        else
            ech_str_addf(out, "#SBATCH --%s\n", text);
    }
}

static bool says(const char *component, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = component; (p = strstr(p, name)); p += length)
        if ((p == component || p[-1] == ' ') && p[length] == '=')
            return true;
    return false;
}

/* A component takes nothing over from the first one: what all should have is said again. */
static void put_component(const struct ech_batch *batch, const char *text, const char *excluded,
                          struct ech_str *out)
{
    const struct ech_job *job = batch->job;
    char time[64] = "";
    if (job->resources.time > 0)
        ech_slurm_time(job->resources.time, time, sizeof time);
    const struct {
        const char *name, *value;
    } shared[] = {{"time", time[0] ? time : NULL},
                  {"partition", job->resources.partition ? job->resources.partition : batch->partition},
                  {"account", job->resources.account},
                  {"qos", job->resources.qos},
                  {"exclude", excluded}};
    ech_str_adds(out, "#SBATCH hetjob\n");
    for (const char *p = text + strspn(text, " "); *p;) {
        size_t length = strcspn(p, " ");
        ech_str_addf(out, "#SBATCH --%.*s\n", (int)length, p);
        p += length + strspn(p + length, " ");
    }
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        if (!says(text, shared[i].name))
            option(out, shared[i].name, shared[i].value);
    ech_str_adds(out, "#SBATCH --no-kill\n#SBATCH --requeue\n");
}

/* The running part. `wait` returns at each trapped signal, hence the loop. A stop by TERM is the scheduler's
 * or the user's own: it is never put back from here. */
static const char body[] =
    "\n"
    "restarts=${SLURM_RESTART_COUNT:-0}\n"
    "ended=\n"
    "say() { printf 'echelon batch: %s\\n' \"$*\"; }\n"
    "stop_for_good() { say \"$*\"; printf '%s\\n' \"$*\" >\"$run/slurm-stopped\"; exit 75; }\n"
    "\n"
    "# Rows done so far; a run that has not begun has none.\n"
    "rows() { \"$echelon\" status \"$run\" --json 2>/dev/null | sed -n "
    "'s/.*\"rows_done\":\\([0-9]*\\).*/\\1/p'; }\n"
    "\n"
    "# Did the attempt before restart $1 get on? Two that did not are the end.\n"
    "judge() {\n"
    "    local seen=0 most=0 idle=0 now\n"
    "    [ -s \"$run/slurm-progress\" ] && read -r seen most idle <\"$run/slurm-progress\"\n"
    "    [ \"$seen\" -lt \"$1\" ] || return 0\n"
    "    now=$(rows)\n"
    "    if [ \"${now:-0}\" -gt \"$most\" ]; then most=$now idle=0; else idle=$((idle + 1)); fi\n"
    "    printf '%s %s %s\\n' \"$1\" \"$most\" \"$idle\" >\"$run/slurm-progress\"\n"
    "    [ \"$idle\" -lt 2 ] || stop_for_good \"no progress in two attempts ($most rows are done): not put "
    "back into"
    " the queue; see $run, then: echelon resume, or submit again\"\n"
    "}\n"
    "\n"
    "# Nodes that failed three times are not asked for again. Slurm changes that of a waiting job alone.\n"
    "leave_out() {\n"
    "    [ -s \"$run/slurm-exclude\" ] || return 0\n"
    "    exclude=${exclude:+$exclude,}$(cat \"$run/slurm-exclude\")\n"
    "    scontrol update JobId=\"$SLURM_JOB_ID\" ExcNodeList=\"$exclude\" && say \"from now on without "
    "$exclude\"\n"
    "}\n"
    "\n"
    "[ ! -e \"$run/slurm-cancelled\" ] || { say \"cancelled; again after: rm $run/slurm-cancelled\"; exit "
    "75; }\n"
    "judge \"$restarts\"\n"
    "trap 'kill -USR1 \"$pid\" 2>/dev/null' USR1 # before the time limit: the ranks save, status 75\n"
    "trap 'ended=1; kill -USR1 \"$pid\" 2>/dev/null' TERM\n"
    "say \"job $SLURM_JOB_ID, restart $restarts, $SLURM_JOB_NUM_NODES node(s): $SLURM_JOB_NODELIST\"\n"
    "\"$echelon\" resume \"$run\" --set resources.nodes=\"$SLURM_JOB_NUM_NODES\" &\n"
    "pid=$!\n"
    "while kill -0 \"$pid\" 2>/dev/null; do wait \"$pid\"; done\n"
    "wait \"$pid\"\n"
    "status=$?\n"
    "say \"ended with status $status\"\n"
    "\n"
    "# 75: stopped in time, or ranks lost; from 128 on: killed, with its node perhaps.\n"
    "if [ \"$status\" != 75 ] && [ \"$status\" -lt 128 ]; then exit \"$status\"; fi\n"
    "[ -z \"$ended\" ] || exit 75\n"
    "[ ! -e \"$run/slurm-cancelled\" ] || { say 'cancelled'; exit 75; }\n"
    "judge \"$((restarts + 1))\"\n"
    "say 'back into the queue'\n"
    "# Slurm ends this script as soon as it is asked; what is left to do is done all the same.\n"
    "(trap '' TERM; scontrol requeue \"$SLURM_JOB_ID\" && leave_out) && [ -z \"$ended\" ] && sleep 60\n"
    "exit 75\n";

void ech_batch_script(const struct ech_batch *batch, struct ech_str *out)
{
    struct ech_str excluded = find_excluded(batch);
    const char *names = excluded.length ? excluded.data : NULL;
    out->failed = out->failed || excluded.failed;
    ech_str_addf(
        out,
        "#!/bin/bash\n"
        "# Written by echelon submit. One job may run it several times: each attempt goes on where the\n"
        "# last one stopped, until the run is sealed (echelon status shows it).\n"
        "#SBATCH --job-name=%s\n",
        batch->job->name);
    put_output(batch, out);
    ech_str_adds(out, "#SBATCH --open-mode=append\n");
    put_shape(batch, out);
    put_queue(batch, out);
    option(out, "exclude", names);
    ech_str_addf(out, "#SBATCH --no-kill\n#SBATCH --requeue\n#SBATCH --signal=B:USR1@%lld\n",
                 (long long)ech_batch_notice(batch->job));
    put_passed(&batch->job->slurm, out);
    const struct ech_list *components = components_of(batch);
    for (int i = 0; i < components->count; i++)
        put_component(batch, components->items[i], names, out);
    ech_str_adds(out, "\nrun=");
    ech_shell_quote(batch->run_dir, out);
    ech_str_adds(out, "\nechelon=");
    ech_shell_quote(batch->echelon, out);
    ech_str_adds(out, "\nexclude=");
    ech_shell_quote(names ? names : "", out);
    ech_str_addc(out, '\n');
    if (batch->array_tasks)
        ech_str_adds(out, "run=$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" \"$run/slurm-runs\")\n");
    ech_str_adds(out, body);
    ech_str_fini(&excluded);
}
