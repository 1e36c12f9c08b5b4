/* The watchdog ends a process whose phase does not end, and only that one: each case in a child process. */
#include "tests/harness.h"

#include "base/clock.h"
#include "comm/watchdog.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `body` in a child; its stderr into text. Returns its exit status, 256 + signal. */
static int run(void (*body)(void), char *text, size_t bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], text + length, bytes - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void start(void (*hook)(const char *, double))
{
    if (ech_watchdog_start(3, hook, NULL) != ECH_OK)
        _exit(99);
}

static void silent_body(void)
{
    start(NULL);
    ech_watchdog_phase("opening shards", 0.05);
    ech_sleep_us(5000000);
}

static void expires(void **state)
{
    (void)state;
    char text[1024];
    double from = ech_mono_s();
    assert_int_equal(run(silent_body, text, sizeof text), ECH_REQUEUE);
    assert_true(ech_mono_s() - from < 3);
    assert_non_null(strstr(text, "rank 3"));
    assert_non_null(strstr(text, "'opening shards' did not end within 0.1 s"));
}

static void in_time_body(void)
{
    ech_watchdog_phase("before the start: no effect", 0.001);
    start(NULL);
    ech_watchdog_phase("long", 100);
    ech_watchdog_phase("short", 0.2);
    ech_watchdog_clear();
    ech_sleep_us(300000);
    ech_watchdog_phase("loop", 0.3);
    for (int i = 0; i < 20; i++) {
        ech_sleep_us(20000);
        ech_watchdog_beat();
    }
    ech_watchdog_phase("work of a known size", 0.1);
    ech_watchdog_extend_for(1 << 30);
    ech_sleep_us(300000);
    ech_watchdog_beat();
    ech_watchdog_stop();
    ech_watchdog_stop();
    ech_watchdog_beat();
    start(NULL); /* it can be started again */
    ech_watchdog_stop();
}

static void in_time(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run(in_time_body, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void tell(const char *phase, double seconds)
{
    dprintf(STDERR_FILENO, "hook(%s, %g)", phase, seconds);
}

static void hook_body(void)
{
    start(tell);
    ech_watchdog_phase("long", 1000);
    ech_watchdog_phase("short", 0.25);
    ech_sleep_us(5000000);
}

static void hook(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run(hook_body, text, sizeof text), ECH_REQUEUE);
    assert_non_null(strstr(text, "hook(short, 0.25)"));
}

static void hang(const char *phase, double seconds)
{
    (void)phase;
    (void)seconds;
    for (;;)
        ech_sleep_us(1000000);
}

static void hanging_hook_body(void)
{
    start(hang);
    ech_watchdog_phase("sync", 0.01);
    hang("", 0);
}

static void hanging_hook(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run(hanging_hook_body, text, sizeof text), ECH_REQUEUE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(expires),
    cmocka_unit_test(in_time),
    cmocka_unit_test(hook),
    cmocka_unit_test(hanging_hook),
};

ECH_TEST_MAIN(tests)
