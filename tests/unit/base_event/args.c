/* base/args: command lines. */
#include "tests/harness.h"

#include "base/args.h"
#include "base/fault.h"

static const struct ech_option options[] = {{"ranks", "N", false, "processes"},
                                            {"set", "KEY=VALUE", true, "a value"},
                                            {"dry-run", NULL, false, "start nothing"},
                                            {0}};
static const struct ech_exit exits[] = {{ECH_OK, NULL}, {ECH_CONFIG, "wrong job"}, {0}};
static const struct ech_command command = {.name = "echelon run",
                                           .usage = "JOB.yaml [options]",
                                           .summary = "Run a job.",
                                           .options = options,
                                           .operands_least = 1,
                                           .operands_most = 2,
                                           .example = "echelon run a.yaml\nechelon run b.yaml",
                                           .exits = exits};

static int parse(const char *const *words, struct ech_args *out, struct ech_err *err)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    return ech_args_parse(&command, argc, argv, out, err);
}
#define PARSE(out, err, ...) parse((const char *const[]){__VA_ARGS__, NULL}, out, err)

static void values(void **state)
{
    (void)state;
    struct ech_args args;
    assert_int_equal(PARSE(&args, NULL, "--set", "a=1", "job.yaml", "--set=b=2", "--ranks=3", "--dry-run",
                           "--", "--other"),
                     ECH_OK);
    assert_int_equal(args.count, 2);
    assert_string_equal(args.operands[0], "job.yaml");
    assert_string_equal(args.operands[1], "--other");
    assert_null(args.operands[2]);
    const char *const *sets = ech_args_all(&args, "set");
    assert_string_equal(sets[0], "a=1");
    assert_string_equal(sets[1], "b=2");
    assert_null(sets[2]);
    assert_true(ech_args_given(&args, "dry-run"));
    int64_t ranks = 1;
    assert_int_equal(ech_args_get_int(&args, "ranks", 1, 10, &ranks, NULL), ECH_OK);
    assert_int_equal(ranks, 3);
    assert_int_equal(ech_args_get_int(&args, "ranks", 4, 10, &ranks, NULL), ECH_USAGE);
    assert_int_equal(ranks, 3);
    ech_args_fini(&args);

    assert_int_equal(PARSE(&args, NULL, "-"), ECH_OK);
    assert_string_equal(args.operands[0], "-");
    assert_false(ech_args_given(&args, "ranks"));
    assert_null(ech_args_get(&args, "ranks"));
    assert_int_equal(ech_args_get_int(&args, "ranks", 1, 10, &ranks, NULL), ECH_OK);
    assert_int_equal(ranks, 3);
    ech_args_fini(&args);

    /* --help wins over everything else that may be wrong. */
    assert_int_equal(PARSE(&args, NULL, "--nonsense", "--help"), ECH_OK);
    assert_true(args.help);
    ech_args_fini(&args);
}

static void wrong(const char *const *words, const char *says)
{
    struct ech_args args;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(parse(words, &args, &err), ECH_USAGE);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" was expected in \"%s\"", says, err.text);
}
#define WRONG(says, ...) wrong((const char *const[]){__VA_ARGS__, NULL}, says)

static void errors(void **state)
{
    (void)state;
    WRONG("did you mean --ranks?", "a", "--rank", "3");
    WRONG("did you mean --dry-run?", "a", "--dryrun");
    WRONG("unknown option --zzzzzzzz (", "a", "--zzzzzzzz");
    WRONG("unknown option -r", "a", "-r");
    WRONG("--ranks needs a value: --ranks N", "a", "--ranks");
    WRONG("--dry-run takes no value, \"yes\"", "a", "--dry-run=yes");
    WRONG("--ranks is given twice", "a", "--ranks=1", "--ranks=2");
    WRONG("too few arguments. usage: echelon run JOB.yaml", "--ranks=1");
    WRONG("unexpected argument \"c\"", "a", "b", "c");
}

static void help(void **state)
{
    (void)state;
    struct ech_str text;
    ech_str_init(&text);
    assert_int_equal(ech_args_help(&command, &text, NULL), ECH_OK);
    assert_string_equal(text.data, "usage: echelon run JOB.yaml [options]\n"
                                   "\n"
                                   "Run a job.\n"
                                   "\n"
                                   "options:\n"
                                   "  --ranks N        processes\n"
                                   "  --set KEY=VALUE  a value (may be repeated)\n"
                                   "  --dry-run        start nothing\n"
                                   "  --help           show this text\n"
                                   "\n"
                                   "example:\n"
                                   "  echelon run a.yaml\n"
                                   "  echelon run b.yaml\n"
                                   "\n"
                                   "exit status:\n"
                                   "   0  success\n"
                                   "  78  wrong job\n");
    ech_str_fini(&text);
}

static void memory_faults(void **state)
{
    (void)state;
    for (int64_t n = 1;; n++) {
        struct ech_args args;
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = PARSE(&args, NULL, "a", "--set", "x=1");
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code, fired ? ECH_UNAVAILABLE : ECH_OK);
        if (!fired) {
            ech_args_fini(&args);
            assert_true(n > 2);
            return;
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(values),
    cmocka_unit_test(errors),
    cmocka_unit_test(help),
    cmocka_unit_test(memory_faults),
};
ECH_TEST_MAIN(tests)
