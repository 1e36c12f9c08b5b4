/* Whole runs in one process: small datasets from a function, a run directory as the launcher makes it, an
 * attempt under a deadline, and the bytes of a folder to compare. */
#ifndef ECH_TESTS_JOB_FIXTURE_H
#define ECH_TESTS_JOB_FIXTURE_H

#include "tests/unit/model/fixture.h"

#include "config/config.h"
#include "data/dataset.h"
#include "data/writer.h"
#include "job/run.h"

#include <dirent.h>
#include <unistd.h>

/* The bytes of a cell, appended to `out` (empty at first). */
typedef void (*cell_fn)(int64_t row, int column, struct ech_str *out);

static inline struct ech_comm *self(void)
{
    static struct ech_comm *comm;
    if (!comm)
        assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    return comm;
}

static inline void put_cells(struct ech_writer *writer, int column, int64_t rows, cell_fn cell)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str s;
    ech_str_init(&s);
    for (int64_t row = 0; row < rows; row++) {
        ech_str_clear(&s);
        cell(row, column, &s);
        uint64_t bytes = s.length;
        must(ech_writer_append(writer, column, s.data ? s.data : "", &bytes, 1, &err), &err);
    }
    ech_str_fini(&s);
}

struct table {
    const struct ech_column *columns;
    int count;
    int64_t rows, shard_bytes;
    cell_fn cell;
};

static inline void put_dataset(const char *path, const struct table *t)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_layout *layout;
    struct ech_writer *writer;
    struct ech_str s;
    const struct ech_publish how = {.target = path};
    ech_str_init(&s);
    must(ech_layout_create(t->columns, t->count, t->shard_bytes, &layout, &err), &err);
    for (int64_t row = 0; row < t->rows; row++) {
        uint64_t bytes[ECH_COLUMNS_MAX];
        for (int c = 0; c < t->count; c++) {
            ech_str_clear(&s);
            t->cell(row, c, &s);
            bytes[c] = s.length;
        }
        must(ech_layout_add(layout, bytes, &err), &err);
    }
    must(ech_layout_agree(layout, self(), &err), &err);
    must(ech_writer_open(self(), "partial", layout, &writer, &err), &err);
    for (int c = 0; c < t->count; c++)
        put_cells(writer, c, t->rows, t->cell);
    must(ech_writer_publish(writer, &how, &err), &err);
    ech_writer_close(writer);
    ech_layout_destroy(layout);
    ech_str_fini(&s);
}

/* The effective configuration of the job in `yaml`, absolute paths, for the run directory "run". */
static inline void put_job(const char *yaml)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_config_request request = {.path = "job.yaml"};
    struct ech_config *config = NULL;
    struct ech_str text;
    ech_str_init(&text);
    put_text("job.yaml", yaml);
    must(ech_config_load(&request, &config, &err), &err);
    must(ech_config_print(config, true, &text, &err), &err);
    put_file("run/job.yaml", text.data, text.length);
    ech_config_destroy(config);
    ech_str_fini(&text);
}

static inline void put_run(const char *yaml)
{
    must(ech_remove_all("run", NULL), NULL);
    must(ech_mkdir_all("run/nodes", NULL), NULL);
    put_job(yaml);
}

/* An attempt that has not ended after half a minute ends the test (SIGALRM). */
static inline int run_attempt(int attempt, const volatile sig_atomic_t *stop, struct ech_err *err)
{
    static const volatile sig_atomic_t never;
    struct ech_run_options options = {.comm = self(),
                                      .run_dir = "run",
                                      .attempt = attempt,
                                      .stop = stop ? stop : &never,
                                      .version = "test"};
    struct ech_run_end end;
    alarm(30);
    int code = ech_run_attempt(&options, &end, err);
    alarm(0);
    assert_false(end.leave);
    return code;
}

/* Names and contents of the files of a folder, in the order of their names. */
static inline void folder_bytes(const char *path, struct ech_str *out)
{
    struct ech_err err = ECH_ERR_NONE;
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    assert_true(count >= 2);
    ech_str_clear(out);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            char *data, *file = ech_path_join(path, names[i]->d_name, &err);
            size_t bytes;
            must(ech_read_file(file, 1 << 24, &data, &bytes, &err), &err);
            ech_str_addf(out, "%s %zu\n", names[i]->d_name, bytes);
            ech_str_add(out, data, bytes);
            ech_free(data);
            ech_free(file);
        }
        free(names[i]);
    }
    free(names);
    assert_false(out->failed);
}

static inline struct ech_dataset *open_dataset(const char *path)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_dataset *ds = NULL;
    must(ech_dataset_open(path, &ds, &err), &err);
    return ds;
}

/* All rows of a column by its name. */
static inline struct ech_cells read_column(const struct ech_dataset *ds, const char *name)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_cells cells = {0};
    int index;
    must(ech_dataset_find(ds, name, &index, &err), &err);
    must(ech_dataset_read(ds, index, 0, ech_dataset_rows(ds), &cells, &err), &err);
    return cells;
}

#endif
