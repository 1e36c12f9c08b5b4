/* Import, export and the verbs on one rank: bad inputs with their places, outputs that exist, appending, and
 * a failure injected at every site. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "data/export.h"
#include "data/import.h"
#include "data/verbs.h"

#include <dirent.h>

/* Opened once, outside what the failures are injected into. */
static struct ech_comm *self(void)
{
    static struct ech_comm *comm;
    if (!comm)
        assert_int_equal(ech_comm_open_self(&comm, NULL), ECH_OK);
    return comm;
}

static void put_file(const char *path, const char *text, size_t bytes)
{
    assert_int_equal(ech_write_file(path, text, bytes, NULL), ECH_OK);
}

static void put_text(const char *path, const char *text)
{
    put_file(path, text, strlen(text));
}

static int import_one(const char *source, const char *columns, struct ech_import_options *options,
                      const char *target, struct ech_import_result *result, struct ech_err *err)
{
    static struct ech_want wants[ECH_COLUMNS_MAX];
    struct ech_comm *comm = self();
    options->sources = &source;
    options->source_count = 1;
    options->wants = wants;
    ech_err_clear(err);
    int code = columns ? ech_wants_parse(columns, wants, &options->want_count, err) : ECH_OK;
    if (code == ECH_OK)
        code = ech_import(comm, options, target, result, err);
    return code;
}

/* Whether anything in the folder begins with this name. */
static bool left_behind(const char *name)
{
    DIR *dir = opendir(".");
    struct dirent *entry;
    bool found = false;
    while ((entry = readdir(dir)))
        found |= strncmp(entry->d_name, name, strlen(name)) == 0;
    closedir(dir);
    return found;
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *columns, *word;
        int line, column;
    } cases[] = {
        {"a.jsonl", "{\"a\":1}\n{\"a\":}\n", NULL, "value was expected", 2, 6},
        {"a.jsonl", "\xEF\xBB\xBF{\"a\":1,\"a\":2}", NULL, "occurs twice", 1, 9},
        {"a.jsonl", "[{\"a\":1}]", NULL, "JSON array is not JSON Lines", 1, 1},
        {"a.jsonl", "\n\n{\"a\":null}\n{\"a\":5}\n", NULL, "has no value here", 3, 6},
        {"a.jsonl", "{\"a\":5}\n{}\n", NULL, "has no value here", 2, 1},
        {"a.jsonl", "{\"a\":1e300}\n", NULL, "fits f32", 1, 6},
        {"a.jsonl", "{\"a\":NaN}\n{\"a\":\"x\"}\n", NULL, "no NaN", 1, 6},
        {"a.jsonl", "{\"my key\":1}\n", NULL, "NEW=my key", 1, 3},
        {"a.jsonl", "{\"a\":\"\xFF\"}\n", NULL, "not valid UTF-8", 1, 7},
        {"a.jsonl", "{\"a\":\"\\ud800\"}\n", NULL, "surrogate", 1, 7},
        {"a.jsonl", "{\"a\":1}\n{\"a\":\"x\"}\n", "a:ints", "is not a 64-bit integer", 2, 7},
        {"a.jsonl", "{\"a\":[1,2]}\n{\"a\":[1]}\n", "a:f32", "1 values, 2 were expected", 2, 6},
        {"a.jsonl", "{\"a\":1}\n", "b", "no row of a.jsonl has the key \"b\"", 0, 0},
        {"a.jsonl", "", NULL, "no keys", 0, 0},
        {"a.jsonl", "{}\n{}\n", NULL, "no keys", 0, 0},
        {"a.csv", "", NULL, "is empty", 0, 0},
        {"a.csv", "\na,b\n", NULL, "first line is empty", 1, 1},
        {"a.csv", "a,b\n1,2\n1\n", NULL, "1 fields, 2 were expected", 3, 1},
        {"a.csv", "a,b\n1,\"x\ny\n", NULL, "never closed", 2, 3},
        {"a.csv", "a,b\n1,x\"y\n", NULL, "inside a field", 2, 4},
        {"a.csv", "a,a\n1,2\n", NULL, "names \"a\" twice", 1, 1},
        {"a.csv", "a,b c\n1,2\n", NULL, "NEW=b c", 1, 1},
        {"a.csv", "alpha,b\n1,2\n", "alpa", "did you mean alpha", 0, 0},
        {"a.csv", "a,b\n1,x\n", "b:ints", "x is not a 64-bit integer", 2, 3},
        {"a.csv", "a,b\n1,\n", "b:f32", "has no value here", 2, 3},
        {"a.csv", "a,b\n\"\xC3\",x\n", NULL, "not valid UTF-8", 2, 2},
        {"a.txt", "ok\n\x80\n", NULL, "not valid UTF-8", 2, 1},
        {"a.txt", "x\n", "a,b", "one column", 0, 0},
        {"a.npy", "no", NULL, "not a .npy file", 0, 0},
        {"a.dat", "no", NULL, "--format", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ech_import_options options = {0};
        struct ech_err err;
        put_text(cases[i].name, cases[i].text);
        int code = import_one(cases[i].name, cases[i].columns, &options, "target", NULL, &err);
        if (code == ECH_OK || code != err.code || !strstr(err.text, cases[i].word) ||
            err.line != cases[i].line || err.column != cases[i].column ||
            (err.line && strcmp(err.file, cases[i].name) != 0))
            fail_msg("case %zu: code %d, %s:%d:%d: %s", i, code, err.file, err.line, err.column, err.text);
        assert_false(left_behind("target"));
    }
}

static const char good[] = "{\"id\":1,\"text\":\"one\",\"v\":[0.5,1],\"any\":{}}\n"
                           "{\"id\":2,\"text\":\"t\\nwo\",\"v\":[2,-0.25],\"any\":[1, 2]}\n";

/* Hash over all files of a dataset. */
static struct ech_hash folder_hash(const char *folder)
{
    struct dirent **names;
    struct ech_hash h = {0, 0};
    int count = scandir(folder, &names, NULL, alphasort);
    assert_true(count > 2);
    for (int i = 0; i < count; i++) {
        char *data;
        size_t bytes;
        char *path = ech_path_join(folder, names[i]->d_name, NULL);
        if (names[i]->d_name[0] != '.') {
            assert_int_equal(ech_read_file(path, 1 << 24, &data, &bytes, NULL), ECH_OK);
            ech_hash_add_str(&h, names[i]->d_name);
            ech_hash_add(&h, data, bytes);
            ech_free(data);
        }
        ech_free(path);
        free(names[i]);
    }
    free(names);
    return h;
}

static void outputs(void **state)
{
    (void)state;
    struct ech_import_options options = {0};
    struct ech_import_result result;
    struct ech_err err;
    put_text("a.jsonl", good);
    assert_int_equal(import_one("nowhere.jsonl", NULL, &options, "ds", &result, &err), ECH_NOINPUT);
    assert_int_equal(import_one("a.jsonl", NULL, &options, "ds", &result, &err), ECH_OK);
    assert_true(result.rows == 2 && result.columns == 4 && result.passes == 2 && result.bytes > 0);
    struct ech_hash first = folder_hash("ds");
    struct ech_import_options chosen = {0}, late = {0};
    assert_int_equal(import_one("a.jsonl", "v,text", &chosen, "chosen", &result, &err), ECH_OK);
    assert_true(result.columns == 2 && result.passes == 2);
    put_text("v.csv", "v\n\"[1,2]\"\n");
    assert_int_equal(import_one("v.csv", "v:f32", &chosen, "chosen_csv", &result, &err), ECH_OK);
    assert_int_equal(result.passes, 2);
    FILE *f = fopen("late.jsonl", "w");
    for (int i = 0; i < 1500; i++)
        fprintf(f, i < 1400 ? "{\"a\":%d}\n" : "{\"a\":%d.5}\n", i);
    fclose(f);
    assert_int_equal(import_one("late.jsonl", NULL, &late, "late", &result, &err), ECH_OK);
    assert_int_equal(result.passes, 3); /* the sample saw integers only */
    assert_int_equal(import_one("a.jsonl", NULL, &options, "ds", &result, &err), ECH_EXISTS);
    options.replace = true;
    assert_int_equal(import_one("a.jsonl", NULL, &options, "ds", &result, &err), ECH_OK);
    assert_true(ech_hash_equal(first, folder_hash("ds")));
    assert_int_equal(import_one("a.jsonl", NULL, &options, "new/folders/ds/", &result, &err), ECH_OK);
    assert_true(ech_hash_equal(first, folder_hash("new/folders/ds")));
    assert_int_equal(ech_mkdir_all("mine/notes", NULL), ECH_OK);
    assert_int_equal(import_one("a.jsonl", NULL, &options, "mine", &result, &err), ECH_EXISTS);
    assert_true(ech_path_exists("mine/notes")); /* what is no dataset is not replaced */
    put_text("file", "");
    assert_int_equal(import_one("a.jsonl", NULL, &options, "file/ds", &result, &err), ECH_EXISTS);
    assert_false(left_behind("mine.partial") || left_behind("ds.partial"));
}

static void appending(void **state)
{
    (void)state;
    struct ech_import_options plain = {0}, add = {.append = true};
    struct ech_import_result result;
    struct ech_err err;
    struct ech_dataset *ds;
    struct ech_cells cells = {0};
    put_text("a.jsonl", good);
    assert_int_equal(import_one("a.jsonl", NULL, &add, "ds", &result, &err), ECH_NOINPUT);
    assert_int_equal(import_one("a.jsonl", NULL, &plain, "ds", &result, &err), ECH_OK);
    assert_int_equal(import_one("a.jsonl", NULL, &add, "ds", &result, &err), ECH_OK);
    assert_int_equal(result.rows, 2);
    static const struct {
        const char *text, *columns, *word;
    } bad[] = {
        {"{\"id\":1,\"text\":\"x\",\"v\":[1,2],\"any\":1,\"more\":1}\n", NULL, "no column \"more\""},
        {"{\"id\":1,\"text\":\"x\",\"v\":[1,2,3],\"any\":1}\n", NULL, "3 values, 2 were expected"},
        {"{\"id\":\"x\",\"text\":\"x\",\"v\":[1,2],\"any\":1}\n", NULL, "64-bit integer"},
        {"{\"text\":\"x\",\"v\":[1,2],\"any\":1}\n", NULL, "has no value here"},
        {"{\"id\":1,\"text\":\"x\",\"v\":[1,2],\"any\":1}\n", "id,text,v", "not among the chosen"},
        {"{\"id\":1,\"text\":\"x\",\"v\":[1,2],\"any\":1}\n", "id:f32,text,v,any", "another type"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ech_import_options options = add;
        put_text("b.jsonl", bad[i].text);
        if (import_one("b.jsonl", bad[i].columns, &options, "ds", &result, &err) == ECH_OK ||
            !strstr(err.text, bad[i].word))
            fail_msg("case %zu: %s", i, err.text);
    }
    static const char renamed[] = "{\"key\":7,\"text\":\"x\",\"v\":[1,2],\"any\":1,\"more\":1}\n";
    put_text("c.jsonl", renamed);
    assert_int_equal(import_one("c.jsonl", "id=key,text,v,any", &add, "ds", &result, &err), ECH_OK);
    assert_int_equal(ech_dataset_open("ds", &ds, &err), ECH_OK);
    assert_int_equal(ech_dataset_rows(ds), 5);
    assert_int_equal(ech_dataset_read(ds, 0, 0, 5, &cells, &err), ECH_OK);
    int64_t ids[5];
    memcpy(ids, cells.bytes, sizeof ids);
    assert_true(ids[0] == 1 && ids[1] == 2 && ids[2] == 1 && ids[3] == 2 && ids[4] == 7);
    ech_cells_fini(&cells);
    ech_dataset_close(ds);
    assert_false(left_behind("ds.partial"));
}

/* Text that is not UTF-8 is kept when asked, and comes back from an export byte for byte. */
static void keep_invalid(void **state)
{
    (void)state;
    struct ech_import_options options = {.keep_invalid = true};
    struct ech_export_options whole = {0};
    struct ech_err err = ECH_ERR_NONE;
    static const char text[] = "{\"a\":\"\xFF\xC3\"}\n{\"a\":\"\\ud800\"}\n{\"a\":\"ok\"}\n";
    struct ech_comm *comm = self();
    put_text("a.jsonl", text);
    assert_int_equal(import_one("a.jsonl", NULL, &options, "ds", NULL, &err), ECH_OK);
    assert_int_equal(ech_export(comm, "ds", &whole, "b.jsonl", NULL, &err), ECH_OK);
    assert_int_equal(import_one("b.jsonl", NULL, &options, "again", NULL, &err), ECH_OK);
    char *back;
    assert_int_equal(ech_read_file("b.jsonl", 1000, &back, NULL, NULL), ECH_OK);
    assert_string_equal(back, "{\"a\":\"\xFF\xC3\"}\n{\"a\":\"\xED\xA0\x80\"}\n{\"a\":\"ok\"}\n");
    ech_free(back);
}

static void bad_exports(void **state)
{
    (void)state;
    struct ech_import_options plain = {0};
    struct ech_err err;
    struct ech_comm *comm = self();
    put_text("a.jsonl", good);
    assert_int_equal(import_one("a.jsonl", NULL, &plain, "ds", NULL, &err), ECH_OK);
    static const char *const text[] = {"text"}, *const any[] = {"any"}, *const wrong[] = {"txt"},
                             *const v[] = {"v"};
    static const struct {
        struct ech_export_options options;
        const char *target;
        int code;
        const char *word;
    } cases[] = {
        {{.columns = text, .column_count = 1},
         "a.txt",
         ECH_DATA,
         "row 1 of column \"text\" holds a line break"},
        {{.columns = any, .column_count = 1}, "a.npy", ECH_USAGE, "without a fixed number"},
        {{.columns = v, .column_count = 1}, "a.txt", ECH_USAGE, "lines hold text"},
        {{0}, "a.npy", ECH_USAGE, "holds one column, 4"},
        {{0}, "a.dat", ECH_USAGE, "--format"},
        {{.columns = wrong, .column_count = 1}, "b.jsonl", ECH_CONFIG, "text"},
        {{.first = 1, .end = 3}, "b.jsonl", ECH_USAGE, "rows 1:3"},
        {{0}, "a.jsonl", ECH_EXISTS, "exists already"},
        {{0}, "no/folder/b.jsonl", ECH_EXISTS, "no/folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ech_err_clear(&err);
        int code = ech_export(comm, "ds", &cases[i].options, cases[i].target, NULL, &err);
        if (code != cases[i].code || !strstr(err.text, cases[i].word))
            fail_msg("case %zu: %d %s", i, code, err.text);
    }
    assert_false(left_behind("b.jsonl") || left_behind("a.txt") || left_behind("a.npy"));
}

/* The n-th pass for which a failure is tried: all of the first, then further apart. */
static int64_t next_fault(int64_t n)
{
    return n < 200 ? n + 1 : n + n * 3 / 10;
}

static void sweep_import(const char *source)
{
    struct ech_import_options options = {0};
    struct ech_err err;
    assert_int_equal(import_one(source, NULL, &options, "whole", NULL, &err), ECH_OK);
    struct ech_hash wanted = folder_hash("whole");
    for (int64_t n = 1;; n = next_fault(n)) {
        ech_fault_arm(-1, n);
        int code = import_one(source, NULL, &options, "target", NULL, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        if (code == ECH_OK)
            assert_true(ech_hash_equal(wanted, folder_hash("target")));
        else
            assert_true(code == err.code && err.text[0] && fired && !left_behind("target.partial"));
        assert_int_equal(ech_remove_all("target", NULL), ECH_OK);
        if (!fired)
            break;
    }
    assert_int_equal(ech_remove_all("whole", NULL), ECH_OK);
}

static void faults_import(void **state)
{
    (void)state;
    self();
    put_text("a.jsonl", good);
    sweep_import("a.jsonl");
    put_text("a.csv", "a,b\n1,\"x\ny\"\n");
    sweep_import("a.csv");
    put_text("a.txt", "one\ntwo");
    sweep_import("a.txt");
}

static void faults_append(void **state)
{
    (void)state;
    struct ech_import_options plain = {0}, add = {.append = true};
    struct ech_err err;
    put_text("a.jsonl", good);
    for (int64_t n = 1;; n = next_fault(n)) {
        struct ech_dataset *ds;
        assert_int_equal(import_one("a.jsonl", NULL, &plain, "ds", NULL, &err), ECH_OK);
        ech_fault_arm(-1, n);
        int code = import_one("a.jsonl", NULL, &add, "ds", NULL, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_true(code == ECH_OK || (fired && err.text[0]));
        ech_err_clear(&err);
        assert_int_equal(ech_dataset_open("ds", &ds, &err), ECH_OK);
        int64_t rows = ech_dataset_rows(ds);
        assert_true(code == ECH_OK ? rows == 4 : rows == 2 || rows == 4);
        ech_dataset_close(ds);
        assert_false(left_behind("ds.partial"));
        assert_int_equal(ech_remove_all("ds", NULL), ECH_OK);
        if (!fired)
            break;
    }
}

static void faults_export(void **state)
{
    (void)state;
    static const char *const targets[] = {"t.jsonl", "t.csv.gz", "t.jsonl.zst"};
    struct ech_import_options plain = {0};
    struct ech_export_options whole = {0};
    struct ech_err err;
    struct ech_comm *comm = self();
    put_text("a.jsonl", good);
    assert_int_equal(import_one("a.jsonl", NULL, &plain, "ds", NULL, &err), ECH_OK);
    for (size_t t = 0; t < 3; t++)
        for (int64_t n = 1;; n = next_fault(n)) {
            ech_err_clear(&err);
            ech_fault_arm(-1, n);
            int code = ech_export(comm, "ds", &whole, targets[t], NULL, &err);
            bool fired = ech_fault_fired();
            ech_fault_arm(-1, 0);
            assert_true(code == ECH_OK || (fired && err.text[0]));
            assert_false(left_behind("t.jsonl.partial") || left_behind("t.csv.gz.partial"));
            assert_int_equal(ech_remove_all(targets[t], NULL), ECH_OK);
            if (!fired)
                break;
        }
}

/* ---- verbs ---- */

static int verb(struct ech_str *out, struct ech_err *err, const char *line)
{
    char copy[512], *argv[16], *text = NULL;
    size_t bytes;
    int argc = 0;
    struct ech_comm *comm = self();
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    FILE *f = open_memstream(&text, &bytes);
    ech_err_clear(err);
    int code = ech_data_verb(argc, argv, comm, f, err);
    fclose(f);
    ech_str_clear(out);
    ech_str_add(out, text, bytes);
    free(text);
    return code;
}

static void command_lines(void **state)
{
    (void)state;
    struct ech_str out = {0};
    struct ech_err err = ECH_ERR_NONE;
    static const struct {
        const char *line, *word;
    } bad[] = {
        {"imprt a b", "did you mean import"},
        {"import a.jsonl ds --colums x", "did you mean --columns"},
        {"import a.jsonl", "too few"},
        {"show a b", "unexpected argument \"b\""},
        {"export ds x.jsonl --rows 5:2", "A < B"},
        {"export ds x.jsonl --rows", "needs a value"},
        {"show ds --json=1", "takes no value"},
        {"import a.jsonl ds --shard-bytes many", "a size"},
        {"import a.jsonl ds --invalid-utf8 maybe", "error or keep"},
        {"import a.csv ds --delimiter ::", "one character"},
        {"import a.jsonl b.csv ds", "another format"},
        {"import a.x ds --format jsnl", "did you mean jsonl"},
        {"append a.jsonl ds --replace", "unknown option --replace"},
        {"head ds -n x", "-n x: an integer from 0"},
        {"head ds -m 3", "unknown option -m"},
        {"head ds --n 3", "did you mean -n?"},
        {"", "a verb was expected"},
    };
    put_text("a.jsonl", good);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (verb(&out, &err, bad[i].line) != ECH_USAGE || !strstr(err.text, bad[i].word) || out.length)
            fail_msg("%s: %d %s", bad[i].line, err.code, err.text);
    static const char *const verbs[] = {"import", "export", "append", "show", "head", "verify"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        char line[32];
        snprintf(line, sizeof line, "%s --help", verbs[i]);
        assert_int_equal(verb(&out, &err, line), ECH_OK);
        assert_non_null(strstr(out.data, "usage: echelon data"));
        assert_non_null(strstr(out.data, "\nexample:\n  echelon data"));
        assert_non_null(strstr(out.data, "\nexit status:\n   0  success\n"));
    }
    ech_str_fini(&out);
}

static void reading_verbs(void **state)
{
    (void)state;
    struct ech_str out = {0};
    struct ech_err err = ECH_ERR_NONE;
    char long_text[2000] = "{\"id\":1,\"text\":\"", *end = long_text + strlen(long_text);
    for (int i = 0; i < 300; i++)
        end = stpcpy(end, "\xC3\xA9");
    end = stpcpy(end, "\",\"v\":[1,2,3,4,5,6,7,8,9,10.5]}\n");
    put_text("a.jsonl", long_text);
    assert_int_equal(verb(&out, &err, "import a.jsonl ds"), ECH_OK);
    assert_string_equal(out.data, "ds: 1 rows, 3 columns, 648 B\n");
    assert_int_equal(verb(&out, &err, "show ds"), ECH_OK);
    assert_non_null(strstr(out.data, "tensor f32[10]"));
    assert_int_equal(verb(&out, &err, "show ds --json"), ECH_OK);
    assert_non_null(strstr(out.data, "\"dim\":10"));
    assert_int_equal(verb(&out, &err, "head ds"), ECH_OK);
    assert_non_null(strstr(out.data, "\xC3\xA9\"... (600 B)"));
    assert_non_null(strstr(out.data, "8.0, ... 10 values]"));
    assert_int_equal(verb(&out, &err, "head ds --json --columns v -n 5"), ECH_OK);
    assert_string_equal(out.data, "{\"v\":[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,10.5]}\n");
    assert_int_equal(verb(&out, &err, "head ds -n 0"), ECH_OK);
    assert_int_equal(out.length, 0);
    assert_int_equal(verb(&out, &err, "head ds --columns tex"), ECH_CONFIG);
    assert_int_equal(verb(&out, &err, "show nowhere"), ECH_NOINPUT);
    assert_int_equal(verb(&out, &err, "verify ds"), ECH_OK);
    ech_str_fini(&out);
}

static void damaged(void **state)
{
    (void)state;
    struct ech_str out = {0};
    struct ech_err err = ECH_ERR_NONE;
    char *shard, *found;
    size_t bytes;
    put_text("a.txt", "a needle in a haystack\nmore\n");
    assert_int_equal(verb(&out, &err, "import a.txt ds"), ECH_OK);
    assert_int_equal(ech_read_file("ds/shard-00000.h5", 1 << 20, &shard, &bytes, NULL), ECH_OK);
    found = memmem(shard, bytes, "needle", 6);
    assert_non_null(found);
    *found = 'N';
    put_file("ds/shard-00000.h5", shard, bytes);
    ech_free(shard);
    assert_int_equal(verb(&out, &err, "verify ds"), ECH_DATA);
    assert_non_null(strstr(out.data, "shard-00000.h5"));
    assert_non_null(strstr(out.data, "text"));
    /* text that was kept though it is not UTF-8 is told, and is no damage */
    put_text("k.txt", "ok\nn\xFF\n");
    assert_int_equal(verb(&out, &err, "import k.txt kept --invalid-utf8 keep"), ECH_OK);
    assert_int_equal(verb(&out, &err, "verify kept"), ECH_OK);
    assert_non_null(strstr(out.data, "row 1: not valid UTF-8"));
    ech_str_fini(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bad_files),     cmocka_unit_test(outputs),       cmocka_unit_test(appending),
    cmocka_unit_test(keep_invalid),  cmocka_unit_test(bad_exports),   cmocka_unit_test(faults_import),
    cmocka_unit_test(faults_append), cmocka_unit_test(faults_export), cmocka_unit_test(command_lines),
    cmocka_unit_test(reading_verbs), cmocka_unit_test(damaged),
};
ECH_TEST_MAIN(tests)
