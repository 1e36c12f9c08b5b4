/* job/identity: saving, hostile files, naming differences; the hash of files and its cache. */
#include "tests/harness.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"
#include "job/files_hash.h"
#include "job/identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ech_identity make(const char *const *pairs)
{
    struct ech_identity identity = {0};
    for (; *pairs; pairs += 2)
        assert_int_equal(ech_identity_add(&identity, pairs[0], pairs[1], NULL), ECH_OK);
    return identity;
}
#define MAKE(...) make((const char *const[]){__VA_ARGS__, NULL})

static void there_and_back(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_identity a = MAKE("kind", "embed 1", "model", "aa\"\n\\b", "input", "caf\xC3\xA9", "raw",
                                 "x\xFFy", "empty", ""),
                        b = {0}, none = {0};
    assert_int_equal(ech_identity_save("id.json", &a, &err), ECH_OK);
    assert_int_equal(ech_identity_load("id.json", &b, &err), ECH_OK);
    assert_int_equal(b.count, 5);
    assert_int_equal(ech_identity_compare(&a, &b, &err), ECH_OK);
    assert_true(ech_hash_equal(ech_identity_hash(&a), ech_identity_hash(&b)));
    ech_identity_fini(&b);
    assert_int_equal(ech_identity_save("none.json", &none, &err), ECH_OK);
    assert_int_equal(ech_identity_load("none.json", &b, &err), ECH_OK);
    assert_int_equal(b.count, 0);
    assert_int_equal(ech_identity_add(&a, "kind", "x", NULL), ECH_BUG);
    ech_identity_fini(&a);
    ech_identity_fini(&b);
}

static void names_every_difference(void **state)
{
    (void)state;
    struct ech_err err = ECH_ERR_NONE;
    struct ech_identity saved = MAKE("kind", "embed 1", "model", "aaa", "input", "10 rows", "gone", "1"),
                        now = MAKE("kind", "embed 1", "input", "12 rows", "model", "bbb", "fresh", "2");
    assert_int_equal(ech_identity_compare(&saved, &now, &err), ECH_CONFIG);
    assert_string_equal(err.text, "this run was started with model = aaa, now it is bbb; "
                                  "with input = 10 rows, now it is 12 rows; with gone = 1, now it has none; "
                                  "without fresh, now it is 2: set this back, or start a new run");
    assert_false(ech_hash_equal(ech_identity_hash(&saved), ech_identity_hash(&now)));
    ech_identity_fini(&saved);
    ech_identity_fini(&now);
    /* Many differences with long values: all names are still in the message. */
    char name[16], value[400];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "part%02d", i);
        ech_identity_add(&saved, name, value, NULL);
        ech_identity_add(&now, name, value + 1, NULL);
    }
    ech_err_clear(&err);
    assert_int_equal(ech_identity_compare(&saved, &now, &err), ECH_CONFIG);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "part%02d", i);
        assert_non_null(strstr(err.text, name));
    }
    assert_non_null(strstr(err.text, "start a new run"));
    ech_identity_fini(&saved);
    ech_identity_fini(&now);
}

static void hostile_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{}",
        "[1]",
        "[{\"name\":\"a\"}]",
        "[{\"name\":\"a\",\"value\":3}]",
        "[{\"name\":\"a\",\"value\":\"\\u0000\"}]",
        "[{\"name\":\"a\",\"value\":\"x\"}",
        "[{\"name\":\"a\",\"value\":\"x\"},{\"name\":\"a\",\"value\":\"x\"}]"};
    struct ech_identity out = {0};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_identity_load("none", &out, &err), ECH_NOINPUT);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char line[2048];
        ech_err_clear(&err);
        ech_write_file("bad.json", texts[i], strlen(texts[i]), NULL);
        assert_int_equal(ech_identity_load("bad.json", &out, &err), ECH_DATA);
        assert_non_null(strstr(ech_err_print(&err, line, sizeof line), "bad.json"));
        assert_null(out.parts);
    }
}

static void identity_faults(void **state)
{
    (void)state;
    struct ech_identity a = MAKE("kind", "embed 1", "model", "aaa"), other = MAKE("kind", "embed 2");
    int64_t n = 1;
    bool fired = true;
    for (; fired; n++) {
        struct ech_err err = ECH_ERR_NONE;
        struct ech_identity b = {0};
        ech_remove_all("id.json", NULL);
        ech_fault_arm(-1, n);
        int code = ech_identity_save("id.json", &a, &err);
        if (code == ECH_OK)
            code = ech_identity_load("id.json", &b, &err);
        if (code == ECH_OK)
            code = ech_identity_compare(&b, &other, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code == ECH_CONFIG, !fired);
        assert_true(err.text[0]);
        ech_identity_fini(&b);
    }
    assert_true(n > 10);
    ech_identity_fini(&a);
    ech_identity_fini(&other);
}

/* ---- hash of files ---- */

static struct ech_comm *self(void)
{
    struct ech_comm *comm = NULL;
    assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    return comm;
}

static void put_file(const char *path, size_t bytes, unsigned seed)
{
    char *data = ech_calloc(bytes, 1, NULL);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (char)((i * 2654435761u + seed) >> 11);
    assert_int_equal(ech_write_file(path, data, bytes, NULL), ECH_OK);
    ech_free(data);
}

static struct ech_hash hash_of(const char *folder, const char *const *names)
{
    struct ech_comm *comm = self();
    struct ech_hash h = {0, 0};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_files_hash(comm, folder, NULL, names, &h, &err), ECH_OK);
    ech_comm_close(comm);
    return h;
}

static const char *const names[] = {"config.json", "model.bin", "sub/empty", NULL};
static const char *const shuffled[] = {"sub/empty", "config.json", "model.bin", NULL};

static void make_model(const char *folder)
{
    char path[256];
    snprintf(path, sizeof path, "%s/sub", folder);
    ech_mkdir_all(path, NULL);
    snprintf(path, sizeof path, "%s/config.json", folder);
    put_file(path, 100, 1);
    snprintf(path, sizeof path, "%s/model.bin", folder);
    put_file(path, 3 * ECH_HASH_BLOCK + 17, 2);
    snprintf(path, sizeof path, "%s/sub/empty", folder);
    put_file(path, 0, 3);
}

static void content_alone(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1); /* an unwritable cache is no error */
    make_model("a");
    make_model("b");
    struct ech_hash h = hash_of("a", names);
    assert_true(ech_hash_equal(h, hash_of("b", names)));
    assert_true(ech_hash_equal(h, hash_of("b/../a/", shuffled)));
    put_file("b/model.bin", 3 * ECH_HASH_BLOCK + 18, 2);
    assert_false(ech_hash_equal(h, hash_of("b", names)));
    make_model("b");
    put_file("b/sub/empty", 1, 0);
    assert_false(ech_hash_equal(h, hash_of("b", names)));
    static const char *const fewer[] = {"config.json", "model.bin", NULL};
    assert_false(ech_hash_equal(h, hash_of("a", fewer)));
    struct ech_comm *comm = self();
    struct ech_err err = ECH_ERR_NONE;
    static const char *const missing[] = {"config.json", "nope", NULL};
    static const char *const folder[] = {"sub", NULL};
    assert_int_equal(ech_files_hash(comm, "a", NULL, missing, &h, &err), ECH_NOINPUT);
    assert_non_null(strstr(err.text, "a/nope"));
    assert_int_equal(ech_files_hash(comm, "a", NULL, folder, &h, NULL), ECH_NOINPUT);
    ech_comm_close(comm);
}

static int64_t entries(void)
{
    FILE *f = popen("ls cache/echelon/hashes 2>/dev/null | wc -l", "r");
    int count = -1;
    if (fscanf(f, "%d", &count) != 1)
        count = -1;
    pclose(f);
    return count;
}

static void use_cache(void)
{
    char path[4096];
    assert_non_null(getcwd(path, sizeof path - 8));
    strcat(path, "/cache");
    setenv("XDG_CACHE_HOME", path, 1);
}

/* A cached hash is believed for a file in the very same state, and for no other. */
static void cache(void **state)
{
    (void)state;
    use_cache();
    make_model("a");
    struct ech_hash root = {1, 2}, got, truth = hash_of("a", names);
    struct ech_file_state now;
    assert_int_equal(entries(), 0); /* too young: a second change might not show */
    ech_sleep_us(300000);
    assert_true(ech_hash_equal(truth, hash_of("a", names)));
    assert_int_equal(entries(), 3);
    assert_int_equal(ech_file_state_read("a/model.bin", &now, NULL), ECH_OK);
    ech_hash_cache_put("a/model.bin", &now, root);
    assert_int_equal(entries(), 3);
    assert_true(ech_hash_cache_get("a/../a/model.bin", &now, &got) && ech_hash_equal(got, root));
    struct ech_hash wrong = hash_of("a", names); /* shows that the cache was used */
    assert_false(ech_hash_equal(wrong, truth));
    struct ech_file_state other = now;
    other.ctime_ns++;
    assert_false(ech_hash_cache_get("a/model.bin", &other, &got));
    ech_hash_cache_put("a/model.bin", &other, root); /* not the file's state: not kept */
    assert_false(ech_hash_cache_get("a/model.bin", &other, &got));
    /* Same size, same mtime, new content: ctime tells. */
    struct stat before;
    assert_int_equal(stat("a/model.bin", &before), 0);
    put_file("a/model.bin", 3 * ECH_HASH_BLOCK + 17, 9);
    struct timespec times[2] = {before.st_mtim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, "a/model.bin", times, 0), 0);
    struct ech_hash fresh = hash_of("a", names);
    assert_false(ech_hash_equal(fresh, truth) || ech_hash_equal(fresh, wrong));
}

static void hostile_cache(void **state)
{
    (void)state;
    use_cache();
    make_model("a");
    ech_sleep_us(300000);
    struct ech_hash truth = hash_of("a", names);
    assert_int_equal(entries(), 3);
    static const char *const spoil[] = {
        "for f in *; do printf x >> $f; done",
        "for f in *; do truncate -s 95 $f; done",
        "for f in *; do : > $f; done",
        "for f in *; do rm $f; mkdir $f; done",
        "rm -rf *",
        "for f in *; do head -c 96 /dev/urandom > $f; done",
        "for f in *; do printf '\\377' | dd of=$f bs=1 seek=80 conv=notrunc 2>/dev/null; done"};
    for (size_t i = 0; i < sizeof spoil / sizeof spoil[0]; i++) {
        char command[512];
        snprintf(command, sizeof command, "cd cache/echelon/hashes && { %s; }", spoil[i]);
        assert_int_equal(system(command), 0);
        assert_true(ech_hash_equal(truth, hash_of("a", names)));
        assert_int_equal(system("rm -rf cache"), 0);
        assert_true(ech_hash_equal(truth, hash_of("a", names)));
        assert_int_equal(entries(), 3);
    }
}

/* A failing cache costs time alone; any other failure is an error. Never a wrong hash. */
static void files_faults(void **state)
{
    (void)state;
    use_cache();
    make_model("a");
    ech_sleep_us(300000);
    struct ech_comm *comm = self();
    struct ech_hash truth = hash_of("a", names), h;
    int64_t n = 1, failed = 0;
    bool fired = true;
    for (; fired; n++) {
        struct ech_err err = ECH_ERR_NONE;
        if (n % 2)
            ech_remove_all("cache", NULL);
        ech_fault_arm(-1, n);
        int code = ech_files_hash(comm, "a", NULL, names, &h, &err);
        fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        failed += code != ECH_OK;
        assert_true(code == ECH_OK ? ech_hash_equal(h, truth) : err.text[0] && fired);
    }
    assert_true(failed > 10);
    ech_comm_close(comm);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(there_and_back), cmocka_unit_test(names_every_difference),
    cmocka_unit_test(hostile_files),  cmocka_unit_test(identity_faults),
    cmocka_unit_test(content_alone),  cmocka_unit_test(cache),
    cmocka_unit_test(hostile_cache),  cmocka_unit_test(files_faults),
};
ECH_TEST_MAIN(tests)
