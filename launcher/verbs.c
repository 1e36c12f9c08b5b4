/* The table of verbs: see verbs.h. */
#include "launcher/verbs.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define JOBS     "run jobs"
#define LOOK     "look at runs"
#define MATERIAL "datasets and models"
#define MACHINE  "configuration and machine"

const struct ech_verb ech_verbs[] = {
    {"run", JOBS, "run a job: start the ranks, show progress, seal the output", ech_verb_run,
     &ech_run_command},
    {"submit", JOBS, "run a job through Slurm; it comes back by itself", ech_verb_submit,
     &ech_submit_command},
    {"resume", JOBS, "go on with a run after any stop", ech_verb_resume, &ech_resume_command},
    {"cancel", JOBS, "stop a run cleanly", ech_verb_cancel, &ech_cancel_command},
    {"clean", JOBS, "drop the spools of a sealed and verified run", ech_verb_clean, &ech_clean_command},
    {"plan", JOBS, "shares, memory and finish time of a job; nothing runs", ech_verb_plan, &ech_plan_command},
    {"status", LOOK, "state, rows, rate and ranks of a run", ech_verb_status, &ech_status_command},
    {"logs", LOOK, "the logs of all ranks, merged by time", ech_verb_logs, &ech_logs_command},
    {"report", LOOK, "write report.html of a run", ech_verb_report, &ech_report_command},
    {"data", MATERIAL, "import, export, append, show, head, verify", ech_verb_data, &ech_data_command},
    {"model", MATERIAL, "what a model folder is and whether it is whole", ech_verb_model, &ech_model_command},
    {"eval", MATERIAL, "quality: BLEU, chrF, perplexity, multiple choice", ech_verb_eval, &ech_eval_command},
    {"config", MACHINE, "effective values with origins, check, schema", ech_verb_config, &ech_config_command},
    {"doctor", MACHINE, "what is here, what is missing, how to mend it", ech_verb_doctor,
     &ech_doctor_command},
    {"simulate", MACHINE, "policies on a made-up cluster, beside the optimum", ech_verb_simulate,
     &ech_simulate_command},
    {"bench", MACHINE, "measure a part beside its limit", ech_verb_bench, &ech_bench_command},
    {NULL, NULL, NULL, NULL, NULL}};

int ech_verb_args(const struct ech_command *command, int argc, char **argv, struct ech_args *out, bool *done,
                  struct ech_err *err)
{
    *done = false;
    int code = ech_args_parse(command, argc, argv, out, err);
    if (code != ECH_OK || !out->help)
        return code;
    *done = true;
    struct ech_str text;
    ech_str_init(&text);
    code = ech_args_help(command, &text, err);
    if (code == ECH_OK)
        fputs(text.data, stdout);
    ech_str_fini(&text);
    return code;
}

bool ech_quiet(void)
{
    return !ech_log_on(ECH_LOG_WARN, "launcher");
}

void ech_say(const char *fmt, ...)
{
    if (ech_quiet())
        return;
    va_list args;
    fputs("echelon: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
}
