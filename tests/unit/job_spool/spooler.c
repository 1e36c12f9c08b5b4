/* job/spooler: what is reported safe is in the file; full disks, short writes, fences, faults. The calls of
 * the system are replaced by ones that obey `plan`. */
#include "tests/unit/job_spool/blocks.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "job/spooler.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    atomic_int write_errno, sync_errno, failures; /* the next `failures` calls fail so */
    atomic_int most;                              /* bytes a write takes at most; 0: all */
    atomic_int interrupt;                         /* every other write: EINTR */
    atomic_int writes, syncs;
    atomic_int lose; /* a failed sync also loses what was written (as Linux may) */
    atomic_int delay_us;
} plan;

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    int number = ++plan.writes;
    if (plan.write_errno && plan.failures > 0) {
        plan.failures--;
        errno = plan.write_errno;
        if (bytes > 40)
            syscall(SYS_pwrite64, fd, data, (size_t)40, offset); /* and leaves a part behind */
        return -1;
    }
    if (plan.interrupt && number % 2) {
        errno = EINTR;
        return -1;
    }
    if (plan.most && bytes > (size_t)plan.most)
        bytes = (size_t)plan.most;
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

int fdatasync(int fd)
{
    ++plan.syncs;
    if (plan.delay_us)
        ech_sleep_us(plan.delay_us);
    if (plan.sync_errno && plan.failures > 0) {
        plan.failures--;
        if (plan.lose && ftruncate(fd, 256) != 0)
            abort();
        errno = plan.sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static struct ech_spooler *open_spooler(const struct ech_spooler_options *given)
{
    struct ech_spooler_options options = *given;
    struct ech_spooler *s = NULL;
    struct ech_err err = ECH_ERR_NONE;
    options.path = options.path ? options.path : "spool";
    options.head = test_head(1, 0);
    options.sync_bytes = options.sync_bytes ? options.sync_bytes : 64 << 20;
    assert_int_equal(ech_spooler_open(&options, &s, &err), ECH_OK);
    return s;
}

static void put_rows(struct ech_spooler *s, int64_t first, int64_t blocks, int64_t rows)
{
    struct ech_err err = ECH_ERR_NONE;
    for (int64_t i = 0; i < blocks; i++)
        assert_int_equal(ech_spooler_put(s, test_block(first + i * rows, rows, &err), 0, &err), ECH_OK);
}

/* Poll until `rows` more rows are safe (or 5 s have passed); they come in the order they were put. */
static void await_rows(struct ech_spooler *s, int64_t next, int64_t rows)
{
    struct ech_spooled safe;
    double end = ech_mono_s() + 5;
    while (rows > 0 && ech_mono_s() < end) {
        if (!ech_spooler_poll(s, &safe)) {
            ech_sleep_us(200);
            continue;
        }
        assert_int_equal(safe.first, next);
        assert_int_equal(safe.tokens, safe.rows * 9);
        next += safe.rows;
        rows -= safe.rows;
    }
    assert_int_equal(rows, 0);
}

/* The file holds exactly rows [0, rows), each once, with their bytes. */
static void assert_file(int64_t rows)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_spool_head head = test_head(1, 0);
    struct ech_spool_index index = {0};
    struct ech_cells cells = {0};
    int64_t next = 0;
    FILE *f = fopen("spool", "r");
    assert_non_null(f);
    assert_int_equal(ech_spool_scan("spool", &head, 0, &index, &err), ECH_OK);
    assert_int_equal(index.damaged, 0);
    for (size_t i = 0; i < index.count; i++) {
        const struct ech_spool_entry *e = &index.entries[i];
        assert_int_equal(e->first, next);
        next += e->rows;
        for (int c = 0; c < TEST_COLUMNS; c++) {
            cells.rows = 0;
            assert_int_equal(ech_spool_read(fileno(f), "spool", &head, e, c, e->first, e->rows, &cells, &err),
                             ECH_OK);
            assert_cells(&cells, 0, c, e->first, e->rows);
        }
    }
    assert_int_equal(next, rows);
    fclose(f);
    ech_cells_fini(&cells);
    ech_spool_index_fini(&index);
}

static void writes_what_it_says(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_spooled safe;
    struct ech_spooler *s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 1000});
    assert_false(ech_path_exists("spool"));
    put_rows(s, 0, 300, 7);
    ech_sleep_us(50000);
    assert_false(ech_spooler_poll(s, &safe)); /* written perhaps, not synced */
    assert_int_equal(ech_spooler_written_bytes(s), 0);
    assert_true(ech_spooler_pending_bytes(s) > 300 * 7 * 28);
    ech_spooler_flush(s);
    await_rows(s, 0, 2100);
    assert_int_equal(ech_spooler_pending_bytes(s), 0);
    assert_int_equal(ech_spooler_written_bytes(s), ech_file_size("spool", &err));
    put_rows(s, 2100, 3, 5);
    assert_int_equal(ech_spooler_close(s, &err), ECH_OK); /* writes and syncs what is pending */
    assert_file(2115);
    assert_true(plan.syncs <= 3);
}

static void syncs_by_time_and_bytes(void **state)
{
    (void)state;
    struct ech_spooler *s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 0.05});
    put_rows(s, 0, 1, 3);
    double start = ech_mono_s();
    await_rows(s, 0, 3);
    assert_true(ech_mono_s() - start >= 0.04);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    ech_remove_all("spool", NULL);
    s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 1000, .sync_bytes = 10000});
    put_rows(s, 0, 20, 20);
    await_rows(s, 0, 200); /* no flush was asked for */
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    assert_file(400);
}

static void no_work_no_file(void **state)
{
    (void)state;
    struct ech_spooler *s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 1});
    ech_spooler_flush(s);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    assert_false(ech_path_exists("spool"));
}

static void short_and_interrupted_writes(void **state)
{
    (void)state;
    plan.most = 77;
    plan.interrupt = 1;
    struct ech_spooler *s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 1000});
    put_rows(s, 0, 50, 3);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    assert_file(150);
}

static void full_disk_then_room(void **state)
{
    (void)state;
    plan.write_errno = ENOSPC;
    plan.failures = 1;
    struct ech_spooler *s =
        open_spooler(&(struct ech_spooler_options){.sync_seconds = 0.01, .full_seconds = 30});
    put_rows(s, 0, 4, 3);
    await_rows(s, 0, 12);
    assert_int_equal(plan.failures, 0);
    put_rows(s, 12, 4, 3);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    assert_file(24);
}

/* A sync that fails on a full disk may have dropped the pages: all since the last good sync goes out again.
 */
static void full_disk_at_sync(void **state)
{
    (void)state;
    struct ech_spooler *s =
        open_spooler(&(struct ech_spooler_options){.sync_seconds = 1000, .full_seconds = 30});
    plan.sync_errno = EDQUOT;
    plan.failures = 1;
    plan.lose = 1;
    put_rows(s, 0, 6, 3);
    ech_spooler_flush(s);
    await_rows(s, 0, 18);
    assert_int_equal(plan.failures, 0);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    assert_file(18);
}

static void full_for_good(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    plan.write_errno = ENOSPC;
    plan.failures = 1000;
    struct ech_spooler *s =
        open_spooler(&(struct ech_spooler_options){.sync_seconds = 0.01, .full_seconds = 0.6});
    put_rows(s, 0, 4, 3);
    double end = ech_mono_s() + 5;
    while (ech_spooler_failed(s, &err) == ECH_OK && ech_mono_s() < end)
        ech_sleep_us(1000);
    assert_int_equal(err.code, ECH_IO);
    assert_non_null(strstr(err.text, "spool"));
    assert_non_null(strstr(err.text, "free space"));
    struct ech_spooled safe;
    assert_false(ech_spooler_poll(s, &safe));
    ech_err_clear(&err);
    assert_int_equal(ech_spooler_put(s, test_block(50, 2, NULL), 0, &err), ECH_IO);
    ech_err_clear(&err);
    assert_int_equal(ech_spooler_close(s, &err), ECH_IO);
}

static void bad_disk_at_once(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    plan.sync_errno = EIO;
    plan.failures = 1;
    struct ech_spooler *s =
        open_spooler(&(struct ech_spooler_options){.sync_seconds = 1000, .full_seconds = 30});
    put_rows(s, 0, 4, 3);
    ech_spooler_flush(s);
    double start = ech_mono_s();
    assert_int_equal(ech_spooler_close(s, &err), ECH_IO);
    assert_true(ech_mono_s() - start < 0.4);
    assert_non_null(strstr(err.text, "syncing"));
}

static void cannot_create(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_spooler *s =
        open_spooler(&(struct ech_spooler_options){.sync_seconds = 0, .path = "none/here/spool"});
    put_rows(s, 0, 1, 3);
    assert_int_equal(ech_spooler_close(s, &err), ECH_EXISTS);
    assert_non_null(strstr(err.text, "none/here/spool"));
    ech_write_file("spool", "x", 1, NULL); /* never reopened */
    s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 0});
    put_rows(s, 0, 1, 3);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_EXISTS);
    assert_int_equal(ech_file_size("spool", NULL), 1);
}

static atomic_int passes_left;
static bool may_write(void *context)
{
    assert_true(context == &passes_left);
    return passes_left-- > 0;
}

/* n-th check says no: nothing is written or synced behind it, nothing more is reported safe. */
static void fenced(void **state)
{
    (void)state;
    for (int allowed = 0; allowed < 4; allowed++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_spooled safe;
        ech_remove_all("spool", NULL);
        passes_left = allowed;
        plan.writes = plan.syncs = 0;
        struct ech_spooler *s = open_spooler(&(struct ech_spooler_options){
            .sync_seconds = 1000, .may_write = may_write, .context = &passes_left});
        for (int i = 0; i < 2; i++) { /* each: one check for the write, one for the sync */
            put_rows(s, i * 3, 1, 3);
            ech_spooler_flush(s);
            if (allowed >= 2 * i + 2)
                await_rows(s, i * 3, 3);
        }
        double end = ech_mono_s() + 5;
        while (!ech_spooler_fenced(s) && ech_mono_s() < end)
            ech_sleep_us(200);
        assert_true(ech_spooler_fenced(s));
        assert_false(ech_spooler_poll(s, &safe));
        assert_int_equal(ech_spooler_put(s, test_block(60, 2, NULL), 0, &err), ECH_OK);
        assert_int_equal(ech_spooler_failed(s, &err), ECH_OK);
        assert_int_equal(ech_spooler_close(s, &err), ECH_OK);
        assert_int_equal(plan.writes, (allowed + 1) / 2);
        assert_int_equal(plan.syncs, allowed / 2);
        assert_int_equal(ech_file_size("spool", NULL) > 0,
                         allowed > 0); /* its name may be there, no byte of it */
    }
}

/* Main is not held up by a slow disk. */
static void never_blocks(void **state)
{
    (void)state;
    plan.delay_us = 300000;
    struct ech_spooler *s = open_spooler(&(struct ech_spooler_options){.sync_seconds = 0});
    put_rows(s, 0, 1, 3);
    ech_sleep_us(50000); /* the thread is in its sync */
    double start = ech_mono_s();
    put_rows(s, 3, 200, 3);
    ech_spooler_flush(s);
    (void)ech_spooler_pending_bytes(s);
    assert_true(ech_mono_s() - start < 0.15);
    assert_int_equal(ech_spooler_close(s, NULL), ECH_OK);
    assert_file(603);
}

/* A spooler that could not be opened is closed like any other. */
static void none_is_closed(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_spooler_close(NULL, &err), ECH_OK);
    assert_int_equal(err.code, ECH_OK);
}

/* Fail the n-th allocation, open, write or sync: an error, or all rows safe; never safe rows without bytes.
 */
static void faults(void **state)
{
    (void)state;
    int64_t n = 1;
    bool fired = true;
    for (; fired; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_spooler *s = NULL;
        struct ech_spooler_options options = {
            .path = "spool", .head = test_head(1, 0), .sync_seconds = 1000, .sync_bytes = 1 << 20};
        int64_t put = 0, safe_rows = 0;
        struct ech_spooled safe;
        ech_remove_all("spool", NULL);
        ech_fault_arm(-1, n);
        int code = ech_spooler_open(&options, &s, &err);
        for (int i = 0; code == ECH_OK && i < 3; i++, put += 4) {
            struct ech_block *block = test_block(put, 4, &err);
            code = block ? ech_spooler_put(s, block, 0, &err) : ECH_UNAVAILABLE;
            ech_spooler_flush(s);
            while (code == ECH_OK && safe_rows < put + 4) {
                code = ech_spooler_failed(s, &err);
                if (ech_spooler_poll(s, &safe))
                    safe_rows += safe.rows;
            }
        }
        if (s) {
            int closed = ech_spooler_close(s, &err);
            code = code == ECH_OK ? closed : code;
        }
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code != ECH_OK, fired);
        if (fired)
            assert_true(err.text[0]);
        if (safe_rows > 0) {
            struct ech_spool_index index = {0};
            struct ech_spool_head head = test_head(1, 0);
            struct ech_err none = ECH_ERR_NONE;
            assert_int_equal(ech_spool_scan("spool", &head, 0, &index, &none), ECH_OK);
            assert_true((int64_t)index.count * 4 >= safe_rows);
            ech_spool_index_fini(&index);
        }
    }
    assert_true(n > 30);
    assert_file(12);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(writes_what_it_says), cmocka_unit_test(syncs_by_time_and_bytes),
    cmocka_unit_test(no_work_no_file),     cmocka_unit_test(short_and_interrupted_writes),
    cmocka_unit_test(full_disk_then_room), cmocka_unit_test(full_disk_at_sync),
    cmocka_unit_test(full_for_good),       cmocka_unit_test(bad_disk_at_once),
    cmocka_unit_test(cannot_create),       cmocka_unit_test(fenced),
    cmocka_unit_test(never_blocks),        cmocka_unit_test(faults),
    cmocka_unit_test(none_is_closed),
};
ECH_TEST_MAIN(tests)
