/* base/verb: one verb, a group of verbs, what is printed and what is not. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/verb.h"

/* What the caller gives, and what the verb has seen. */
struct seen {
    int runs, agreed, agree_code;
};

static int run_copy(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct seen *seen = call->context;
    int64_t times = 1;
    seen->runs++;
    int code = ech_args_get_int(args, "n", 0, 9, &times, err);
    for (int64_t i = 0; code == ECH_OK && i < times; i++)
        ech_str_addf(&call->text, "%s\n", args->operands[0]);
    return code;
}

static int run_fail(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    (void)args;
    if (call->out)
        fputs("streamed\n", call->out);
    ech_str_adds(&call->text, "found one\n");
    return ech_fail(err, ECH_DATA, "one is wrong");
}

static int agree(void *context, struct ech_err *err)
{
    struct seen *seen = context;
    seen->agreed++;
    return seen->agree_code ? ech_fail(err, seen->agree_code, "another rank failed") : err->code;
}

static const struct ech_option options[] = {
    {"n", "N", false, "how often"}, {"quick", NULL, false, "at once"}, {0}};
static const struct ech_exit exits[] = {{ECH_OK, NULL}, {ECH_DATA, "one is wrong"}, {0}};
static const struct ech_verb_spec verbs[] = {
    {.name = "copy",
     .run = run_copy,
     .command = {.name = "tool copy",
                 .usage = "WORD [options]",
                 .summary = "Print a word.\nMore than once if asked.",
                 .options = options,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "tool copy a -n 3"}},
    {.name = "failing",
     .run = run_fail,
     .agree = agree,
     .command = {.name = "tool failing", .usage = "", .summary = "Fails."}},
};
static const struct ech_verb_group group = {.name = "tool",
                                            .usage = "VERB ...",
                                            .example = "tool copy a",
                                            .exits = exits,
                                            .verbs = verbs,
                                            .count = 2};

static struct seen seen;
static struct ech_err err;
static char printed[4096];

/* The words of `line`; out NULL as on ranks other than 0. */
static int run_to(FILE *out, const char *line)
{
    char copy[256], *argv[16];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    ech_err_clear(&err);
    int code = ech_verb_group_run(&group, argc, argv, &seen, out, &err);
    assert_int_equal(code, err.code);
    return code;
}

static int run(const char *line)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    seen = (struct seen){.agree_code = seen.agree_code};
    int code = run_to(out, line);
    rewind(out);
    printed[fread(printed, 1, sizeof printed - 1, out)] = '\0';
    fclose(out);
    return code;
}

static void runs(void **state)
{
    (void)state;
    assert_int_equal(run("copy word"), ECH_OK);
    assert_string_equal(printed, "word\n");
    assert_int_equal(run("copy -n 2 word"), ECH_OK);
    assert_string_equal(printed, "word\nword\n");
    assert_int_equal(run("copy word -n=0"), ECH_OK);
    assert_string_equal(printed, "");
    assert_int_equal(seen.runs, 1);
    /* What was said before the failure is printed, behind what was streamed. */
    assert_int_equal(run("failing"), ECH_DATA);
    assert_string_equal(printed, "streamed\nfound one\n");
    assert_string_equal(err.text, "one is wrong");
    /* Another rank's failure: this one does not run. */
    seen.agree_code = ECH_UNAVAILABLE;
    assert_int_equal(run("failing"), ECH_UNAVAILABLE);
    assert_string_equal(printed, "");
    assert_int_equal(seen.agreed, 1);
    /* Every rank agrees, also one whose words are wrong. */
    seen.agree_code = 0;
    assert_int_equal(run("failing x"), ECH_USAGE);
    assert_int_equal(seen.agreed, 1);
}

static void wrong_words(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"", "tool: a verb was expected (tool --help lists them)"},
        {"cpoy a", "tool: unknown verb \"cpoy\": did you mean copy? (tool --help lists them)"},
        {"zzzzzzz", "tool: unknown verb \"zzzzzzz\" (tool"},
        {"--nonsense", "unknown verb \"--nonsense\""},
        {"copy", "tool copy: too few arguments"},
        {"copy a b", "unexpected argument \"b\""},
        {"copy a --quik", "did you mean --quick?"},
        {"copy a --n 3", "unknown option --n: did you mean -n?"},
        {"copy a -quick", "unknown option -quick: did you mean --quick?"},
        {"copy a -n", "-n needs a value: -n N"},
        {"copy a -n 1 -n 2", "tool copy: -n is given twice"},
        {"copy a -n x", "tool copy: -n x: an integer from 0 to 9"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (run(bad[i].line) != ECH_USAGE || !strstr(err.text, bad[i].says) || printed[0])
            fail_msg("%s: %d \"%s\", printed \"%s\"", bad[i].line, err.code, err.text, printed);
}

static void help(void **state)
{
    (void)state;
    static const char overview[] = "usage: tool VERB ...\n"
                                   "\n"
                                   "verbs:\n"
                                   "  copy     Print a word.\n"
                                   "  failing  Fails.\n"
                                   "\n"
                                   "`tool VERB --help` says more.\n"
                                   "\n"
                                   "example:\n"
                                   "  tool copy a\n"
                                   "\n"
                                   "exit status:\n"
                                   "   0  success\n"
                                   "  65  one is wrong\n";
    assert_int_equal(run("--help"), ECH_OK);
    assert_string_equal(printed, overview);
    assert_int_equal(run("-h"), ECH_OK);
    assert_string_equal(printed, overview);
    assert_int_equal(run("copy --help"), ECH_OK);
    assert_string_equal(printed, "usage: tool copy WORD [options]\n"
                                 "\n"
                                 "Print a word.\n"
                                 "More than once if asked.\n"
                                 "\n"
                                 "options:\n"
                                 "  -n N     how often\n"
                                 "  --quick  at once\n"
                                 "  --help   show this text\n"
                                 "\n"
                                 "example:\n"
                                 "  tool copy a -n 3\n");
    assert_int_equal(seen.runs, 0);
}

/* Ranks other than 0 work and agree, and print nothing. */
static void silent(void **state)
{
    (void)state;
    seen = (struct seen){0};
    assert_int_equal(run_to(NULL, "copy word"), ECH_OK);
    assert_int_equal(seen.runs, 1);
    assert_int_equal(run_to(NULL, "failing"), ECH_DATA);
    assert_int_equal(run_to(NULL, "--help"), ECH_OK);
    char *argv[] = {(char[]){"failing"}};
    assert_int_equal(ech_verb_group_run(&group, 1, argv, &seen, NULL, NULL), ECH_DATA);
}

/* A full device is an error, for what is kept and for what was streamed, and never hides the verb's own. */
static void full_output(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        {"copy word", ECH_IO}, {"--help", ECH_IO}, {"copy word -n 0", ECH_OK}, {"failing", ECH_DATA}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *out = fopen("/dev/full", "w");
        if (!out)
            ECH_SKIP("devfull", "/dev/full is not there");
        assert_int_equal(run_to(out, cases[i].line), cases[i].code);
        fclose(out);
    }
}

static void memory_faults(void **state)
{
    (void)state;
    static const char *const lines[] = {"copy word", "copy --help", "--help"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        for (int64_t n = 1;; n++) {
            ech_fault_arm(ECH_FAULT_ALLOC, n);
            int code = run(lines[i]);
            bool fired = ech_fault_fired();
            ech_fault_arm(-1, 0);
            assert_int_equal(code, fired ? ECH_UNAVAILABLE : ECH_OK);
            assert_true(fired == (printed[0] == '\0'));
            if (!fired) {
                assert_true(n > 1);
                break;
            }
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(runs),   cmocka_unit_test(wrong_words), cmocka_unit_test(help),
    cmocka_unit_test(silent), cmocka_unit_test(full_output), cmocka_unit_test(memory_faults),
};
ECH_TEST_MAIN(tests)
