/* A run directory with spools, to verify and seal: for the unit test and for the one under mpirun. */
#ifndef ECH_TESTS_RUN_H
#define ECH_TESTS_RUN_H

#include "tests/unit/job_spool/blocks.h"

#include "base/io.h"
#include "job/seal.h"

/* One spool file with the given ranges [first, end), pairs up to -1. */
static inline void test_spool(const char *path, int attempt, int rank, const int64_t *ranges)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_spool_head head = test_head(attempt, rank);
    struct ech_str bytes = {0};
    char *dir = ech_path_dir(path, NULL);
    assert_int_equal(ech_mkdir_all(dir, NULL), ECH_OK);
    assert_int_equal(ech_spool_put_head(&head, &bytes, &err), ECH_OK);
    for (; ranges[0] >= 0; ranges += 2) {
        struct ech_block *block = test_block(ranges[0], ranges[1] - ranges[0], &err);
        assert_int_equal(ech_spool_put_block(&head, block, 0, &bytes, &err), ECH_OK);
        ech_block_destroy(block);
    }
    assert_int_equal(ech_write_file(path, bytes.data, bytes.length, &err), ECH_OK);
    ech_str_fini(&bytes);
    ech_free(dir);
}
#define TEST_SPOOL(path, attempt, rank, ...)                                                                 \
    test_spool(path, attempt, rank, (const int64_t[]){__VA_ARGS__, -1})

#endif
