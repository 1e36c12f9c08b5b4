/* A cmocka program whose tests CTest runs one process each: `prog --list` prints their names, `prog NAME`
 * runs one, `prog` runs all. A name that does not exist is an error, not a pass. Exit 77: skipped (the
 * reason on stderr as "SKIP capability: why"; tests/expected-skips.txt says which may skip). */
#ifndef ECH_TESTS_HARNESS_H
#define ECH_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ECH_SKIP(capability, ...)                                                                            \
    do {                                                                                                     \
        fprintf(stderr, "SKIP %s: ", capability);                                                            \
        fprintf(stderr, __VA_ARGS__);                                                                        \
        fprintf(stderr, "\n");                                                                               \
        exit(77);                                                                                            \
    } while (0)

#define ECH_TEST_MAIN(tests)                                                                                 \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        size_t count = sizeof(tests) / sizeof((tests)[0]);                                                   \
        if (argc > 1 && strcmp(argv[1], "--list") == 0) {                                                    \
            for (size_t i = 0; i < count; i++)                                                               \
                puts((tests)[i].name);                                                                       \
            return 0;                                                                                        \
        }                                                                                                    \
        for (size_t i = 0; argc > 1 && i < count; i++)                                                       \
            if (strcmp((tests)[i].name, argv[1]) == 0) {                                                     \
                struct CMUnitTest one[] = {(tests)[i]};                                                      \
                return cmocka_run_group_tests(one, NULL, NULL) ? 1 : 0;                                      \
            }                                                                                                \
        if (argc > 1) {                                                                                      \
            fprintf(stderr, "no test named %s\n", argv[1]);                                                  \
            return 2;                                                                                        \
        }                                                                                                    \
        return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;                                            \
    }

/* Folder of foreign data: ECH_TEST_DATA, set by CTest; exits 77 where `sub` is absent there. */
static inline const char *ech_test_data(const char *sub)
{
    static char path[4096];
    const char *root = getenv("ECH_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared", sub);
    FILE *f = fopen(path, "r");
    if (!f)
        ECH_SKIP("data", "%s is not there (ECH_TEST_DATA names the folder)", path);
    fclose(f);
    return path;
}

#endif
