/* A stand-in for echelon-rank: no MPI, no model. It writes the events and the result of base/rundir.h at the
 * pace of a real run and misbehaves as FAKE says (words separated by commas):
 *   rows=N ms=N        rows of the whole job (40); milliseconds a row (20)
 *   die=R              rank R kills itself half-way; deadall: every rank does
 *   code=N             the result says code N, state failed, text "the disk is full"
 *   early=N            exit N before the first event
 *   deaf               ignores SIGTERM and SIGUSR1
 *   hang               stays for ever after the result, ignoring SIGTERM
 *   heal               misbehaves in the first attempt only
 * Solo: prints its words and ends with the status of FAKE_SOLO. */
#include "base/clock.h"
#include "base/event.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rundir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked_to_stop;

static void on_signal(int number)
{
    (void)number;
    asked_to_stop = 1;
}

static int env_int(const char *name, int fallback)
{
    const char *text = getenv(name);
    return text ? atoi(text) : fallback;
}

/* Value of a word of FAKE: "word" 1, "word=N" N, else `fallback`. */
static int word(const char *name, int fallback)
{
    const char *text = getenv("FAKE");
    size_t length = strlen(name);
    for (const char *p = text; p && *p;) {
        size_t size = strcspn(p, ",");
        if (size >= length && strncmp(p, name, length) == 0 && (size == length || p[length] == '='))
            return size == length ? 1 : atoi(p + length + 1);
        p += size + (p[size] == ',');
    }
    return fallback;
}

struct fake {
    const char *run;
    int attempt, rank, ranks;
    struct ech_events *events;
    int log;
};

static void say_phase(struct fake *f, const char *name)
{
    ech_json_add_str(ech_event_begin(f->events, "phase"), "name", name);
    ech_event_end(f->events);
}

static void begin(struct fake *f)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    char *folder = ech_sprintf(NULL, "%s/nodes/%s", f->run, host);
    char *path = ech_sprintf(NULL, "%s/events-%d-%d.jsonl", folder, f->attempt, f->rank);
    char *log = ech_sprintf(NULL, "%s/log-%d-%d", folder, f->attempt, f->rank);
    char *spool = ech_sprintf(NULL, "%s/spool-%d-%d", folder, f->attempt, f->rank);
    struct ech_event_source source = {ech_path_base(f->run), f->attempt, 0, f->rank};
    struct ech_err err = ECH_ERR_NONE;
    if (ech_mkdir_all(folder, &err) != ECH_OK || ech_events_open(path, &source, &f->events, &err) != ECH_OK ||
        ech_write_file(spool, "spool", 5, &err) != ECH_OK ||
        ech_open(log, O_WRONLY | O_CREAT | O_EXCL, &f->log, &err) != ECH_OK) {
        fprintf(stderr, "fake: %s\n", err.text);
        exit(err.code);
    }
    ech_log_init(f->rank);
    ech_log_to(f->log);
    ech_log(ECH_LOG_INFO, "fake", "the rank begins");
    struct ech_str *s = ech_event_begin(f->events, "start");
    ech_json_add_str(s, "host", host);
    ech_json_add_int(s, "pid", getpid());
    ech_json_add_int(s, "threads", env_int("OMP_NUM_THREADS", 0));
    ech_json_add_str(s, "backend", "fake");
    ech_json_add_str(s, "numerics", "none");
    ech_json_add_str(s, "cpu", "fake <cpu>");
    ech_json_add_str(s, "version", "0.0");
    ech_event_end(f->events);
    ech_free(folder);
    ech_free(path);
    ech_free(log);
    ech_free(spool);
}

static void say_progress(struct fake *f, int rows, int all, double busy)
{
    struct ech_str *s = ech_event_begin(f->events, "progress");
    ech_json_add_int(s, "rows", rows);
    ech_json_add_int(s, "tokens", rows * 100);
    ech_json_add_int(s, "errors", 0);
    ech_json_add_int(s, "leases", 1);
    ech_json_add_float(s, "busy_s", busy);
    ech_json_add_float(s, "speed", busy > 0 ? rows * 100 / busy : 0);
    ech_json_add_float(s, "share", 1.0 / f->ranks);
    ech_json_add_int(s, "rss_bytes", 64 << 20);
    ech_json_add_int(s, "spool_bytes", 5);
    ech_event_end(f->events);
    if (f->rank)
        return;
    s = ech_event_begin(f->events, "todo");
    ech_json_add_int(s, "rows_done", rows * f->ranks);
    ech_json_add_int(s, "rows", all);
    ech_json_add_int(s, "tokens_done", rows * f->ranks * 100);
    ech_json_add_int(s, "tokens", all * 100);
    ech_json_add_float(s, "left_s",
                       busy > 0 && rows ? (all - rows * f->ranks) * busy / (rows * f->ranks) : 0);
    ech_event_end(f->events);
}

/* Rows of this rank, one after the other. Returns how many were done. */
static int work(struct fake *f, int all, bool bad)
{
    int mine = all / f->ranks, ms = word("ms", 20), rows = 0;
    double start = ech_mono_s();
    struct ech_str *s = ech_event_begin(f->events, "lease");
    ech_json_add_int(s, "first", f->rank * mine);
    ech_json_add_int(s, "rows", mine);
    ech_event_end(f->events);
    for (; rows < mine && !asked_to_stop; rows++) {
        if (bad && rows == mine / 2 && (word("die", -1) == f->rank || word("deadall", 0)))
            raise(SIGKILL);
        ech_sleep_us(ms * 1000);
        if (rows % 8 == 0)
            say_progress(f, rows, all, ech_mono_s() - start);
    }
    say_progress(f, rows, all, ech_mono_s() - start);
    return rows;
}

static int end(struct fake *f, int rows, int all, bool bad, double seconds)
{
    int code = asked_to_stop ? ECH_REQUEUE : bad ? word("code", 0) : 0;
    struct ech_run_result result = {.attempt = f->attempt, .code = code, .rows = all, .seconds = seconds};
    const char *output = getenv("FAKE_OUTPUT");
    snprintf(result.state, sizeof result.state, "%s", asked_to_stop ? "stopped" : code ? "failed" : "sealed");
    snprintf(result.text, sizeof result.text, "%s",
             asked_to_stop ? "stopped by a signal"
             : code        ? "the disk is full"
                           : "");
    snprintf(result.dataset, sizeof result.dataset, "%s", output ? output : "out");
    result.rows = asked_to_stop ? rows : all;
    struct ech_str *s = ech_event_begin(f->events, "end");
    ech_json_add_int(s, "code", code);
    ech_json_add_str(s, "text", result.text);
    ech_json_add_float(s, "cpu_s", seconds);
    ech_json_add_int(s, "rss_peak_bytes", 80 << 20);
    ech_event_end(f->events);
    if (f->rank == 0) {
        struct ech_err err = ECH_ERR_NONE;
        if (ech_run_result_write(f->run, &result, &err) != ECH_OK)
            fprintf(stderr, "fake: %s\n", err.text);
    }
    ech_log(ECH_LOG_WARN, "fake", "a warning of rank %d", f->rank);
    return code;
}

static int run(const char *dir, int attempt)
{
    struct fake f = {.run = dir, .attempt = attempt, .log = -1};
    bool bad = attempt == 1 || !word("heal", 0);
    int all = word("rows", 40);
    f.rank = env_int("OMPI_COMM_WORLD_RANK", 0);
    f.ranks = env_int("OMPI_COMM_WORLD_SIZE", 1);
    if (bad && word("early", 0)) {
        fprintf(stderr, "fake: the model has no tensors\n");
        return word("early", 0);
    }
    signal(SIGUSR1, word("deaf", 0) ? SIG_IGN : on_signal);
    signal(SIGTERM, word("deaf", 0) ? SIG_IGN : on_signal);
    begin(&f);
    say_phase(&f, "open");
    struct ech_str *s = ech_event_begin(f.events, "probe");
    ech_json_add_float(s, "tokens_per_s", 1000 + f.rank);
    ech_event_end(f.events);
    say_phase(&f, "run");
    double start = ech_mono_s();
    int rows = work(&f, all, bad);
    say_phase(&f, "seal");
    int code = end(&f, rows * f.ranks, all, bad, ech_mono_s() - start);
    if (bad && word("hang", 0)) {
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    ech_events_close(f.events);
    return code;
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "run") == 0)
        return run(argv[2], atoi(argv[4]));
    if (argc >= 4 && strcmp(argv[2], "doctor") == 0 && strcmp(argv[3], "--version") == 0) {
        puts("echelon-rank: fake");
        return 0;
    }
    for (int i = 1; i < argc; i++)
        printf("%s%s", i > 1 ? " " : "", argv[i]);
    printf("%s%s\n", getenv("OMPI_COMM_WORLD_RANK") ? " of rank " : "",
           getenv("OMPI_COMM_WORLD_RANK") ? getenv("OMPI_COMM_WORLD_RANK") : "");
    return env_int("FAKE_SOLO", 0);
}
