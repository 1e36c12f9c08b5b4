/* base/event: one writer, one reader; torn lines, failing writes, files that appear later. */
#include "tests/harness.h"

#include "base/event.h"
#include "base/fault.h"
#include "base/io.h"

#include <fcntl.h>
#include <unistd.h>

struct seen {
    int count;
    char types[32][16];
    int64_t seq[32], rank[32], lost;
};

static void note(const json_t *event, void *context)
{
    struct seen *seen = context;
    assert_true(seen->count < 32);
    int i = seen->count++;
    snprintf(seen->types[i], sizeof seen->types[i], "%s", json_string_value(json_object_get(event, "type")));
    seen->seq[i] = json_integer_value(json_object_get(event, "seq"));
    seen->rank[i] = json_integer_value(json_object_get(event, "rank"));
    if (json_object_get(event, "lost"))
        seen->lost = json_integer_value(json_object_get(event, "lost"));
}

static struct ech_events *writer(const char *path, int attempt, int rank)
{
    struct ech_events *events;
    struct ech_event_source source = {.run = "r \"1\"", .attempt = attempt, .node = 2, .rank = rank};
    assert_int_equal(ech_events_open(path, &source, &events, NULL), ECH_OK);
    return events;
}

static void put(struct ech_events *events, const char *type, int64_t rows)
{
    ech_json_add_int(ech_event_begin(events, type), "rows", rows);
    ech_event_end(events);
}

static void append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void line(void **state)
{
    (void)state;
    struct ech_events *events = writer("e", 3, 5);
    ech_events_epoch(events, 7);
    put(events, "progress", 11);
    char *text;
    json_t *root;
    assert_int_equal(ech_read_file("e", 1000, &text, NULL, NULL), ECH_OK);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(ech_json_parse("e", text, strlen(text), &root, NULL), ECH_OK);
    const char *key;
    json_t *value;
    static const char *const order[] = {"v",   "run",     "attempt", "epoch", "node", "rank",
                                        "seq", "mono_ns", "wall",    "type",  "rows"};
    size_t i = 0;
    json_object_foreach(root, key, value) assert_string_equal(key, order[i++]);
    assert_int_equal(i, 11);
    assert_string_equal(json_string_value(json_object_get(root, "run")), "r \"1\"");
    assert_int_equal(json_integer_value(json_object_get(root, "attempt")), 3);
    assert_int_equal(json_integer_value(json_object_get(root, "epoch")), 7);
    assert_int_equal(json_integer_value(json_object_get(root, "rows")), 11);
    json_decref(root);
    free(text);
    ech_events_close(events);

    struct ech_event_source source = {.run = "r"};
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_events_open("e", &source, &events, &err), ECH_EXISTS);
    put(NULL, "nothing", 1);
    ech_events_epoch(NULL, 1);
    ech_events_close(NULL);
}

static void follow(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct ech_event_reader *reader, *second;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_event_reader_open("run", 0, &reader, &err), ECH_NOINPUT);
    assert_int_equal(ech_mkdir_all("run", NULL), ECH_OK);
    assert_int_equal(ech_event_reader_open("run", 0, &reader, NULL), ECH_OK);
    assert_int_equal(ech_event_reader_open("run", 2, &second, NULL), ECH_OK);
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 0);

    assert_int_equal(ech_mkdir_all("run/nodes/a", NULL), ECH_OK);
    assert_int_equal(ech_mkdir_all("run/nodes/b", NULL), ECH_OK);
    struct ech_events *a = writer("run/nodes/a/events-1-0.jsonl", 1, 0);
    put(a, "start", 0);
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 1);

    struct ech_events *b = writer("run/nodes/b/events-2-1.jsonl", 2, 1);
    put(a, "phase", 0);
    put(b, "start", 0);
    /* What is not an event file, not JSON, not an event. */
    append("run/nodes/b/events-2-1.jsonl.old", "{\"type\":\"x\"}\n");
    append("run/nodes/b/spool-2-1", "{\"type\":\"x\"}\n");
    append("run/nodes/b/events-2-1.jsonl", "nonsense\n\n[1]\n{\"v\":1}\n{\"type\":3}\n");
    /* A line that is not finished yet. */
    append("run/nodes/b/events-2-1.jsonl", "{\"type\":\"la");
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 3);
    append("run/nodes/b/events-2-1.jsonl", "te\",\"seq\":9}\n");
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.types[3], "late");
    assert_int_equal(seen.seq[3], 9);
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 4);

    memset(&seen, 0, sizeof seen);
    assert_int_equal(ech_event_reader_poll(second, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 2); /* attempt 2 alone */
    assert_int_equal(seen.rank[0], 1);
    ech_events_close(a);
    ech_events_close(b);
    ech_event_reader_close(reader);
    ech_event_reader_close(second);
}

/* A line of 3 MiB is passed over, the next one is read; many lines across pieces all arrive. */
static void count(const json_t *event, void *context)
{
    (void)event;
    ++*(int *)context;
}

static void long_lines(void **state)
{
    (void)state;
    struct ech_event_reader *reader;
    assert_int_equal(ech_mkdir_all("run/nodes/a", NULL), ECH_OK);
    FILE *f = fopen("run/nodes/a/events-1-0.jsonl", "w");
    fputs("{\"type\":\"", f);
    for (int i = 0; i < 3 << 20; i++)
        fputc('x', f);
    fputs("\"}\n", f);
    enum { LINES = 60000 };
    for (int i = 0; i < LINES; i++)
        fprintf(f, "{\"type\":\"progress\",\"rows\":%d}\n", i);
    fclose(f);
    int n = 0;
    assert_int_equal(ech_event_reader_open("run", 1, &reader, NULL), ECH_OK);
    assert_int_equal(ech_event_reader_poll(reader, count, &n, NULL), ECH_OK);
    assert_int_equal(n, LINES);
    ech_event_reader_close(reader);
}

/* A failing write is no error; the next event says how many were lost and begins a line of its own. */
static void failing_write(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct ech_event_reader *reader;
    assert_int_equal(ech_mkdir_all("run/nodes/a", NULL), ECH_OK);
    struct ech_events *events = writer("run/nodes/a/events-1-0.jsonl", 1, 0);
    put(events, "one", 1);
    ech_fault_arm(ECH_FAULT_WRITE, 1);
    put(events, "two", 2);
    ech_fault_arm(-1, 0);
    append("run/nodes/a/events-1-0.jsonl", "{\"v\":1,\"half"); /* what a full disk may leave */
    put(events, "three", 3);
    ech_events_close(events);
    assert_int_equal(ech_event_reader_open("run", 0, &reader, NULL), ECH_OK);
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.types[1], "three");
    assert_int_equal(seen.seq[1], 2);
    assert_int_equal(seen.lost, 1);
    ech_event_reader_close(reader);
}

/* A thread writes behind: all lines arrive, in order; what could not be written is counted. */
static void written_behind(void **state)
{
    (void)state;
    enum { EVENTS = 5 };
    struct seen seen = {0};
    struct ech_event_reader *reader;
    assert_int_equal(ech_mkdir_all("run/nodes/a", NULL), ECH_OK);
    struct ech_events *events = writer("run/nodes/a/events-1-0.jsonl", 1, 0);
    put(events, "first", 0);
    ech_events_write_behind(events, true);
    for (int i = 1; i < EVENTS; i++)
        put(events, "more", i);
    ech_events_write_behind(events, false);
    put(events, "after", EVENTS);
    assert_int_equal(ech_event_reader_open("run", 0, &reader, NULL), ECH_OK);
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, EVENTS + 1);
    for (int i = 0; i < seen.count; i++)
        assert_int_equal(seen.seq[i], i);
    assert_string_equal(seen.types[EVENTS], "after");
    ech_fault_arm(ECH_FAULT_WRITE, 1);
    ech_events_write_behind(events, true);
    put(events, "lost", 0);
    ech_events_write_behind(events, false);
    ech_fault_arm(-1, 0);
    put(events, "last", 0);
    ech_events_close(events);
    assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
    assert_int_equal(seen.count, EVENTS + 2);
    assert_string_equal(seen.types[EVENTS + 1], "last");
    assert_int_equal(seen.lost, 1);
    ech_event_reader_close(reader);
}

/* Any allocation, open or read may fail: a clean error, and the next poll misses nothing. */
static void faults(void **state)
{
    (void)state;
    assert_int_equal(ech_mkdir_all("run/nodes/a", NULL), ECH_OK);
    append("run/nodes/a/events-1-0.jsonl", "{\"type\":\"x\"}\n{\"type\":\"y\"}\n");
    for (int64_t n = 1;; n++) {
        struct ech_event_reader *reader = NULL;
        struct seen seen = {0};
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(-1, n);
        int code = ech_event_reader_open("run", 0, &reader, &err);
        if (code == ECH_OK)
            code = ech_event_reader_poll(reader, note, &seen, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_int_equal(code != ECH_OK, fired);
        assert_int_equal(err.code, code);
        if (reader && fired)
            assert_int_equal(ech_event_reader_poll(reader, note, &seen, NULL), ECH_OK);
        if (reader)
            assert_int_equal(seen.count, 2);
        ech_event_reader_close(reader);
        if (!fired) {
            assert_true(n > 5);
            return;
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(line),          cmocka_unit_test(follow), cmocka_unit_test(long_lines),
    cmocka_unit_test(failing_write), cmocka_unit_test(faults), cmocka_unit_test(written_behind),
};
ECH_TEST_MAIN(tests)
