/* job/seal on one rank: listing, verify, the sealed dataset read back by the reader and by h5py, faults. */
#include "tests/unit/job_spool/run.h"

#include "base/fault.h"
#include "data/manifest.h"
#include "data/writer.h"

#include <unistd.h>

enum { ROWS = 1000 };

static struct ech_comm *self(void)
{
    struct ech_comm *comm = NULL;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    return comm;
}

static void listing(void **state)
{
    (void)state;
    static const char *const there[] = {"run/nodes/hostb/spool-1-0",
                                        "run/nodes/hosta/spool-2-1",
                                        "run/nodes/hosta/spool-1-10",
                                        "run/nodes/hosta/spool-1-2",
                                        "run/nodes/hosta/log-1-2",
                                        "run/nodes/hosta/spool-1",
                                        "run/nodes/hosta/spool-1-2.tmp",
                                        "run/nodes/hosta/spool-x-2",
                                        "run/nodes/hosta/spool--1-2",
                                        "run/nodes/hosta/spool-1-",
                                        "run/nodes/hosta/spool-9999999999999999999999999-1",
                                        "run/nodes/loose"};
    static const char *const want[] = {"run/nodes/hosta/spool-1-2", "run/nodes/hosta/spool-1-10",
                                       "run/nodes/hosta/spool-2-1", "run/nodes/hostb/spool-1-0"};
    struct ech_comm *comm = self();
    struct ech_spool_files files;
    struct ech_err err = ECH_ERR_NONE;
    ech_mkdir_all("run/nodes/hosta", NULL);
    ech_mkdir_all("run/nodes/hostb", NULL);
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        assert_int_equal(ech_write_file(there[i], "", 0, &err), ECH_OK);
    assert_int_equal(ech_spool_files_list(comm, "run", &files, &err), ECH_OK);
    assert_int_equal(files.count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(files.paths[i], want[i]);
    ech_spool_files_fini(&files);
    assert_int_equal(ech_spool_files_list(comm, "nowhere", &files, &err), ECH_OK);
    assert_int_equal(files.count, 0);
    ech_spool_files_fini(&files);
    ech_comm_close(comm);
}

/* Everything between a run directory and its sealed dataset. */
struct made {
    struct ech_comm *comm;
    struct ech_spool_head head;
    struct ech_spool_files files;
    struct ech_spool_index index;
    struct ech_rowset done;
};

static int verify(struct made *m, struct ech_err *err)
{
    *m = (struct made){.comm = m->comm, .head = test_head(9, 0)};
    int code = ech_spool_files_list(m->comm, "run", &m->files, err);
    return code == ECH_OK ? ech_spool_verify(m->comm, &m->files, &m->head, &m->index, &m->done, err) : code;
}

static void drop(struct made *m)
{
    ech_spool_files_fini(&m->files);
    ech_spool_index_fini(&m->index);
    ech_rowset_fini(&m->done);
}

static struct ech_seal_job job_of(const struct made *m, int64_t rows)
{
    return (struct ech_seal_job){.files = &m->files,
                                 .head = &m->head,
                                 .index = &m->index,
                                 .rows = rows,
                                 .shard_bytes = 20000,
                                 .target = "out",
                                 .tag = "run",
                                 .provenance = "  by: a test\n"};
}

/* Rows 0..999 in two attempts, with overlaps, a torn tail and a damaged record. */
static void make_run(void)
{
    TEST_SPOOL("run/nodes/h1/spool-1-0", 1, 0, 0, 100, 300, 420, 900, 950);
    TEST_SPOOL("run/nodes/h1/spool-1-1", 1, 1, 100, 130, 130, 300);
    TEST_SPOOL("run/nodes/h2/spool-2-0", 2, 0, 400, 700, 90, 310, 700, 701);
    TEST_SPOOL("run/nodes/h2/spool-2-1", 2, 1, 701, 901, 949, 1000);
    TEST_SPOOL("run/nodes/h2/spool-2-2", 2, 2, 0, 50);
    char *text;
    size_t bytes;
    assert_int_equal(ech_read_file("run/nodes/h2/spool-2-2", 1 << 20, &text, &bytes, NULL), ECH_OK);
    text[700] ^= 1;
    assert_int_equal(ech_write_file("run/nodes/h2/spool-2-2", text, bytes, NULL), ECH_OK);
    ech_free(text);
    assert_int_equal(ech_file_size("run/nodes/h1/spool-1-1", NULL) > 0, 1);
    assert_int_equal(truncate("run/nodes/h1/spool-1-1", ech_file_size("run/nodes/h1/spool-1-1", NULL) - 9),
                     0);
}

/* Rows [0, rows) of the produced columns, from output column `base` on. */
static void assert_sealed(const char *path, int base, int64_t rows)
{
    struct ech_dataset *ds = NULL;
    struct ech_cells cells = {0};
    struct ech_err err = ECH_ERR_NONE;
    if (ech_dataset_open(path, &ds, &err) != ECH_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ech_dataset_rows(ds), rows);
    assert_int_equal(ech_dataset_columns(ds), base + TEST_COLUMNS);
    for (int c = 0; c < TEST_COLUMNS; c++) {
        assert_string_equal(ech_dataset_column(ds, base + c)->name, test_columns[c].name);
        assert_int_equal(ech_dataset_read(ds, base + c, 0, rows, &cells, &err), ECH_OK);
        assert_cells(&cells, 0, c, 0, rows);
    }
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
}

static void verify_and_seal(void **state)
{
    (void)state;
    struct made m = {.comm = self()};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sealed sealed;
    make_run();
    assert_int_equal(verify(&m, &err), ECH_OK);
    assert_int_equal(m.index.count, 9);
    assert_int_equal(m.index.damaged, 2);
    assert_int_equal(m.done.rows, ROWS);
    assert_int_equal(m.done.count, 1);
    for (size_t i = 1; i < m.index.count; i++)
        assert_true(m.index.entries[i - 1].first <= m.index.entries[i].first);
    struct ech_seal_job job = job_of(&m, ROWS);
    ech_mkdir_all("out.partial-run/old", NULL); /* of a seal that was killed */
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_OK);
    assert_int_equal(sealed.rows, ROWS);
    assert_true(sealed.shards > 2);
    assert_true(sealed.bytes > 28 * ROWS && sealed.bytes < 100 * ROWS);
    assert_sealed("out", 0, ROWS);
    assert_false(ech_path_exists("out.partial-run"));
    struct ech_manifest manifest;
    assert_int_equal(ech_manifest_read("out", &manifest, &err), ECH_OK);
    assert_true(ech_hash_equal(manifest.uuid, m.head.identity));
    assert_non_null(strstr(manifest.provenance, "by: a test"));
    ech_manifest_fini(&manifest);
    /* A second time: this output is there already; for another job, it is in the way. */
    struct ech_sealed again = {0};
    assert_int_equal(ech_seal(m.comm, &job, &again, &err), ECH_OK);
    assert_int_equal(again.rows, ROWS);
    assert_int_equal(again.shards, sealed.shards);
    assert_true(again.bytes > sealed.bytes);
    struct ech_spool_head other = m.head;
    other.identity.low++;
    job.head = &other;
    assert_int_equal(ech_seal(m.comm, &job, &again, &err), ECH_EXISTS);
    assert_non_null(strstr(err.text, "out exists"));
    assert_false(ech_path_exists("out.partial-run"));
    job.head = &m.head;
    job.rows = ROWS - 1;
    assert_int_equal(ech_seal(m.comm, &job, &again, NULL), ECH_EXISTS);
    assert_sealed("out", 0, ROWS);
    job.replace = true;
    job.target = "out/";
    job.rows = 700;
    ech_err_clear(&err);
    struct ech_spool_index part = m.index;
    part.count = 0;
    for (size_t i = 0; i < m.index.count; i++)
        if (m.index.entries[i].first + m.index.entries[i].rows <= 700)
            part.entries[part.count++] = m.index.entries[i];
    job.index = &part;
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_OK);
    assert_sealed("out", 0, 700);
    drop(&m);
    ech_comm_close(m.comm);
}

static void gaps(void **state)
{
    (void)state;
    struct made m = {.comm = self()};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sealed sealed;
    TEST_SPOOL("run/nodes/h/spool-1-0", 1, 0, 5, 10, 20, 30);
    assert_int_equal(verify(&m, &err), ECH_OK);
    assert_int_equal(m.done.rows, 15);
    assert_int_equal(m.done.count, 2);
    struct ech_seal_job job = job_of(&m, 30);
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "row 0 "));
    assert_false(ech_path_exists("out"));
    assert_false(ech_path_exists("out.partial-run"));
    drop(&m);
    /* A spool of another job in the run is an error that names the file. */
    struct ech_spool_head other = test_head(1, 1);
    struct ech_str bytes = {0};
    other.identity.high++;
    ech_err_clear(&err);
    ech_spool_put_head(&other, &bytes, &err);
    ech_write_file("run/nodes/h/spool-1-1", bytes.data, bytes.length, &err);
    ech_str_fini(&bytes);
    assert_int_equal(verify(&m, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "spool-1-1"));
    drop(&m);
    ech_comm_close(m.comm);
}

/* Zero rows without a single spool, and one row. */
static void few_rows(void **state)
{
    (void)state;
    struct made m = {.comm = self()};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sealed sealed;
    ech_mkdir_all("run", NULL);
    assert_int_equal(verify(&m, &err), ECH_OK);
    assert_int_equal(m.index.count, 0);
    struct ech_seal_job job = job_of(&m, 0);
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_OK);
    assert_int_equal(sealed.rows, 0);
    assert_int_equal(sealed.shards, 0);
    assert_sealed("out", 0, 0);
    drop(&m);
    ech_remove_all("out", NULL);
    TEST_SPOOL("run/nodes/h/spool-1-0", 1, 0, 0, 1);
    assert_int_equal(verify(&m, &err), ECH_OK);
    job = job_of(&m, 1);
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_OK);
    assert_int_equal(sealed.shards, 1);
    assert_sealed("out", 0, 1);
    drop(&m);
    ech_comm_close(m.comm);
}

/* An input dataset whose columns are a ragged key "key-<row>" and a fixed number. */
static const struct ech_column input_columns[2] = {{"key", ECH_TEXT, ECH_U8, 0}, {"n", ECH_INTS, ECH_I64, 1}};

static void make_input(struct ech_comm *comm, int64_t rows)
{
    struct ech_layout *layout;
    struct ech_writer *writer;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_publish how = {.target = "input"};
    char key[32];
    assert_int_equal(ech_layout_create(input_columns, 2, 3000, &layout, &err), ECH_OK);
    for (int64_t r = 0; r < rows; r++) {
        uint64_t sizes[2] = {(uint64_t)snprintf(key, sizeof key, "key-%d", (int)r), 8};
        assert_int_equal(ech_layout_add(layout, sizes, &err), ECH_OK);
    }
    assert_int_equal(ech_layout_agree(layout, comm, &err), ECH_OK);
    assert_int_equal(ech_writer_open(comm, "input.partial", layout, &writer, &err), ECH_OK);
    for (int64_t r = 0; r < rows; r++) {
        int64_t n = -r;
        uint64_t bytes = (uint64_t)snprintf(key, sizeof key, "key-%d", (int)r), eight = 8;
        assert_int_equal(ech_writer_append(writer, 0, key, &bytes, 1, &err), ECH_OK);
        assert_int_equal(ech_writer_append(writer, 1, &n, &eight, 1, &err), ECH_OK);
    }
    assert_int_equal(ech_writer_publish(writer, &how, &err), ECH_OK);
    ech_writer_close(writer);
    ech_layout_destroy(layout);
}

static void assert_kept(int64_t rows)
{
    struct ech_dataset *ds = NULL;
    struct ech_cells keys = {0}, numbers = {0};
    char key[32];
    assert_int_equal(ech_dataset_open("out", &ds, NULL), ECH_OK);
    assert_int_equal(ech_dataset_read(ds, 1, 0, rows, &keys, NULL), ECH_OK);
    assert_int_equal(ech_dataset_read(ds, 0, 0, rows, &numbers, NULL), ECH_OK);
    for (int64_t r = 0; r < rows; r++) {
        size_t bytes = (size_t)snprintf(key, sizeof key, "key-%d", (int)r);
        assert_int_equal(keys.offsets[r + 1] - keys.offsets[r], bytes);
        assert_memory_equal(keys.bytes + keys.offsets[r], key, bytes);
        assert_int_equal(((const int64_t *)(const void *)numbers.bytes)[r], -r);
    }
    ech_cells_fini(&keys);
    ech_cells_fini(&numbers);
    ech_dataset_close(ds);
}

static void kept_columns(void **state)
{
    (void)state;
    struct made m = {.comm = self()};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sealed sealed;
    struct ech_dataset *input = NULL;
    const int keep[2] = {1, 0};
    make_run();
    make_input(m.comm, ROWS + 3); /* an append since the job began does not matter */
    assert_int_equal(ech_dataset_open("input", &input, &err), ECH_OK);
    assert_int_equal(verify(&m, &err), ECH_OK);
    struct ech_seal_job job = job_of(&m, ROWS);
    job.input = input;
    job.keep = keep;
    job.keep_count = 2;
    if (ech_seal(m.comm, &job, &sealed, &err) != ECH_OK)
        fail_msg("%s", err.text);
    assert_sealed("out", 2, ROWS);
    assert_kept(ROWS);
    ech_remove_all("out", NULL);
    job.rows = ROWS + 4;
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "1003 rows"));
    ech_dataset_close(input);
    drop(&m);
    ech_comm_close(m.comm);
}

/* A spool that is cut or changed between verify and seal: an error, no output. */
static void changed_spools(void **state)
{
    (void)state;
    struct made m = {.comm = self()};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sealed sealed;
    TEST_SPOOL("run/nodes/h/spool-1-0", 1, 0, 0, 30, 30, 60);
    assert_int_equal(verify(&m, &err), ECH_OK);
    struct ech_seal_job job = job_of(&m, 60);
    assert_int_equal(truncate("run/nodes/h/spool-1-0", 1000), 0);
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "spool-1-0"));
    assert_false(ech_path_exists("out"));
    assert_false(ech_path_exists("out.partial-run"));
    drop(&m);
    ech_comm_close(m.comm);
}

static void h5py(void **state)
{
    (void)state;
    struct made m = {.comm = self()};
    struct ech_err err = ECH_ERR_NONE;
    struct ech_sealed sealed;
    char command[4096];
    make_run();
    assert_int_equal(verify(&m, &err), ECH_OK);
    struct ech_seal_job job = job_of(&m, ROWS);
    assert_int_equal(ech_seal(m.comm, &job, &sealed, &err), ECH_OK);
    snprintf(command, sizeof command, "/usr/bin/python3 %s/tests/unit/job_spool/read_sealed.py out %d",
             getenv("ECH_SOURCE"), ROWS);
    assert_int_equal(system(command), 0);
    drop(&m);
    ech_comm_close(m.comm);
}

/* Fail the n-th operation of verify and seal, for every n: an error and nothing half-made, or a whole and
 * right dataset (the failure came behind the publishing rename). */
static void faults(void **state)
{
    (void)state;
    int64_t n = 1, wholes = 0;
    struct made m = {.comm = self()};
    TEST_SPOOL("run/nodes/h1/spool-1-0", 1, 0, 0, 20, 15, 40);
    TEST_SPOOL("run/nodes/h2/spool-1-1", 1, 1, 40, 60);
    for (bool fired = true; fired; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_sealed sealed;
        ech_remove_all("out", NULL);
        ech_fault_arm(-1, n);
        int code = verify(&m, &err);
        struct ech_seal_job job = job_of(&m, 60);
        job.shard_bytes = 2000;
        if (code == ECH_OK)
            code = ech_seal(m.comm, &job, &sealed, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        drop(&m);
        assert_true(fired || code == ECH_OK);
        assert_true(code == ECH_OK || err.text[0]);
        assert_false(ech_path_exists("out.partial-run"));
        if (code == ECH_OK || ech_path_exists("out")) {
            assert_sealed("out", 0, 60);
            wholes += fired;
        }
    }
    print_message("%d faults, %d of them behind the rename\n", (int)n - 1, (int)wholes);
    assert_true(n > 100);
    assert_true(wholes <= 3);
    ech_comm_close(m.comm);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(listing),  cmocka_unit_test(verify_and_seal), cmocka_unit_test(gaps),
    cmocka_unit_test(few_rows), cmocka_unit_test(kept_columns),    cmocka_unit_test(changed_spools),
    cmocka_unit_test(h5py),     cmocka_unit_test(faults),
};
ECH_TEST_MAIN(tests)
