/* The verbs of the command and what they share. A verb gets the words behind its name, prints
 * machine-readable output on stdout and human talk on stderr, and returns the exit status; what went wrong is
 * in err and is printed once, by main. */
#ifndef ECH_LAUNCHER_VERBS_H
#define ECH_LAUNCHER_VERBS_H

#include "base/args.h"

struct ech_verb {
    const char *name;
    const char *group, *brief; /* heading and line in `echelon --help` */
    int (*call)(int argc, char **argv, struct ech_err *err);
    const struct ech_command *command;
};
/* Ended by name NULL. */
extern const struct ech_verb ech_verbs[];

int ech_verb_run(int argc, char **argv, struct ech_err *err);
int ech_verb_submit(int argc, char **argv, struct ech_err *err);
int ech_verb_resume(int argc, char **argv, struct ech_err *err);
int ech_verb_cancel(int argc, char **argv, struct ech_err *err);
int ech_verb_clean(int argc, char **argv, struct ech_err *err);
int ech_verb_plan(int argc, char **argv, struct ech_err *err);
int ech_verb_status(int argc, char **argv, struct ech_err *err);
int ech_verb_logs(int argc, char **argv, struct ech_err *err);
int ech_verb_report(int argc, char **argv, struct ech_err *err);
int ech_verb_data(int argc, char **argv, struct ech_err *err);
int ech_verb_model(int argc, char **argv, struct ech_err *err);
int ech_verb_eval(int argc, char **argv, struct ech_err *err);
int ech_verb_config(int argc, char **argv, struct ech_err *err);
int ech_verb_doctor(int argc, char **argv, struct ech_err *err);
int ech_verb_simulate(int argc, char **argv, struct ech_err *err);
int ech_verb_bench(int argc, char **argv, struct ech_err *err);

extern const struct ech_command ech_run_command, ech_resume_command, ech_cancel_command, ech_clean_command,
    ech_plan_command, ech_status_command, ech_logs_command, ech_report_command, ech_data_command,
    ech_model_command, ech_config_command, ech_doctor_command, ech_simulate_command, ech_bench_command,
    ech_submit_command, ech_eval_command;

/* Parse the verb's words; where help was asked for, print it. *done: the verb has nothing more to do.
 * Owner   out: ech_args_fini (also after done). */
int ech_verb_args(const struct ech_command *command, int argc, char **argv, struct ech_args *out, bool *done,
                  struct ech_err *err);
/* One line for people on stderr, "echelon: ..."; silent where the log level is error. */
void ech_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool ech_quiet(void);

/* Run echelon-rank --solo VERB words... to its end; its status. */
int ech_solo(const char *verb, int argc, char **argv, struct ech_err *err);

#endif
