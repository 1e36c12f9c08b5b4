/* Verbs that echelon-rank does: in one process (--solo), or under mpirun where --ranks asks for it. */
#include "launcher/argv.h"
#include "launcher/child.h"
#include "launcher/session.h"
#include "launcher/tail.h"
#include "launcher/verbs.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define HEARTBEAT_S 10.0  /* as limits.heartbeat is by default */
#define START_S     120.0 /* as the rank program takes it */

static const struct ech_exit exits[] = {
    {0, "success"},     {ECH_USAGE, NULL}, {ECH_DATA, NULL},   {ECH_NOINPUT, NULL}, {ECH_UNAVAILABLE, NULL},
    {ECH_EXISTS, NULL}, {ECH_IO, NULL},    {ECH_CONFIG, NULL}, {ECH_REQUEUE, NULL}, {0, NULL}};

const struct ech_command ech_data_command = {
    .name = "echelon data",
    .usage = "{import|export|append|show|head|verify} ...",
    .summary = "Makes and reads datasets: import, export and append (.jsonl, .csv, .txt, .npy), show, head, "
               "verify.\n"
               "import, export and append take --ranks N: the same bytes, made by N ranks under mpirun.\n"
               "echelon data WHAT --help says more.",
    .operands_most = -1,
    .example = "echelon data import reviews.jsonl data/reviews\nechelon data head data/reviews",
    .exits = exits};
const struct ech_command ech_model_command = {
    .name = "echelon model",
    .usage = "{show|check} PATH",
    .summary = "Says what a model folder is and what it needs, and checks that it is whole.",
    .operands_most = -1,
    .example = "echelon model show models/all-MiniLM-L6-v2",
    .exits = exits};
const struct ech_command ech_eval_command = {
    .name = "echelon eval",
    .usage = "{translation|perplexity|choice} ...",
    .summary =
        "Quality in the field's own metrics. translation: BLEU and chrF, the numbers that sacrebleu prints.\n"
        "perplexity: of a language model on a text. choice: how often it finds the right one of several "
        "answers.\n"
        "echelon eval WHAT --help says more.",
    .operands_most = -1,
    .example = "echelon eval translation out.pt --reference dev.pt",
    .exits = exits};
const struct ech_command ech_bench_command = {
    .name = "echelon bench",
    .usage = "{kernels|embed|io|dispatch} ...",
    .summary = "Measures a part of the system, with its ratio to a limit measured in the same run.\n"
               "embed, io and dispatch take --ranks N. echelon bench WHAT --help says more.",
    .operands_most = -1,
    .example = "echelon bench dispatch --ranks 2\nechelon bench kernels --ops linear --threads 2",
    .exits = exits};

int ech_solo(const char *verb, int argc, char **argv, struct ech_err *err)
{
    char *rank = NULL;
    struct ech_argv words;
    int code = ech_find_rank_program(&rank, err);
    if (code != ECH_OK)
        return code;
    ech_argv_init(&words);
    ech_argv_add(&words, rank);
    ech_argv_add(&words, "--solo");
    ech_argv_add(&words, verb);
    for (int i = 0; i < argc; i++)
        ech_argv_add(&words, argv[i]);
    fflush(stdout);
    code = ech_argv_check(&words, err);
    struct ech_child_spec spec = {.argv = words.items, .output = -1, .death_signal = SIGTERM};
    if (code == ECH_OK)
        code = ech_child_wait(&spec, err);
    ech_argv_fini(&words);
    ech_free(rank);
    return code;
}

/* Take "--ranks N" out of the words. *ranks stays -1 where it is not there. */
static int take_ranks(int argc, char **argv, int64_t *ranks, struct ech_argv *rest, struct ech_err *err)
{
    *ranks = -1;
    for (int i = 0; i < argc; i++) {
        const char *value = NULL;
        if (strncmp(argv[i], "--ranks=", 8) == 0)
            value = argv[i] + 8;
        else if (strcmp(argv[i], "--ranks") == 0)
            value = i + 1 < argc ? argv[++i] : "";
        if (!value)
            ech_argv_add(rest, argv[i]);
        else if (!ech_parse_int(value, ranks) || *ranks < 1 || *ranks > 1000000)
            return ech_fail(err, ECH_USAGE, "--ranks %s: an integer from 1 to 1000000 was expected", value);
    }
    return ECH_OK;
}

static void say_stopping(void *context, int signal_number, bool again)
{
    (void)context;
    ech_say("%s: %s", strsignal(signal_number), again ? "ending the ranks now" : "stopping");
}

/* A start, by what mpirun and the ranks write to stderr. */
struct start {
    struct ech_lines lines;
    struct ech_lost_rank lost;
    double began, most_s; /* for the first rank to come */
    bool begun, late;
};

/* mpirun's own decoration is left out. */
static void on_line(const char *line, void *context)
{
    struct start *s = context;
    if (strcmp(line, ECH_BEGUN_LINE) == 0)
        s->begun = true;
    else if (!ech_line_lost_rank(line, &s->lost) && ech_line_useful(line))
        fprintf(stderr, "%s\n", line);
}

static void on_output(void *context, const char *data, size_t bytes)
{
    struct start *s = context;
    ech_lines_add(&s->lines, data, bytes, on_line, s);
}

/* Ranks hold the deadline of their own start; before they come, mpirun may wait for a host for ever. */
static bool nobody_comes(void *context)
{
    struct start *s = context;
    s->late = s->late || (!s->begun && ech_mono_s() - s->began > s->most_s);
    return s->late;
}

/* As long as the ranks themselves wait for each other. */
static double start_most_s(void)
{
    const char *text = getenv("ECH_START_SECONDS");
    double seconds = 0;
    return text && ech_parse_time(text, &seconds) && seconds > 0 ? seconds : START_S;
}

static int status_of(const struct ech_session_end *end, const struct start *start, struct ech_err *err)
{
    const struct ech_lost_rank *lost = &start->lost;
    char time[32];
    if (end->stop_signal)
        return ech_fail(err, ECH_REQUEUE, "stopped by a signal; start it again");
    if (start->late)
        return ech_fail(err, ECH_REQUEUE,
                        "no rank has started within %s: a host does not answer; start it again",
                        ech_print_time(start->most_s, time, sizeof time));
    if (!end->ended || WIFSIGNALED(end->status))
        return ech_fail(err, ECH_REQUEUE, "mpirun was killed; start it again");
    int status = WEXITSTATUS(end->status);
    if (lost->signal)
        return ech_fail(err, ECH_REQUEUE, "rank %d on %s was lost (%s); start it again", lost->rank,
                        lost->host, strsignal(lost->signal));
    if (status == 0 || (status >= ECH_USAGE && status <= ECH_CONFIG))
        return status;
    if (status < ECH_USAGE) /* mpirun's own: its words stand above */
        return ech_fail(err, ECH_UNAVAILABLE, "mpirun could not start the ranks (it ended with %d)", status);
    return ech_fail(err, ECH_REQUEUE, "a rank was lost (mpirun ended with %d); start it again", status);
}

/* A death ends such a start as a whole: its work is collective and its output appears only at its end. */
static int spread(const struct ech_argv *words, int64_t ranks, struct ech_err *err)
{
    char *rank = NULL, *mpirun = NULL;
    struct ech_place place;
    struct ech_layout layout;
    struct ech_session_end end = {0};
    struct start start = {.began = ech_mono_s(), .most_s = start_most_s()};
    char *settings[] = {ECH_TELL_BEGUN_ENV "=1", NULL};
    ech_place_find(&place);
    struct ech_asked asked = {.ranks = ranks, .nodes = place.nodes};
    int code = ech_layout_decide(&place, &asked, &layout, err);
    if (code == ECH_OK)
        code = ech_find_rank_program(&rank, err);
    if (code == ECH_OK)
        code = ech_find_mpirun(&mpirun, err);
    if (code == ECH_OK)
        code = ech_argv_check(words, err);
    struct ech_session session = {.mpirun = mpirun,
                                  .program = rank,
                                  .layout = &layout,
                                  .allocation = place.allocation,
                                  .arguments = words->items,
                                  .heartbeat_s = HEARTBEAT_S,
                                  .settings = settings,
                                  .context = &start,
                                  .output = on_output,
                                  .lost = nobody_comes,
                                  .errors_alone = true,
                                  .stopping = say_stopping};
    fflush(stdout);
    if (code == ECH_OK) {
        ech_session_block_signals();
        code = ech_session_run(&session, &end, err);
    }
    on_output(&start, "\n", 1); /* a last line without its end */
    if (code == ECH_OK)
        code = status_of(&end, &start, err);
    ech_free(rank);
    ech_free(mpirun);
    return code;
}

/* `parallel`: names of the parts that take --ranks; NULL-terminated. */
static int pass(const struct ech_command *command, const char *const *parallel, int argc, char **argv,
                struct ech_err *err)
{
    const char *verb = command->name + strlen("echelon ");
    struct ech_args args = {0};
    bool done = false;
    int64_t ranks;
    if (argc == 0)
        return ech_fail(err, ECH_USAGE, "usage: %s %s", command->name, command->usage);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        int helped = ech_verb_args(command, argc, argv, &args, &done, err);
        ech_args_fini(&args);
        return helped;
    }
    bool spreads = false;
    for (; *parallel; parallel++)
        spreads = spreads || strcmp(argv[0], *parallel) == 0;
    if (!spreads)
        return ech_solo(verb, argc, argv, err);
    struct ech_argv words;
    ech_argv_init(&words);
    ech_argv_add(&words, verb);
    int code = take_ranks(argc, argv, &ranks, &words, err);
    if (code == ECH_OK)
        code = ranks < 0 ? ech_solo(verb, argc, argv, err) : spread(&words, ranks, err);
    ech_argv_fini(&words);
    return code;
}

int ech_verb_data(int argc, char **argv, struct ech_err *err)
{
    static const char *const parallel[] = {"import", "export", "append", NULL};
    return pass(&ech_data_command, parallel, argc, argv, err);
}

int ech_verb_bench(int argc, char **argv, struct ech_err *err)
{
    static const char *const parallel[] = {"dispatch", "embed", "io", NULL};
    return pass(&ech_bench_command, parallel, argc, argv, err);
}

int ech_verb_model(int argc, char **argv, struct ech_err *err)
{
    static const char *const none[] = {NULL};
    return pass(&ech_model_command, none, argc, argv, err);
}

int ech_verb_eval(int argc, char **argv, struct ech_err *err)
{
    static const char *const none[] = {NULL};
    return pass(&ech_eval_command, none, argc, argv, err);
}
