/* Who fell silent, from what the ranks told; and the faults' grammar. */
#include "base/fault.h"
#include "base/io.h"
#include "base/rundir.h"
#include "base/words.h"
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ech_word word(const char *host, bool said, bool inside, int64_t entered)
{
    struct ech_word w = {.said = said, .inside = inside, .entered = entered};
    snprintf(w.host, sizeof w.host, "%s", host);
    snprintf(w.phase, sizeof w.phase, "verify");
    return w;
}

static void told(const struct ech_word *words, int ranks, const char *expected)
{
    struct ech_str text;
    ech_str_init(&text);
    ech_words_tell(words, ranks, &text);
    assert_string_equal(text.data ? text.data : "", expected);
    ech_str_fini(&text);
}

static void judges(void **state)
{
    (void)state;
    struct ech_word words[4] = {word("a", true, true, 7), word("a", true, true, 7),
                                word("b", false, false, 0), word("b", true, true, 7)};
    assert_int_equal(ech_word_judge(words, 4, 0), ECH_WORD_WAITS);
    assert_int_equal(ech_word_judge(words, 4, 2), ECH_WORD_SILENT);
    told(words, 4, "rank 2 on b is silent (dead, stopped or cut off)");
    words[2] = word("b", true, false, 6);
    assert_int_equal(ech_word_judge(words, 4, 2), ECH_WORD_WORKS);
    told(words, 4, "rank 2 on b is alive and still at its own work in phase 'verify'");
    words[2] = word("b", true, false, 7); /* through the collective before, not yet in this one */
    assert_int_equal(ech_word_judge(words, 4, 2), ECH_WORD_WORKS);
    words[2] = word("b", true, true, 7); /* all wait: nobody is to blame */
    told(words, 4, "");
    struct ech_word none[2] = {word("", false, false, 0), word("", false, false, 0)};
    told(none, 2, ""); /* nobody told anything: nothing is known */
}

static void many_are_counted(void **state)
{
    (void)state;
    struct ech_word words[12] = {word("a", true, true, 3)};
    struct ech_str text;
    ech_str_init(&text);
    ech_words_tell(words, 12, &text);
    assert_non_null(strstr(text.data, "rank 1 is silent"));
    assert_non_null(strstr(text.data, "rank 8 is silent"));
    assert_null(strstr(text.data, "rank 9"));
    assert_non_null(strstr(text.data, "; and 3 more"));
    ech_str_fini(&text);
}

static void files(void **state)
{
    (void)state;
    struct ech_word in = word("node2", true, true, 41), out[3];
    assert_int_equal(ech_mkdir_all("nodes/node3", NULL), ECH_OK);
    assert_int_equal(ech_write_file("nodes/node3/events-2-1.jsonl", "", 0, NULL), ECH_OK);
    assert_int_equal(ech_write_file("nodes/node3/word-1-1", "old 1 1\n", 8, NULL), ECH_OK);
    assert_int_equal(ech_write_file("nodes/node3/word-2-9", "beyond 1 1\n", 11, NULL), ECH_OK);
    assert_int_equal(ech_write_file("nodes/node3/word-2-0", "torn", 4, NULL), ECH_OK);
    assert_int_equal(ech_word_write(".", 2, 2, &in, NULL), ECH_OK);
    ech_words_read(".", 2, 3, 0, out);
    assert_false(out[0].said);
    assert_false(out[1].said);
    assert_string_equal(out[1].host, "node3");
    assert_true(out[2].said && out[2].inside);
    assert_int_equal(out[2].entered, 41);
    assert_string_equal(out[2].host, "node2");
    assert_string_equal(out[2].phase, "verify");
    assert_false(ech_words_are_over(".", 2));
    ech_words_over(".", 2);
    assert_true(ech_words_are_over(".", 2));
}

static int armed(const char *spec)
{
    setenv("ECH_FAULT", spec, 1);
    int code = ech_fault_arm_from_env();
    unsetenv("ECH_FAULT");
    return code;
}

static void grammar(void **state)
{
    (void)state;
    static const char *const good[] = {
        "write:1",          "*:3",      "turn:2:kill@0",    "fsync:1:slow=2s@1,2/3", "write:4:full",
        "clock:1:jump=-1h", "open:1/2", "collective:2:stop"};
    static const char *const bad[] = {"writ:1",       "write",        "write:0",         "write:x",
                                      "write:1:eat",  "write:1:slow", "write:1:kill=2s", "write:1@",
                                      "write:1@x",    "write:1/0",    "write:1:jump=2s", "clock:1",
                                      "collective:1", "clock:1:kill", "write:1:full=-2s"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(armed(good[i]), ECH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (armed(bad[i]) != ECH_USAGE)
            fail_msg("%s was taken", bad[i]);
    ech_fault_arm(0, 0);
}

static void meant_for(void **state)
{
    (void)state;
    assert_int_equal(armed("write:2:readonly@3/1"), ECH_OK);
    assert_false(ech_fault(ECH_FAULT_WRITE)); /* who we are is not known yet: not counted */
    ech_fault_place(2, 1);
    assert_false(ech_fault(ECH_FAULT_WRITE));
    ech_fault_place(3, 2);
    assert_false(ech_fault(ECH_FAULT_WRITE));
    ech_fault_place(3, 1);
    assert_false(ech_fault(ECH_FAULT_WRITE));
    assert_false(ech_fault(ECH_FAULT_READ));
    for (int i = 0; i < 3; i++) {
        errno = 0;
        assert_true(ech_fault(ECH_FAULT_WRITE));
        assert_int_equal(errno, EROFS);
    }
    assert_int_equal(armed("*:1"), ECH_OK);
    assert_false(ech_fault(ECH_FAULT_TURN)); /* "*" is what may fail */
    assert_true(ech_fault(ECH_FAULT_ALLOC));
    assert_int_equal(armed("clock:2:jump=-1h"), ECH_OK);
    assert_true(ech_fault_jump() == 0);
    assert_true(ech_fault_jump() == -3600 && ech_fault_jump() == -3600);
    ech_fault_arm(0, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(judges),  cmocka_unit_test(many_are_counted), cmocka_unit_test(files),
    cmocka_unit_test(grammar), cmocka_unit_test(meant_for),
};

ECH_TEST_MAIN(tests)
