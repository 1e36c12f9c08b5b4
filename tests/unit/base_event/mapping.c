/* base: a mapped file that is cut short under its reader is an error with a name, not a SIGBUS. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mapping.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 6 };

static void put(const char *name)
{
    static unsigned char data[PAGES * PAGE];
    struct ech_err err = ECH_ERR_NONE;
    memset(data, 7, sizeof data);
    assert_int_equal(ech_write_file(name, data, sizeof data, &err), ECH_OK);
}

static unsigned sum(const struct ech_mapping *m)
{
    unsigned all = 0;
    for (size_t i = 0; i < m->bytes; i++)
        all += ((const volatile unsigned char *)m->data)[i];
    return all;
}

static void lost_pages_are_zeros_and_an_error(void **state)
{
    (void)state;
    struct ech_mapping m, other;
    struct ech_err err = ECH_ERR_NONE;
    put("file");
    put("other");
    assert_int_equal(ech_mapping_open("file", &m, &err), ECH_OK);
    assert_int_equal(ech_mapping_open("other", &other, &err), ECH_OK);
    assert_int_equal(sum(&m), 7 * PAGES * PAGE);
    assert_int_equal(ech_mapping_check(&m, &err), ECH_OK);
    assert_int_equal(truncate("file", 2 * PAGE), 0);
    assert_int_equal(sum(&m), 7 * 2 * PAGE);
    assert_int_equal(ech_mapping_check(&m, &err), ECH_IO);
    assert_non_null(
        strstr(err.text, "file was cut short while it was read: it has 8192 bytes, it had 24576"));
    ech_err_clear(&err);
    assert_int_equal(sum(&other), 7 * PAGES * PAGE);
    assert_int_equal(ech_mapping_check(&other, &err), ECH_OK);
    put("file"); /* another file by now: the old one is lost all the same */
    assert_int_equal(ech_mapping_check(&m, &err), ECH_IO);
    assert_non_null(strstr(err.text, "could not be read at byte 8192 of 24576 (SIGBUS)"));
    ech_err_clear(&err);
    assert_int_equal(unlink("file"), 0);
    assert_int_equal(ech_mapping_check(&m, &err), ECH_IO);
    assert_non_null(strstr(err.text, "was lost while it was read"));
    ech_mapping_close(&m);
    ech_mapping_close(&m);
    ech_mapping_close(&other);
}

/* Inside of a page no signal tells it; a file put in its place by a rename is no loss. */
static void short_and_replaced(void **state)
{
    (void)state;
    struct ech_mapping m;
    struct ech_err err = ECH_ERR_NONE;
    put("file");
    assert_int_equal(ech_mapping_open("file", &m, &err), ECH_OK);
    assert_int_equal(truncate("file", PAGES * PAGE - 5), 0);
    assert_int_equal(sum(&m), 7 * (PAGES * PAGE - 5));
    assert_int_equal(ech_mapping_check(&m, &err), ECH_IO);
    ech_mapping_close(&m);
    ech_err_clear(&err);
    put("file");
    assert_int_equal(ech_mapping_open("file", &m, &err), ECH_OK);
    assert_int_equal(ech_write_file("file", "x", 1, &err), ECH_OK);
    assert_int_equal(sum(&m), 7 * PAGES * PAGE);
    assert_int_equal(ech_mapping_check(&m, &err), ECH_OK);
    ech_mapping_close(&m);
}

static void *read_all(void *mapping)
{
    return (void *)(uintptr_t)sum(mapping);
}

static void many_threads_lose_it_together(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    pthread_t thread[THREADS];
    struct ech_mapping m;
    struct ech_err err = ECH_ERR_NONE;
    put("file");
    assert_int_equal(ech_mapping_open("file", &m, &err), ECH_OK);
    assert_int_equal(truncate("file", PAGE), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_all, &m), 0);
    for (int i = 0; i < THREADS; i++) {
        void *got;
        pthread_join(thread[i], &got);
        assert_int_equal((uintptr_t)got, 7 * PAGE);
    }
    assert_int_equal(ech_mapping_check(&m, &err), ECH_IO);
    ech_mapping_close(&m);
}

/* Elsewhere a SIGBUS ends the process as it always did. */
static void others_still_die(void **state)
{
    (void)state;
    struct ech_mapping m;
    struct ech_err err = ECH_ERR_NONE;
    put("file");
    put("own");
    assert_int_equal(ech_mapping_open("file", &m, &err), ECH_OK);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGBUS, SIG_DFL); /* a sanitizer's own handler would speak */
        struct ech_mapping again;
        int fd = open("own", O_RDONLY);
        const volatile unsigned char *own = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
        _exit(ech_mapping_open("file", &again, NULL) || truncate("own", 0) ? 9 : own[PAGE] ? 1 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    ech_mapping_close(&m);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lost_pages_are_zeros_and_an_error),
    cmocka_unit_test(short_and_replaced),
    cmocka_unit_test(many_threads_lose_it_together),
    cmocka_unit_test(others_still_die),
};

ECH_TEST_MAIN(tests)
