/* What hosts say of themselves, of any words; two names of one machine. */
#include "launcher/survey.h"

#include "tests/harness.h"

static void words_are_read(void **state)
{
    struct ech_survey_word word;
    (void)state;
    static const char good[] =
        "Welcome\n{\"echelon_machine\":1,\"identity\":\"b1 n1\",\"cores\":64,\"domains\":4,"
        "\"devices\":2}\nbye\n";
    assert_true(ech_survey_read(good, sizeof good - 1, &word));
    assert_true(word.answered && word.machine.cores == 64 && word.machine.domains == 4 &&
                word.machine.devices == 2);
    assert_string_equal(word.identity, "b1 n1");
    static const char *const bad[] = {
        "",
        "ssh: no route\n",
        "{\"echelon_machine\":1,\"cores\":0,\"domains\":1,\"devices\":0}\n",
        "{\"echelon_machine\":1,\"cores\":4,\"domains\":1,\"devices\":-1}\n",
        "{\"echelon_machine\":1,\"cores\":4,\"domains\":99999999,\"devices\":0}\n",
        "{\"echelon_machine\":1,\"cores\":\"4\",\"domains\":1,\"devices\":0}\n",
        "{\"echelon_machine\":1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(ech_survey_read(bad[i], strlen(bad[i]), &word));
        assert_false(word.answered);
    }
}

static struct ech_host named(const char *name, int64_t slots)
{
    struct ech_host host = {.slots = slots, .said = slots > 0};
    snprintf(host.name, sizeof host.name, "%s", name);
    return host;
}

static void one_machine_is_used_once(void **state)
{
    struct ech_host items[] = {named("n1", 2), named("n2", 0),   named("n1-ib", 3),
                               named("n3", 0), named("n2.x", 0), named("n4", 0)};
    struct ech_hosts hosts = {.items = items, .count = 6, .capacity = 6};
    struct ech_survey_word words[6] = {
        {.answered = true, .machine = {4, 1, 0}, .identity = "boot n1"},
        {.answered = true, .machine = {8, 2, 0}, .identity = "boot n2"},
        {.answered = true, .machine = {4, 1, 0}, .identity = "boot n1"},
        {.answered = true, .machine = {8, 2, 0}, .identity = ""}, /* not known: nobody's twin */
        {.answered = true, .machine = {8, 2, 0}, .identity = "boot n2"},
        {.answered = false}};
    (void)state;
    assert_int_equal(ech_survey_apply(&hosts, words, NULL), ECH_OK);
    assert_int_equal(hosts.count, 4);
    assert_string_equal(hosts.items[0].name, "n1");
    assert_int_equal(hosts.items[0].slots, 5);
    assert_string_equal(hosts.items[1].name, "n2");
    assert_int_equal(hosts.items[1].slots, 0);
    assert_int_equal(hosts.items[1].found.domains, 2);
    assert_string_equal(hosts.items[2].name, "n3");
    assert_string_equal(hosts.items[3].name, "n4");
    assert_int_equal(hosts.items[3].found.cores, 0);
}

static void this_machine_has_an_identity(void **state)
{
    char one[160], two[160];
    (void)state;
    ech_machine_identity(one, sizeof one);
    ech_machine_identity(two, sizeof two);
    assert_string_equal(one, two);
    assert_true(strlen(one) > 36);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_read),
                                          cmocka_unit_test(one_machine_is_used_once),
                                          cmocka_unit_test(this_machine_has_an_identity)};
ECH_TEST_MAIN(tests)
