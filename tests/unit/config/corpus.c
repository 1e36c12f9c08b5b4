/* The fuzzer's corpus, replayed: every file of tests/fuzz/corpus/job goes through the fuzzer's own checks. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(void **state)
{
    (void)state;
    char folder[4096], *data;
    size_t bytes;
    int count = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/job", getenv("ECH_SOURCE"));
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = ech_path_join(folder, entry->d_name, NULL);
        assert_int_equal(ech_read_file(path, 1 << 20, &data, &bytes, NULL), ECH_OK);
        assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)data, bytes), 0);
        ech_free(data);
        ech_free(path);
        count++;
    }
    closedir(dir);
    assert_true(count >= 10);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(replay)};
ECH_TEST_MAIN(tests)
