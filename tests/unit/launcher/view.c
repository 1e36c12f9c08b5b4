/* launcher: a fixed set of events folded into a view, and what progress, plots and the report make of it. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/mem.h"
#include "launcher/progress.h"
#include "launcher/report.h"
#include "launcher/series.h"
#include "launcher/svg.h"

static void give(struct ech_run_view *view, int attempt, int rank, int ms, const char *type,
                 const char *members)
{
    char text[1024];
    snprintf(
        text, sizeof text,
        "{\"v\":1,\"run\":\"r\",\"attempt\":%d,\"epoch\":0,\"node\":0,\"rank\":%d,\"seq\":1,\"mono_ns\":1,"
        "\"wall\":\"2026-11-24T10:%02d:%02d.%03dZ\",\"type\":\"%s\"%s%s}",
        attempt, rank, ms / 60000 % 60, ms / 1000 % 60, ms % 1000, type, *members ? "," : "", members);
    json_error_t where;
    json_t *event = json_loads(text, 0, &where);
    assert_non_null(event);
    ech_view_event(view, event);
    json_decref(event);
}

/* Two ranks, the first three times as fast, 10 s; an earlier attempt that lost a rank. Rank 1's file is read
 * first, as a directory may give it. */
static void fill(struct ech_run_view *view)
{
    ech_view_init(view, "job-<1>", 2);
    give(view, 1, 0, 0, "dead", "\"who\":1,\"host\":\"n<1>\",\"reason\":\"no heartbeat\"");
    give(view, 1, 0, 10, "end", "\"code\":75,\"text\":\"stopped\"");
    give(view, 1, 1, 10, "end", "\"code\":75,\"text\":\"stopped\"");
    for (int rank = 1; rank >= 0; rank--) {
        char text[512];
        int speed = rank ? 1000 : 3000;
        give(view, 2, rank, 60000, "start",
             "\"host\":\"node-a\",\"pid\":7,\"threads\":2,\"backend\":\"avx2\",\"numerics\":\"n1\",\"cpu\":"
             "\"<cpu "
             "& co>\",\"version\":\"0.1\"");
        give(view, 2, rank, 60100, "phase", "\"name\":\"run\"");
        snprintf(text, sizeof text, "\"tokens_per_s\":%d", rank ? 1000 : 4000);
        give(view, 2, rank, 60200, "probe", text);
        if (rank == 0)
            give(view, 2, 0, 60300, "plan",
                 "\"rows\":400,\"rows_done\":0,\"tokens_estimated\":4e4,\"ranks\":2,\"nodes\":1");
        give(view, 2, rank, 61000, "lease", "\"first\":0,\"rows\":10");
        for (int s = 1; s <= 10; s++) {
            snprintf(text, sizeof text,
                     "\"rows\":%d,\"tokens\":%d,\"errors\":1,\"leases\":%d,\"busy_s\":%d,\"speed\":%d,"
                     "\"share\":%g,"
                     "\"rss_bytes\":%d,\"spool_bytes\":9",
                     s * speed / 100, s * speed, s, s, speed, rank ? .25 : .75, (100 + s) << 20);
            give(view, 2, rank, 61000 + s * 1000, "progress", text);
            snprintf(text, sizeof text,
                     "\"rows_done\":%d,\"rows\":400,\"tokens_done\":%d,\"tokens\":40000,\"left_s\":%d",
                     s * 40, s * 4000, 10 - s);
            if (rank == 0)
                give(view, 2, 0, 61000 + s * 1000, "todo", text);
        }
        give(view, 2, rank, 71000, "phase", "\"name\":\"seal\"");
        if (rank == 0)
            give(view, 2, 0, 71500, "seal", "\"shards\":2,\"bytes\":1048576,\"rows\":400,\"seconds\":0.5");
        give(view, 2, rank, 71600, "end",
             "\"code\":0,\"text\":\"\",\"cpu_s\":9,\"rss_peak_bytes\":157286400");
    }
    give(view, 2, 0, 71700, "a type of later", "");
    struct ech_attempt_view *a = ech_view_attempt(view, 2);
    a->ranks = 2;
    a->has_result = true;
    a->result = (struct ech_run_result){
        .attempt = 2, .state = "sealed", .dataset = "/out", .rows = 400, .seconds = 10.5};
    a = ech_view_attempt(view, 1);
    a->ranks = 2;
    ech_view_finish(view);
}

static void folding(void **state)
{
    (void)state;
    struct ech_run_view view;
    fill(&view);
    assert_false(view.failed);
    assert_int_equal(view.unreadable, 0);
    assert_int_equal(view.rank_count, 2);
    assert_int_equal(view.plan.tokens_estimated, 40000);
    assert_true(view.ranks[0].tokens == 30000 && view.ranks[1].tokens == 10000);
    assert_int_equal(view.ranks[0].rss_peak, 150 << 20);
    assert_false(view.ranks[1].dead); /* of the first attempt only */
    struct ech_view_sum sum;
    ech_view_sum(&view, &sum);
    assert_true(sum.tokens == 40000 && sum.rows == 400 && sum.errors == 2);
    assert_true(sum.run_end - sum.first_lease == 10.0);
    assert_true(sum.fluid_s == 10.0); /* 40,000 tokens over 3,000 + 1,000 tokens/s */
    assert_true(view.pace.rows_s == 40 && view.pace.tokens_s == 4000);
    assert_int_equal(view.note_count, 3);
    assert_string_equal(view.notes[0].text, "lost on n<1>: no heartbeat");
    assert_int_equal(view.notes[0].rank, 1);
    assert_int_equal(view.notes[1].ranks, 2); /* both said "stopped" */
    assert_int_equal(view.attempt_count, 2);
    assert_int_equal(view.attempts[0].attempt, 1);
    ech_view_fini(&view);
}

static void states(void **state)
{
    (void)state;
    struct ech_run_view view;
    ech_view_init(&view, "r", 1);
    assert_int_equal(ech_view_state(&view, true), ECH_RUN_RUNNING);
    assert_int_equal(ech_view_state(&view, false), ECH_RUN_DIED);
    struct ech_attempt_view *a = ech_view_attempt(&view, 1);
    assert_int_equal(ech_view_state(&view, false), ECH_RUN_DIED);
    a->has_result = true;
    strcpy(a->result.state, "stopped");
    assert_int_equal(ech_view_state(&view, false), ECH_RUN_STOPPED);
    strcpy(a->result.state, "failed");
    assert_int_equal(ech_view_state(&view, false), ECH_RUN_FAILED);
    view.attempt = 2; /* a later one without a result */
    ech_view_attempt(&view, 2);
    assert_int_equal(ech_view_state(&view, false), ECH_RUN_DIED);
    assert_int_equal(ech_view_state(&view, true), ECH_RUN_RUNNING);
    strcpy(ech_view_attempt(&view, 1)->result.state, "sealed");
    assert_int_equal(ech_view_state(&view, false), ECH_RUN_SEALED);
    ech_view_fini(&view);
}

/* Lines of other programs, damaged numbers, a rank of 2^40: nothing breaks, nothing is believed. */
static void hostile(void **state)
{
    (void)state;
    static const char *const events[] = {
        "[]",
        "1",
        "{}",
        "{\"type\":\"start\"}",
        "{\"type\":\"start\",\"rank\":1099511627776,\"wall\":\"2026-11-24T10:00:00.000Z\",\"attempt\":1}",
        "{\"type\":\"start\",\"rank\":-1,\"wall\":\"2026-11-24T10:00:00.000Z\",\"attempt\":1}",
        "{\"type\":\"start\",\"rank\":0,\"wall\":\"yesterday\",\"attempt\":1}",
        "{\"type\":\"start\",\"rank\":0,\"wall\":7,\"attempt\":1}"};
    static const char *const odd[] = {
        "{\"type\":\"dead\",\"rank\":0,\"who\":1099511627776,\"wall\":\"2026-11-24T10:00:00.000Z\","
        "\"attempt\":1}",
        "{\"type\":\"dead\",\"rank\":0,\"who\":\"x\",\"wall\":\"2026-11-24T10:00:00.000Z\",\"attempt\":1}",
        "{\"type\":\"progress\",\"rank\":0,\"node\":2147483647,\"rows\":-5,\"tokens\":9223372036854775807,"
        "\"busy_s\":-1,"
        "\"spans\":[7,[],[-5,9e99,\"x\"],[9223372036854775807,0,1,9223372036854775807,1],{}],"
        "\"speed\":1e308,\"share\":\"x\",\"rss_bytes\":9223372036854775807,\"wall\":\"2026-11-24T10:00:00."
        "000Z\","
        "\"attempt\":1}",
        "{\"type\":\"progress\",\"rank\":1,\"tokens\":9223372036854775807,\"wall\":\"2026-11-24T10:00:05."
        "000Z\","
        "\"attempt\":1}",
        "{\"type\":\"lease\",\"rank\":1,\"wall\":\"2026-11-24T10:00:00.000Z\",\"attempt\":1}",
        "{\"type\":\"todo\",\"rank\":0,\"rows\":0,\"rows_done\":9,\"left_s\":1e300,\"wall\":\"2026-11-24T10:"
        "00:00.000Z\","
        "\"attempt\":1}"};
    struct ech_run_view view;
    ech_view_init(&view, "r", 1);
    for (size_t i = 0; i < sizeof events / sizeof events[0] + sizeof odd / sizeof odd[0]; i++) {
        size_t first = sizeof events / sizeof events[0];
        json_t *event = json_loads(i < first ? events[i] : odd[i - first], JSON_DECODE_ANY, NULL);
        assert_non_null(event);
        ech_view_event(&view, event);
        json_decref(event);
    }
    assert_int_equal(view.unreadable, sizeof events / sizeof events[0]);
    assert_int_equal(view.rank_count, 2);
    struct ech_report report = {.view = &view, .state = ECH_RUN_DIED, .run_dir = "/r", .version = "0"};
    struct ech_str html, block;
    int lines;
    ech_str_init(&html);
    ech_str_init(&block);
    assert_int_equal(ech_report_html(&report, &html, NULL), ECH_OK);
    assert_int_equal(ech_report_json(&report, &html, NULL), ECH_OK);
    ech_progress_block(&view, 1e300, 40, &block, &lines);
    assert_false(block.failed);
    ech_str_fini(&block);
    ech_str_fini(&html);
    ech_view_fini(&view);
}

static void long_run(void **state)
{
    (void)state;
    struct ech_run_view view;
    ech_view_init(&view, "r", 1);
    give(&view, 1, 0, 0, "lease", "");
    for (int s = 1; s < 3000; s++) {
        char text[64];
        snprintf(text, sizeof text, "\"tokens\":%d,\"rss_bytes\":1000", s * 10);
        give(&view, 1, 0, s * 1000, "progress", text);
    }
    assert_true(view.ranks[0].sample_count <= ECH_VIEW_SAMPLES);
    static struct ech_series series;
    assert_true(ech_series_make(&view, &series));
    assert_int_equal(series.points, ECH_SERIES_POINTS);
    for (int i = 1; i + 1 < series.points; i++)
        assert_true(series.tokens_s[i] > 9.9 && series.tokens_s[i] < 10.1 && series.bytes[i] == 1000);
    ech_view_fini(&view);
}

static void progress_text(void **state)
{
    (void)state;
    struct ech_run_view view;
    struct ech_str out;
    int lines;
    fill(&view);
    view.todo.rows_done = 200;
    view.todo.left_s = 65;
    strcpy(view.ranks[0].phase, "run");
    ech_str_init(&out);
    ech_progress_line(&view, &out);
    assert_string_equal(out.data, "50.0 %  200 / 400 rows  40 rows/s  4,000 tokens/s  1:05 left");
    ech_str_clear(&out);
    view.ranks[1].dead = true;
    strcpy(view.ranks[1].reason, "silent");
    ech_progress_block(&view, 12.34, 200, &out, &lines);
    assert_int_equal(lines, 4);
    assert_string_equal(
        out.data, "job-<1>  2 ranks  12.3 s  attempt 2  1 lost  2 bad rows\n"
                  "[############............] 50.0 %  200 / 400 rows  40 rows/s  4,000 tokens/s  1:05 left\n"
                  "  rank 0   node-a      75.0 %         300 rows      3,000 tokens/s  110.0 MiB\n"
                  "  rank 1   node-a     lost: silent\n");
    ech_str_clear(&out);
    ech_progress_block(&view, 12.34, 20, &out, &lines);
    assert_true(strlen(out.data) <= 4 * 21);
    ech_str_fini(&out);
    ech_view_fini(&view);
}

static int occurrences(const char *text, const char *what)
{
    int n = 0;
    while ((text = strstr(text, what))) {
        n++;
        text += strlen(what);
    }
    return n;
}

static void report_page(void **state)
{
    (void)state;
    struct ech_run_view view;
    struct ech_str html;
    json_t *config = json_loads("[{\"key\":\"kind\",\"value\":\"embed\",\"origin\":\"job.yaml:1\"},"
                                "{\"key\":\"x\",\"value\":\"<script>\",\"origin\":\"default\"}]",
                                0, NULL);
    assert_non_null(config);
    fill(&view);
    ech_str_init(&html);
    struct ech_report report = {.view = &view,
                                .state = ECH_RUN_SEALED,
                                .run_dir = "/runs/job-<1>",
                                .config = config,
                                .version = "0.1"};
    assert_int_equal(ech_report_html(&report, &html, NULL), ECH_OK);
    const char *page = html.data;
    assert_non_null(strstr(page, "<title>job-&lt;1&gt;</title>"));
    assert_non_null(strstr(page, "class=\"state sealed\">sealed"));
    assert_non_null(strstr(page, "Makespan over optimum: <b>1.000</b>"));
    assert_non_null(strstr(page, "planned 80.0 %, actual 75.0 %"));               /* planned by the probe */
    assert_non_null(strstr(page, "<td class=\"plan\">4,000</td><td>3,000</td>")); /* tokens/s */
    assert_non_null(strstr(page, "No lease has been told of"));
    assert_non_null(strstr(page, "&lt;cpu &amp; co&gt;"));
    assert_non_null(strstr(page, "rank 1 lost on n&lt;1&gt;: no heartbeat"));
    assert_non_null(strstr(page, "2 ranks ended with 75 (requeue): stopped"));
    assert_non_null(strstr(page, "2 values, 1 of them given"));
    assert_non_null(strstr(page, "prefers-color-scheme:dark"));
    assert_null(strstr(page, "<script>"));
    assert_null(strstr(page, "http"));
    assert_int_equal(occurrences(page, "<svg"), 2);
    assert_int_equal(occurrences(page, "<section"), occurrences(page, "</section>"));
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));

    ech_str_clear(&html);
    assert_int_equal(ech_report_json(&report, &html, NULL), ECH_OK);
    json_t *json;
    assert_int_equal(ech_json_parse("report", html.data, html.length, &json, NULL), ECH_OK);
    assert_true(json_real_value(json_object_get(json, "makespan_over_fluid")) == 1 ||
                json_integer_value(json_object_get(json, "makespan_over_fluid")) == 1);
    json_decref(json);
    json_decref(config);
    ech_str_fini(&html);
    ech_view_fini(&view);
}

/* Rank 0 ends lease after lease, rank 1 is lost in the middle, rank 2 copies, rank 3 rests. */
static void fill_leases(struct ech_run_view *view)
{
    char text[256];
    ech_view_init(view, "job", 1);
    for (int r = 0; r < 4; r++) {
        give(view, 1, r, 0, "start", "\"host\":\"node<a>\",\"pid\":1");
        give(view, 1, r, 10, "model", r == 3 ? "\"works\":false" : "\"works\":true");
        give(view, 1, r, 100, "phase", "\"name\":\"run\"");
    }
    for (int r = 0; r < 3; r++) {
        give(view, 1, r, 1000, "lease", "\"first\":0,\"rows\":10");
        for (int s = 1; s <= 10 - 5 * (r == 1); s++) {
            snprintf(text, sizeof text,
                     "\"rows\":%d,\"tokens\":%d,\"leases\":%d,\"busy_s\":%g,\"spans\":[[1000,500,5,1,0],[500,"
                     "%d,5,%d,%d]]",
                     s * 10, s * 100, 2 * s, 0.9 * s, r == 2 ? 300 : 0, s, r == 2 && s == 10);
            give(view, 1, r, 1000 + 1000 * s, "progress", text);
        }
    }
    give(view, 1, 0, 6500, "dead", "\"who\":1,\"host\":\"node<a>\",\"reason\":\"killed\"");
    give(view, 1, 0, 11000, "phase", "\"name\":\"seal\"");
    ech_view_finish(view);
}

static void time_line(void **state)
{
    (void)state;
    static const char text[] =
        "{\"attempt\":1,\"makespan_s\":8,\"optimum_s\":7.5,\"ranks\":[{\"rank\":0,\"speed\":200,\"share\":0."
        "5,"
        "\"rows\":1234,\"tokens\":12340,\"finish_s\":8,\"memory_bytes\":1048576,\"speed_from\":\"cached\"},"
        "{\"rank\":-1},{\"rank\":99999999},{},7]}";
    struct ech_run_view view;
    struct ech_planned planned, other;
    struct ech_str html;
    json_t *plan = json_loads(text, 0, NULL), *json;
    assert_non_null(plan);
    fill_leases(&view);
    assert_int_equal(view.ranks[0].span_count, 20);
    struct ech_view_sum sum;
    ech_view_sum(&view, &sum); /* 2500 tokens; 111 tokens/s each, one of them for 5 s */
    assert_true(sum.fluid_s > 7.49 && sum.fluid_s < 7.51);
    assert_true(sum.fluid_lost_s > 8.74 && sum.fluid_lost_s < 8.76);
    assert_true(view.ranks[0].spans[19].leases == 10 && view.ranks[2].spans[19].copy && view.ranks[3].rests);
    assert_int_equal(ech_planned_read(plan, 2, &other, NULL), ECH_OK); /* of another attempt */
    assert_false(other.known);
    assert_int_equal(ech_planned_read(plan, 1, &planned, NULL), ECH_OK);
    assert_true(planned.known && planned.count == 1);
    ech_str_init(&html);
    struct ech_report report = {.view = &view,
                                .state = ECH_RUN_SEALED,
                                .run_dir = "/r",
                                .version = "0",
                                .planned = &planned,
                                .advice = "advice: ask for <more>\nadvice: and less\n"};
    assert_int_equal(ech_report_html(&report, &html, NULL), ECH_OK);
    assert_int_equal(occurrences(html.data, "<svg"), 3);
    assert_int_equal(occurrences(html.data, "class=\"lease s0\""), 3);
    assert_int_equal(occurrences(html.data, "class=\"lease s2\""), 1);
    assert_non_null(strstr(html.data, ">lost</text>"));
    assert_non_null(strstr(html.data, "rests: no place"));
    assert_non_null(strstr(html.data, "planned 8.0 s"));
    assert_non_null(strstr(html.data, "<td class=\"plan\">1,234</td><td>100</td>"));
    assert_non_null(strstr(html.data, "<li>ask for &lt;more&gt;</li>"));
    assert_non_null(strstr(html.data, "<li>and less</li>"));
    assert_int_equal(occurrences(html.data, "<section"), occurrences(html.data, "</section>"));
    ech_str_clear(&html);
    assert_int_equal(ech_report_json(&report, &html, NULL), ECH_OK);
    assert_int_equal(ech_json_parse("report", html.data, html.length, &json, NULL), ECH_OK);
    const json_t *first = json_array_get(json_object_get(json, "ranks"), 0);
    assert_int_equal(json_array_size(json_object_get(first, "spans")), 20);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(first, "planned"), "rows")), 1234);
    assert_true(json_number_value(json_object_get(first, "finish_s")) == 10);
    assert_int_equal(json_array_size(json_object_get(json, "advice")), 2);
    json_decref(json);
    json_decref(plan);
    ech_planned_fini(&planned);
    ech_str_fini(&html);
    ech_view_fini(&view);
}

/* However many ranks and leases there are, the page stays of a size, and says what it leaves out. */
static void time_line_is_bounded(void **state)
{
    (void)state;
    struct ech_run_view view;
    struct ech_str html;
    ech_view_init(&view, "job", 1);
    for (int r = 0; r < 2000; r++) {
        give(&view, 1, r, 0, "lease", "\"first\":0,\"rows\":1");
        for (int s = 1; s <= (r == 100 ? 900 : 9); s++) {
            char text[256];
            snprintf(text, sizeof text,
                     "\"rows\":%d,\"spans\":[[990,900,1,3,0],[800,700,1,1,0],[600,0,1,1,0]]", s);
            give(&view, 1, r, 1000 * s, "progress", text);
        }
    }
    give(&view, 1, 0, 5000, "dead", "\"who\":1001,\"host\":\"h\",\"reason\":\"killed\"");
    assert_false(view.failed);
    assert_true(view.ranks[100].span_count <= ECH_VIEW_SPANS);
    int64_t leases = 0;
    for (size_t i = 0; i < view.ranks[100].span_count; i++)
        leases += view.ranks[100].spans[i].leases;
    assert_int_equal(leases, 900 * 5);
    ech_str_init(&html);
    struct ech_report report = {.view = &view, .state = ECH_RUN_RUNNING, .run_dir = "/r", .version = "0"};
    assert_int_equal(ech_report_html(&report, &html, NULL), ECH_OK);
    const char *from = strstr(html.data, "<h2>Leases");
    assert_non_null(from);
    assert_true(strstr(from, "</section>") - from < 200000);
    assert_non_null(strstr(from, "of 2000 ranks are drawn, one of every 42"));
    assert_non_null(strstr(from, ">1001</text>")); /* a lost one is drawn */
    ech_str_fini(&html);
    ech_view_fini(&view);
}

/* Out of memory at every allocation: an error, no leak, no half page called good. */
static void memory_faults(void **state)
{
    (void)state;
    for (int n = 1; n < 100000; n = n < 200 ? n + 1 : n * 13 / 10) {
        struct ech_run_view view;
        struct ech_str html;
        struct ech_err err = ECH_ERR_NONE;
        ech_view_init(&view, "r", 1);
        ech_str_init(&html);
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        give(&view, 1, 0, 0, "lease", "");
        give(&view, 1, 0, 10, "end", "\"code\":65,\"text\":\"bad\"");
        for (int s = 1; s < 40; s++)
            give(&view, 1, s % 3, s * 1000, "progress",
                 "\"tokens\":10,\"rss_bytes\":1000,\"spans\":[[9,1,1,1,0]]");
        struct ech_report report = {.view = &view, .state = ECH_RUN_FAILED, .run_dir = "/r", .version = "0"};
        int code = ech_report_html(&report, &html, &err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        assert_true(!fired || view.failed || code == ECH_UNAVAILABLE);
        ech_str_fini(&html);
        ech_view_fini(&view);
        if (!fired)
            return;
    }
    fail();
}

static void drawing(void **state)
{
    (void)state;
    char label[32];
    assert_true(ech_svg_step(0, 5, false) == 0);
    assert_true(ech_svg_step(20100, 5, false) == 5000);
    assert_true(ech_svg_step(100, 5, false) == 20);
    assert_true(ech_svg_step(0.3, 5, false) > 0.0999 && ech_svg_step(0.3, 5, false) < 0.1001);
    assert_true(ech_svg_step(1000.0 * 1048576, 5, true) == 256.0 * 1048576);
    assert_true(ech_svg_step(1e300, 5, false) > 1e299);
    assert_string_equal(ech_svg_label(1500, false, label, sizeof label), "1.5k");
    assert_string_equal(ech_svg_label(0, true, label, sizeof label), "0 B");
    assert_string_equal(ech_svg_label(512 << 20, true, label, sizeof label), "512 MiB");
    struct ech_str out;
    ech_str_init(&out);
    ech_html_put(&out, "<a href='x'>\"&\"\xff\x01\n");
    assert_string_equal(out.data, "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;\xEF\xBF\xBD\xEF\xBF\xBD\n");
    ech_str_fini(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(folding),       cmocka_unit_test(states),
    cmocka_unit_test(hostile),       cmocka_unit_test(long_run),
    cmocka_unit_test(drawing),       cmocka_unit_test(progress_text),
    cmocka_unit_test(memory_faults), cmocka_unit_test(report_page),
    cmocka_unit_test(time_line),     cmocka_unit_test(time_line_is_bounded),
};
ECH_TEST_MAIN(tests)
