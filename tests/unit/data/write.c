/* runtime/data with one rank: what is written is read back, verified, appended to, replaced; damage is found
 * and named; what does not fit is refused. */
#include "tests/harness.h"

#include "base/io.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "data/manifest.h"
#include "data/verify.h"
#include "tests/unit/data/make.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ech_comm *comm;

static const struct make_plan small = {.rows = 700, .shard_bytes = 30000, .slice = 13};

static void write_it(const struct make_plan *plan, const char *target)
{
    struct ech_err err = ECH_ERR_NONE;
    const struct ech_publish how = {.target = target,
                                    .provenance = "  command: \"import a: b\"\n  list:\n    - 1\n"};
    if (!comm)
        assert_int_equal(ech_comm_open_self(&comm, &err), ECH_OK);
    if (make_dataset(comm, plan, "partial", &how, &err) != ECH_OK)
        fail_msg("%s", err.text);
    assert_false(ech_path_exists("partial"));
}

static struct ech_dataset *open_it(const char *path)
{
    struct ech_dataset *ds = NULL;
    struct ech_err err = ECH_ERR_NONE;
    if (ech_dataset_open(path, &ds, &err) != ECH_OK)
        fail_msg("%s", err.text);
    return ds;
}

static void compare_rows(const struct ech_dataset *ds, int column, int64_t first, int64_t count,
                         struct ech_cells *cells)
{
    unsigned char cell[MAKE_CELL];
    struct ech_err err = ECH_ERR_NONE;
    uint64_t sizes[1000];
    if (ech_dataset_read(ds, column, first, count, cells, &err) != ECH_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ech_dataset_row_sizes(ds, column, first, count, sizes, &err), ECH_OK);
    assert_int_equal(cells->rows, count);
    assert_int_equal(cells->offsets[0], 0);
    for (int64_t i = 0; i < count; i++) {
        size_t bytes = make_cell(first + i, column, cell);
        if (cells->offsets[i + 1] - cells->offsets[i] != bytes || sizes[i] != bytes ||
            memcmp(cells->bytes + cells->offsets[i], cell, bytes) != 0)
            fail_msg("column %d row %lld differs", column, (long long)(first + i));
    }
}

static void compare_all(const struct ech_dataset *ds, int64_t rows)
{
    struct ech_cells cells = {0};
    assert_int_equal(ech_dataset_rows(ds), rows);
    assert_int_equal(ech_dataset_columns(ds), MAKE_COLUMNS);
    for (int c = 0; c < MAKE_COLUMNS; c++) {
        compare_rows(ds, c, 0, rows, &cells);
        for (int64_t first = 0; first <= rows; first += 61)
            compare_rows(ds, c, first, rows - first < 90 ? rows - first : 90, &cells);
    }
    ech_cells_fini(&cells);
}

static struct ech_damage last_damage;
static char last_text[512];

static void note(const struct ech_damage *damage, void *context)
{
    (void)context;
    last_damage = *damage;
    snprintf(last_text, sizeof last_text, "%s", damage->text);
}

static int64_t damages(const struct ech_dataset *ds)
{
    struct ech_verify sums = {0};
    struct ech_err err = ECH_ERR_NONE;
    if (ech_verify(ds, 0, 1, note, NULL, &sums, &err) != ECH_OK)
        fail_msg("%s", err.text);
    return sums.damages;
}

static void round_trip(void **state)
{
    (void)state;
    write_it(&small, "out");
    struct ech_dataset *ds = open_it("out");
    const struct ech_manifest *m = ech_dataset_manifest(ds);
    assert_true(m->shard_count > 5 && m->generation == 1);
    assert_string_equal(ech_dataset_path(ds), "out");
    assert_string_equal(m->provenance,
                        "  - at_generation: 1\n    command: \"import a: b\"\n    list:\n      - 1\n");
    compare_all(ds, small.rows);
    assert_int_equal(damages(ds), 0);
    int index = -1;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_dataset_find(ds, "vector", &index, &err), ECH_OK);
    assert_int_equal(index, 2);
    assert_int_equal(ech_dataset_find(ds, "vectr", &index, &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "did you mean 'vector'"));
    assert_non_null(strstr(err.text, "tokens"));
    struct ech_cells cells = {0};
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(ech_dataset_read(ds, 0, 690, 11, &cells, &err), ECH_USAGE);
    assert_int_equal(ech_dataset_read(ds, 0, -1, 1, &cells, NULL), ECH_USAGE);
    assert_int_equal(ech_dataset_read(ds, 0, INT64_MAX, INT64_MAX, &cells, NULL), ECH_USAGE);
    assert_int_equal(ech_dataset_read(ds, 0, 700, 0, &cells, NULL), ECH_OK);
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
    ech_dataset_close(NULL);
}

/* The slicing of the writes and blocks of several MiB leave the same dataset. */
static void slices_and_blocks(void **state)
{
    (void)state;
    struct make_plan plan = {.rows = 30000, .shard_bytes = (int64_t)1 << 40, .slice = 30000};
    write_it(&plan, "one");
    plan.slice = 77;
    write_it(&plan, "two");
    struct ech_dataset *a = open_it("one"), *b = open_it("two");
    const struct ech_manifest *m = ech_dataset_manifest(a);
    assert_int_equal(m->shard_count, 1);
    assert_true(m->shards[0].bytes > 5 << 20);
    assert_true(ech_hash_equal(ech_dataset_identity(a), ech_dataset_identity(b)));
    assert_true(ech_hash_equal(m->uuid, ech_dataset_manifest(b)->uuid));
    assert_int_equal(damages(a) + damages(b), 0);
    char *x, *y;
    size_t nx, ny;
    assert_int_equal(ech_read_file("one/shard-00000.h5", 1 << 28, &x, &nx, NULL), ECH_OK);
    assert_int_equal(ech_read_file("two/shard-00000.h5", 1 << 28, &y, &ny, NULL), ECH_OK);
    assert_true(nx == ny && memcmp(x, y, nx) == 0);
    ech_free(x);
    ech_free(y);
    struct ech_verify all, sum = {0};
    assert_int_equal(ech_verify(a, 0, 1, NULL, NULL, &all, NULL), ECH_OK);
    for (int part = 0; part < 5; part++) {
        struct ech_verify one;
        assert_int_equal(ech_verify(a, part, 5, NULL, NULL, &one, NULL), ECH_OK);
        sum.blocks += one.blocks;
        sum.bytes += one.bytes;
        sum.rows += one.rows;
    }
    assert_true(sum.blocks == all.blocks && sum.bytes == all.bytes && sum.rows == all.rows);
    ech_dataset_close(a);
    ech_dataset_close(b);
}

static void empty(void **state)
{
    (void)state;
    const struct make_plan none = {.rows = 0, .shard_bytes = 1000, .slice = 10};
    write_it(&none, "out/");
    struct ech_dataset *ds = open_it("out");
    assert_int_equal(ech_dataset_rows(ds), 0);
    assert_int_equal(damages(ds), 0);
    struct ech_cells cells = {0};
    assert_int_equal(ech_dataset_read(ds, 0, 0, 0, &cells, NULL), ECH_OK);
    assert_int_equal(cells.rows, 0);
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
}

static void append(void **state)
{
    (void)state;
    write_it(&small, "out");
    struct stat before, after;
    stat("out/shard-00000.h5", &before);
    struct make_plan more = small;
    more.rows = 250;
    more.first_row = small.rows;
    struct ech_err err = ECH_ERR_NONE;
    const struct ech_publish how = {.append_to = "out", .provenance = "  command: more\n"};
    struct ech_dataset *old = open_it("out");
    if (make_dataset(comm, &more, "partial", &how, &err) != ECH_OK)
        fail_msg("%s", err.text);
    compare_all(old, small.rows); /* a reader of the old generation goes on */
    struct ech_dataset *ds = open_it("out");
    compare_all(ds, small.rows + 250);
    assert_int_equal(damages(ds), 0);
    const struct ech_manifest *m = ech_dataset_manifest(ds);
    assert_int_equal(m->generation, 2);
    assert_true(ech_hash_equal(m->uuid, ech_dataset_manifest(old)->uuid));
    assert_false(ech_hash_equal(ech_dataset_identity(ds), ech_dataset_identity(old)));
    assert_int_equal(m->shards[0].generation, 1);
    assert_int_equal(m->shards[m->shard_count - 1].generation, 2);
    assert_non_null(strstr(m->provenance, "  - at_generation: 2\n    command: more\n"));
    stat("out/shard-00000.h5", &after);
    assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    assert_false(ech_path_exists("partial"));
    more.rows = 0; /* nothing to append: nothing changes */
    assert_int_equal(make_dataset(comm, &more, "partial", &how, &err), ECH_OK);
    struct ech_dataset *same = open_it("out");
    assert_true(ech_hash_equal(ech_dataset_identity(ds), ech_dataset_identity(same)));
    ech_dataset_close(same);
    ech_dataset_close(ds);
    ech_dataset_close(old);
    const struct ech_publish nowhere = {.append_to = "missing"};
    more.rows = 1;
    assert_int_equal(make_dataset(comm, &more, "partial", &nowhere, &err), ECH_NOINPUT);
}

static void targets(void **state)
{
    (void)state;
    write_it(&small, "out");
    struct make_plan other = small;
    other.rows = 10;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_publish how = {.target = "out"};
    assert_int_equal(make_dataset(comm, &other, "partial", &how, &err), ECH_EXISTS);
    assert_non_null(strstr(err.text, "out exists already"));
    assert_true(ech_path_exists("partial"));
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(make_dataset(comm, &other, "partial", &how, &err), ECH_EXISTS); /* the partial folder */
    assert_non_null(strstr(err.text, "partial exists already"));
    assert_int_equal(ech_remove_all("partial", NULL), ECH_OK);
    struct ech_dataset *ds = open_it("out");
    compare_all(ds, small.rows);
    ech_dataset_close(ds);
    how.replace = true;
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(make_dataset(comm, &other, "partial", &how, &err), ECH_OK);
    assert_false(ech_path_exists("partial"));
    ds = open_it("out");
    compare_all(ds, 10);
    ech_dataset_close(ds);
    mkdir("mine", 0777); /* somebody's folder is not thrown away */
    how.target = "mine";
    assert_int_equal(make_dataset(comm, &other, "partial", &how, &err), ECH_EXISTS);
    assert_non_null(strstr(err.text, "not a dataset"));
    assert_int_equal(ech_remove_all("partial", NULL), ECH_OK);
    how = (struct ech_publish){.target = "bad", .provenance = "  a: [1\n"};
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(make_dataset(comm, &other, "partial", &how, &err), ECH_DATA);
    assert_false(ech_path_exists("bad"));
}

/* Pass 2 tells other sizes, fewer rows, more rows. */
static void changed_input(void **state)
{
    (void)state;
    const struct ech_column column = {.name = "t", .type = ECH_TEXT, .dtype = ECH_U8};
    static const struct {
        uint64_t sizes[4];
        int64_t rows;
        const char *text;
    } cases[] = {
        {{3, 4, 5}, 3, ""},
        {{3, 4, 4}, 3, "other sizes"},
        {{3, 4, 6}, 3, "other sizes"},
        {{3, 4}, 2, "2 rows of shard 0 came, 3 were counted"},
        {{0}, 0, "0 rows of shard 0 came, 3 were counted"},
        {{3, 4, 5, 1}, 4, "1 more rows than were counted"},
        {{UINT64_MAX, 4, 5}, 3, "other sizes"},
    };
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_layout *layout;
        struct ech_writer *writer;
        struct ech_err err = ECH_ERR_NONE;
        assert_int_equal(ech_layout_create(&column, 1, 1000, &layout, &err), ECH_OK);
        for (uint64_t bytes = 3; bytes <= 5; bytes++)
            assert_int_equal(ech_layout_add(layout, &bytes, &err), ECH_OK);
        assert_int_equal(ech_layout_agree(layout, comm, &err), ECH_OK);
        assert_int_equal(ech_writer_open(comm, "partial", layout, &writer, &err), ECH_OK);
        const struct ech_publish how = {.target = "out"};
        ech_writer_append(writer, 0, "abcdefghijklmnop", cases[i].sizes, cases[i].rows, &err);
        err = (struct ech_err)ECH_ERR_NONE; /* publish remembers */
        int code = ech_writer_publish(writer, &how, &err);
        assert_int_equal(code, i == 0 ? ECH_OK : ECH_DATA);
        assert_non_null(strstr(err.text, cases[i].text));
        ech_writer_close(writer);
        ech_layout_destroy(layout);
        assert_int_equal(ech_remove_all("partial", NULL), ECH_OK);
        assert_true(ech_path_exists("out") == (i == 0));
        assert_int_equal(ech_remove_all("out", NULL), ECH_OK);
    }
}

static void flip(const char *path, int64_t at)
{
    int fd = open(path, O_RDWR);
    unsigned char byte = 0;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Every byte of a small shard flipped in turn: opening refuses it, verify finds it, or it is one of HDF5's
 * own headers' unused bytes and the rows are still right. No content byte goes unnoticed. */
static void every_flip(void **state)
{
    (void)state;
    const struct make_plan tiny = {.rows = 3, .shard_bytes = 1 << 20, .slice = 3};
    write_it(&tiny, "out");
    int64_t size = ech_file_size("out/shard-00000.h5", NULL), refused = 0, found = 0, harmless = 0;
    struct ech_cells cells = {0};
    for (int64_t at = 0; at < size; at += 13) {
        struct ech_dataset *ds = NULL;
        struct ech_err err = ECH_ERR_NONE;
        flip("out/shard-00000.h5", at);
        if (ech_dataset_open("out", &ds, &err) != ECH_OK) {
            assert_true(err.text[0] != '\0');
            refused++;
        } else if (damages(ds) > 0) {
            found++;
        } else {
            for (int c = 0; c < MAKE_COLUMNS; c++)
                compare_rows(ds, c, 0, 3, &cells);
            harmless++;
        }
        ech_dataset_close(ds);
        flip("out/shard-00000.h5", at);
    }
    ech_cells_fini(&cells);
    assert_true(refused > 0 && found > 0);
    print_message("flips: %lld refused, %lld found, %lld harmless\n", (long long)refused, (long long)found,
                  (long long)harmless);
}

/* Damage at a known place is named with the right shard, column and rows. */
static void named_damage(void **state)
{
    (void)state;
    write_it(&small, "out");
    struct ech_dataset *ds = open_it("out");
    char *data;
    size_t bytes;
    assert_int_equal(ech_read_file("out/shard-00002.h5", 1 << 28, &data, &bytes, NULL), ECH_OK);
    const struct ech_manifest_shard *s = &ech_dataset_manifest(ds)->shards[2];
    unsigned char cell[MAKE_CELL];
    size_t length = make_cell(s->first_row, 1, cell); /* the first JSON value of that shard */
    const char *at = memmem(data, bytes, cell, length);
    assert_non_null(at);
    flip("out/shard-00002.h5", at - data);
    ech_free(data);
    assert_int_equal(damages(ds), 1);
    assert_int_equal(last_damage.shard, 2);
    assert_string_equal(last_damage.column, "meta");
    assert_true(last_damage.first_row == s->first_row && last_damage.end_row == s->first_row + s->rows);
    assert_non_null(strstr(last_text, "do not fit their hash"));
    ech_dataset_close(ds);
}

static void broken_files(void **state)
{
    (void)state;
    write_it(&small, "out");
    struct ech_dataset *ds = NULL;
    struct ech_err err = ECH_ERR_NONE;
    int64_t size = ech_file_size("out/shard-00001.h5", NULL);
    assert_int_equal(truncate("out/shard-00001.h5", size - 1), 0);
    assert_int_equal(ech_dataset_open("out", &ds, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "truncated"));
    assert_int_equal(rename("out/shard-00001.h5", "aside"), 0);
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(ech_dataset_open("out", &ds, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "shard-00001.h5"));
    int fd = open("out/shard-00001.h5", O_WRONLY | O_CREAT, 0666); /* the right size, no HDF5 */
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(ech_dataset_open("out", &ds, &err), ECH_DATA);
    assert_non_null(strstr(err.text, "cannot open shard"));
    err = (struct ech_err)ECH_ERR_NONE;
    assert_int_equal(ech_dataset_open("nowhere", &ds, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "nowhere is not a dataset"));
    assert_null(ds);
}

/* A text column of the given cells. */
static void write_texts(const char *const *cells, const size_t *lengths, int count, int64_t shard_bytes,
                        const char *target)
{
    const struct ech_column column = {.name = "t", .type = ECH_TEXT, .dtype = ECH_U8};
    struct ech_layout *layout;
    struct ech_writer *writer;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    assert_int_equal(ech_layout_create(&column, 1, shard_bytes, &layout, &err), ECH_OK);
    for (int i = 0; i < count; i++) {
        uint64_t bytes = lengths[i];
        assert_int_equal(ech_layout_add(layout, &bytes, &err), ECH_OK);
    }
    assert_int_equal(ech_layout_agree(layout, comm, &err), ECH_OK);
    assert_int_equal(ech_writer_open(comm, "partial", layout, &writer, &err), ECH_OK);
    for (int i = 0; i < count; i++) {
        uint64_t bytes = lengths[i];
        assert_int_equal(ech_writer_append(writer, 0, cells[i], &bytes, 1, &err), ECH_OK);
    }
    const struct ech_publish how = {.target = target};
    assert_int_equal(ech_writer_publish(writer, &how, &err), ECH_OK);
    ech_writer_close(writer);
    ech_layout_destroy(layout);
}

static void empty_cells(void **state)
{
    (void)state;
    const char *const cells[] = {"", "", NULL};
    const size_t lengths[] = {0, 0, 0};
    write_texts(cells, lengths, 3, 1000, "out");
    struct ech_dataset *ds = open_it("out");
    assert_int_equal(ech_dataset_rows(ds), 3);
    assert_int_equal(damages(ds), 0);
    struct ech_cells got = {0};
    assert_int_equal(ech_dataset_read(ds, 0, 0, 3, &got, NULL), ECH_OK);
    assert_true(got.rows == 3 && got.offsets[3] == 0);
    ech_cells_fini(&got);
    ech_dataset_close(ds);
}

static void bad_text(void **state)
{
    (void)state;
    const char *const cells[] = {"good", "caf\xc3", "\xa9 split", "g\xc3\xa9"};
    const size_t lengths[] = {4, 4, 7, 3};
    write_texts(cells, lengths, 4, 12, "out");
    struct ech_dataset *ds = open_it("out");
    assert_int_equal(ech_dataset_manifest(ds)->shard_count, 4);
    struct ech_verify sums = {0};
    assert_int_equal(ech_verify(ds, 0, 1, note, NULL, &sums, NULL), ECH_OK);
    assert_true(sums.damages == 0 && sums.notes == 2); /* valid only when joined; the bytes are as written */
    assert_true(last_damage.note && last_damage.first_row == 2 && last_damage.end_row == 3);
    assert_non_null(strstr(last_text, "not valid UTF-8 at its byte 0"));
    ech_dataset_close(ds);
}

static void bad_offsets(void **state)
{
    (void)state;
    const char *const cells[] = {"0123456789", "abcdefghij", "x", "yz"};
    const size_t lengths[] = {10, 10, 1, 2};
    static const unsigned char wanted[] = {10, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0};
    write_texts(cells, lengths, 4, 1000, "out");
    char *data;
    size_t bytes;
    assert_int_equal(ech_read_file("out/shard-00000.h5", 1 << 20, &data, &bytes, NULL), ECH_OK);
    const char *at = memmem(data, bytes, wanted, sizeof wanted);
    assert_non_null(at);
    for (int byte = 8; byte < 16; byte += 7) { /* 20 becomes 52, then 2^61 and more */
        flip("out/shard-00000.h5", at - data + byte);
        struct ech_dataset *ds = open_it("out");
        struct ech_err err = ECH_ERR_NONE;
        struct ech_cells got = {0};
        assert_int_equal(ech_dataset_read(ds, 0, 0, 4, &got, &err), ECH_DATA);
        assert_non_null(strstr(err.text, "out/shard-00000.h5, column t, row 2"));
        assert_int_equal(ech_dataset_read(ds, 0, 0, 1, &got, NULL), ECH_OK); /* the rest can be read */
        assert_memory_equal(got.bytes, "0123456789", 10);
        uint64_t sizes[4];
        assert_int_equal(ech_dataset_row_sizes(ds, 0, 0, 4, sizes, NULL), ECH_DATA);
        assert_int_equal(damages(ds), 2); /* the block's hash and the offsets themselves */
        ech_cells_fini(&got);
        ech_dataset_close(ds);
    }
    ech_free(data);
}

static void too_many_shards(void **state)
{
    (void)state;
    const struct ech_column column = {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1};
    struct ech_layout *layout;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    assert_int_equal(ech_layout_create(&column, 1, 1, &layout, &err), ECH_OK);
    assert_int_equal(ech_layout_add_fixed(layout, 400000, &err), ECH_OK);
    assert_int_equal(ech_layout_agree(layout, comm, &err), ECH_CONFIG);
    assert_non_null(strstr(err.text, "larger shard_bytes"));
    ech_layout_destroy(layout);
}

/* Two shards of the same rows and sizes change places: the roots notice. */
static void swapped_shards(void **state)
{
    (void)state;
    const struct ech_column column = {.name = "id", .type = ECH_INTS, .dtype = ECH_I64, .dim = 1};
    struct ech_layout *layout;
    struct ech_writer *writer;
    struct ech_err err = ECH_ERR_NONE;
    int64_t ids[20];
    for (int i = 0; i < 20; i++)
        ids[i] = i;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    assert_int_equal(ech_layout_create(&column, 1, 80, &layout, &err), ECH_OK);
    assert_int_equal(ech_layout_add_fixed(layout, 20, &err), ECH_OK);
    assert_int_equal(ech_layout_agree(layout, comm, &err), ECH_OK);
    assert_int_equal(ech_writer_open(comm, "partial", layout, &writer, &err), ECH_OK);
    assert_int_equal(ech_writer_append(writer, 0, ids, NULL, 20, &err), ECH_OK);
    const struct ech_publish how = {.target = "out"};
    assert_int_equal(ech_writer_publish(writer, &how, &err), ECH_OK);
    ech_writer_close(writer);
    ech_layout_destroy(layout);
    rename("out/shard-00000.h5", "x");
    rename("out/shard-00001.h5", "out/shard-00000.h5");
    rename("x", "out/shard-00001.h5");
    struct ech_dataset *ds = open_it("out");
    assert_int_equal(damages(ds), 2);
    assert_non_null(strstr(last_text, "do not fit the manifest"));
    ech_dataset_close(ds);
}

/* More threads and shards than open files. */
static void *read_many(void *arg)
{
    const struct ech_dataset *ds = arg;
    struct ech_cells cells = {0};
    unsigned char cell[MAKE_CELL];
    for (int64_t i = 0; i < 600; i++) {
        int64_t row = i * 7919 % 150;
        if (ech_dataset_read(ds, 0, row, 1, &cells, NULL) != ECH_OK ||
            cells.offsets[1] != make_cell(row, 0, cell) || memcmp(cells.bytes, cell, cells.offsets[1]) != 0)
            return arg;
    }
    ech_cells_fini(&cells);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    const struct make_plan plan = {.rows = 150, .shard_bytes = 1, .slice = 50};
    write_it(&plan, "out");
    struct ech_dataset *ds = open_it("out");
    assert_int_equal(ech_dataset_manifest(ds)->shard_count, 150);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_many, ds), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    ech_dataset_close(ds);
}

static const char python[] = "import h5py, json, sys\n"
                             "f = h5py.File('out/shard-00000.h5', 'r')\n"
                             "o = f['columns/text/offsets'][:]; b = f['columns/text/bytes'][:].tobytes()\n"
                             "print([len(b[o[i]:o[i+1]].decode()) for i in range(3)])\n"
                             "o = f['columns/meta/offsets'][:]; b = f['columns/meta/bytes'][:].tobytes()\n"
                             "print(json.loads(b[o[2]:o[3]])['row'])\n"
                             "for n in ('vector', 'half', 'wide', 'id'):\n"
                             "    d = f['columns/' + n + '/values']\n"
                             "    print(n, d.shape, d.dtype, d.chunks)\n"
                             "print('%.6f' % float(f['columns/vector/values'][:].astype('f8').sum()))\n"
                             "print(f['columns/tokens/offsets'][1], len(f['checks/vector']))\n";

static size_t characters(int64_t row)
{
    unsigned char cell[MAKE_CELL];
    size_t bytes = make_cell(row, 0, cell), count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += (cell[i] & 0xc0) != 0x80;
    return count;
}

static void h5py_reads_it(void **state)
{
    (void)state;
    if (system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0)
        ECH_SKIP("python peers", "/usr/bin/python3 has no h5py (package python3-h5py)");
    const struct make_plan plan = {.rows = 100, .shard_bytes = 1 << 20, .slice = 100};
    write_it(&plan, "out");
    assert_int_equal(ech_write_file("read.py", python, sizeof python - 1, NULL), ECH_OK);
    char *found;
    assert_int_equal(system("env -u LD_PRELOAD /usr/bin/python3 read.py >found"), 0);
    assert_int_equal(ech_read_file("found", 10000, &found, NULL, NULL), ECH_OK);
    unsigned char cell[MAKE_CELL];
    double sum = 0;
    for (int64_t row = 0; row < 100; row++) {
        float v[5];
        make_cell(row, 2, cell);
        memcpy(v, cell, sizeof v);
        for (int i = 0; i < 5; i++)
            sum += (double)v[i];
    }
    char expected[1024];
    snprintf(expected, sizeof expected,
             "[%zu, %zu, %zu]\n2\nvector (100, 5) float32 None\nhalf (100, 3) float16 None\n"
             "wide (100, 1) float64 None\nid (100, 1) int64 None\n%.6f\n%zu 1\n",
             characters(0), characters(1), characters(2), sum, make_cell(0, 6, cell) / 8);
    assert_string_equal(found, expected);
    ech_free(found);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(round_trip),      cmocka_unit_test(slices_and_blocks), cmocka_unit_test(empty),
    cmocka_unit_test(append),          cmocka_unit_test(targets),           cmocka_unit_test(changed_input),
    cmocka_unit_test(every_flip),      cmocka_unit_test(named_damage),      cmocka_unit_test(broken_files),
    cmocka_unit_test(empty_cells),     cmocka_unit_test(bad_text),          cmocka_unit_test(bad_offsets),
    cmocka_unit_test(too_many_shards), cmocka_unit_test(swapped_shards),    cmocka_unit_test(threads),
    cmocka_unit_test(h5py_reads_it),
};

static void close_comm(void)
{
    ech_comm_close(comm);
}
__attribute__((constructor)) static void at_exit(void)
{
    atexit(close_comm);
}

/* HDF5 forgets memory of its own when it refuses a damaged file. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

ECH_TEST_MAIN(tests)
