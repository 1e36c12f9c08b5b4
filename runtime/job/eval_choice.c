/* eval choice: how often a language model finds the right one of several answers the likeliest. A question
 * and each choice are read as one text; the choice's score is the log-probability of its own tokens, and for
 * the second figure that divided by its characters. Equal scores: the first choice. */
#include "job/eval.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "job/eval_lines.h"
#include "job/eval_model.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SEQUENCES = 32,
    QUESTIONS = 64, /* computed together */
    CHOICES_MOST = 1000
};

struct choice {
    struct ech_eval_model model;
    struct ech_eval_lines *lines;
    const char *join; /* between question and choice; scored with the choice */
    int64_t answers[QUESTIONS];
    int64_t questions, choices, tokens, right, right_by_length;
    double chance; /* sum of 1 / choices */
};

/* Where an error lies. */
static int wrong(const struct choice *c, struct ech_err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int wrong(const struct choice *c, struct ech_err *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return ech_fail(err, ECH_DATA, "%s, line %lld: %s", ech_eval_lines_name(c->lines),
                    (long long)ech_eval_lines_read(c->lines), text);
}

static uint64_t characters(const char *text)
{
    uint64_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

/* --- a line into requests --- */

static int read_side(struct choice *c, const char *question, const char *choice, struct ech_reading *out,
                     struct ech_err *err)
{
    char *text = ech_sprintf(err, "%s%s%s", question, choice ? c->join : "", choice ? choice : "");
    int code = text ? ech_writing_read(&c->model.w, text, strlen(text), false, false, INT32_MAX, out, err)
                    : ECH_UNAVAILABLE;
    ech_free(text);
    return code;
}

/* The choice's tokens are those behind as many as the question alone has. Its length travels in `row`. */
static int add_choice(struct choice *c, const char *question, int64_t alone, const char *choice,
                      int64_t number, struct ech_write_batch *batch, struct ech_err *err)
{
    struct ech_reading r = {0};
    struct ech_request *request;
    int code = read_side(c, question, choice, &r, err);
    if (code == ECH_OK && r.count > c->model.w.context)
        code = wrong(c, err, "choice %lld and its question have %lld tokens, the context holds %lld",
                     (long long)number, (long long)r.count, (long long)c->model.w.context);
    if (code == ECH_OK && (r.count <= alone || alone < 1))
        code = wrong(c, err, "choice %lld has no token of its own behind the question's", (long long)number);
    if (code == ECH_OK)
        code = ech_write_batch_add(batch, &request, err);
    if (code == ECH_OK) {
        *request =
            (struct ech_request){.row = characters(choice), .ids = r.ids, .count = r.count, .scored = alone};
        r.ids = NULL;
        c->choices++;
        c->tokens += request->count - alone;
    }
    ech_reading_fini(&r);
    return code;
}

static int add_choices(struct choice *c, const char *question, const json_t *choices,
                       struct ech_write_batch *batch, struct ech_err *err)
{
    struct ech_reading alone = {0};
    size_t count = json_array_size(choices);
    int code = read_side(c, question, NULL, &alone, err);
    for (size_t i = 0; code == ECH_OK && i < count; i++) {
        const char *choice = json_string_value(json_array_get(choices, i));
        code = add_choice(c, question, alone.count, choice, (int64_t)i + 1, batch, err);
    }
    ech_reading_fini(&alone);
    c->chance += 1 / (double)count;
    return code == ECH_OK ? ech_write_batch_row(batch, err) : code;
}

/* The right one by number, or as its own text. */
static int read_answer(const struct choice *c, const json_t *answer, const json_t *choices, int64_t *out,
                       struct ech_err *err)
{
    int64_t count = (int64_t)json_array_size(choices), found = 0;
    if (json_is_integer(answer)) {
        *out = json_integer_value(answer);
        return *out >= 0 && *out < count ? ECH_OK
                                         : wrong(c, err, "answer %lld, 0 to %lld was expected",
                                                 (long long)*out, (long long)count - 1);
    }
    for (int64_t i = 0; i < count && json_is_string(answer); i++)
        if (json_equal(json_array_get(choices, (size_t)i), answer)) {
            *out = i;
            found++;
        }
    return found == 1 ? ECH_OK
                      : wrong(c, err, "answer: the number of a choice (from 0) or its text was expected");
}

static int check_choices(const struct choice *c, const json_t *choices, struct ech_err *err)
{
    size_t i, count = json_array_size(choices);
    const json_t *item;
    if (count < 2 || count > CHOICES_MOST)
        return wrong(c, err, "choices: an array of 2 to %d texts was expected", CHOICES_MOST);
    json_array_foreach(choices, i, item)
    {
        const char *text = json_string_value(item);
        if (!text || !*text)
            return wrong(c, err, "choice %zu: a text that is not empty was expected", i + 1);
    }
    return ECH_OK;
}

static int add_question(struct choice *c, const json_t *root, int64_t place, struct ech_write_batch *batch,
                        struct ech_err *err)
{
    const json_t *choices = json_object_get(root, "choices");
    const char *question = json_string_value(json_object_get(root, "question"));
    if (!json_is_object(root))
        return wrong(c, err, "an object {question, choices, answer} was expected");
    if (!question || !*question)
        return wrong(c, err, "question: a text that is not empty was expected");
    int code = check_choices(c, choices, err);
    if (code == ECH_OK)
        code = read_answer(c, json_object_get(root, "answer"), choices, &c->answers[place], err);
    return code == ECH_OK ? add_choices(c, question, choices, batch, err) : code;
}

static int add_line(struct choice *c, struct ech_line line, struct ech_write_batch *batch,
                    struct ech_err *err)
{
    json_error_t where;
    json_t *root = json_loadb(line.text, line.bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!root)
        return wrong(c, err, "column %d: %s", where.column, where.text);
    int code = add_question(c, root, batch->rows, batch, err);
    json_decref(root);
    return code;
}

static bool is_blank(struct ech_line line)
{
    for (size_t i = 0; i < line.bytes; i++)
        if (!strchr(" \t", line.text[i]))
            return false;
    return true;
}

/* The next questions; *more is false behind the last. */
static int read_some(struct choice *c, struct ech_write_batch *batch, bool *more, struct ech_err *err)
{
    int code = ECH_OK;
    *more = true;
    while (code == ECH_OK && *more && batch->rows < QUESTIONS) {
        struct ech_line line;
        code = ech_eval_lines_next(c->lines, &line, more, err);
        if (code == ECH_OK && *more && !is_blank(line))
            code = add_line(c, line, batch, err);
    }
    return code;
}

/* --- what they came to --- */

static void count_row(struct choice *c, const struct ech_write_batch *done, int64_t row)
{
    int64_t first = done->firsts[row], best = first, longest = first;
    double most = -INFINITY, most_by_length = -INFINITY;
    for (int64_t i = first; i < done->firsts[row + 1]; i++) {
        double sum = ech_eval_model_sum(done, i), by_length = sum / (double)done->requests[i].row;
        if (sum > most) {
            most = sum;
            best = i;
        }
        if (by_length > most_by_length) {
            most_by_length = by_length;
            longest = i;
        }
    }
    c->right += best - first == c->answers[row];
    c->right_by_length += longest - first == c->answers[row];
    c->questions++;
}

static int run(struct choice *c, struct ech_err *err)
{
    bool more = true;
    int code = ECH_OK;
    while (code == ECH_OK && more) {
        struct ech_write_batch *batch = NULL, *done = NULL;
        code = ech_write_batch_create(0, &batch, err);
        if (code == ECH_OK)
            code = read_some(c, batch, &more, err);
        if (code == ECH_OK && batch->rows > 0) {
            code = ech_eval_model_run(&c->model, batch, &done, err);
            batch = NULL;
        }
        for (int64_t row = 0; code == ECH_OK && done && row < done->rows; row++)
            count_row(c, done, row);
        ech_write_batch_destroy(batch);
        ech_write_batch_destroy(done);
    }
    if (code == ECH_OK && c->questions == 0)
        code = ech_fail(err, ECH_DATA, "%s: no questions", ech_eval_lines_name(c->lines));
    return code;
}

/* Of a share of n drawn questions. */
static double standard_error(double share, int64_t n)
{
    return n > 1 ? sqrt(share * (1 - share) / (double)(n - 1)) : 0;
}

static void print(const struct choice *c, bool json, double seconds, struct ech_str *out)
{
    double n = (double)c->questions, plain = (double)c->right / n, by_length = (double)c->right_by_length / n;
    double error = standard_error(plain, c->questions), other = standard_error(by_length, c->questions);
    if (json)
        ech_str_addf(out,
                     "{\"accuracy\":%.6f,\"accuracy_error\":%.6f,\"accuracy_by_length\":%.6f,"
                     "\"accuracy_by_length_error\":%.6f,\"chance\":%.6f,\"questions\":%lld,\"choices\":%lld,"
                     "\"tokens\":%lld,\"numerics\":\"%s\",\"seconds\":%.3f}\n",
                     plain, error, by_length, other, c->chance / n, (long long)c->questions,
                     (long long)c->choices, (long long)c->tokens, ech_lm_numerics(c->model.w.decoder),
                     seconds);
    else
        ech_str_addf(out,
                     "accuracy    %.4f (+- %.4f)\n"
                     "by length   %.4f (+- %.4f)\n"
                     "chance      %.4f\n"
                     "questions   %lld, %lld choices, %lld tokens of choices\n"
                     "speed       %.1f questions/s (%s, %s)\n",
                     plain, error, by_length, other, c->chance / n, (long long)c->questions,
                     (long long)c->choices, (long long)c->tokens, n / seconds,
                     ech_lm_precision(c->model.w.decoder), ech_lm_numerics(c->model.w.decoder));
}

int ech_eval_choice(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct choice c = {.join = ech_args_given(args, "join") ? ech_args_get(args, "join") : " "};
    const char *path = ech_args_get(args, "questions");
    int64_t context = 0;
    int code = ech_args_get_int(args, "context", 2, INT32_MAX, &context, err);
    if (code == ECH_OK && !path)
        code = ech_fail(err, ECH_USAGE, "%s: --questions FILE was expected", args->command->name);
    if (code == ECH_OK)
        code = ech_eval_lines_open(path, &c.lines, err);
    if (code == ECH_OK)
        code = ech_eval_model_open(args, context, SEQUENCES, &c.model, err);
    double begun = ech_mono_s();
    if (code == ECH_OK)
        code = run(&c, err);
    if (code == ECH_OK)
        print(&c, ech_args_given(args, "json"), ech_mono_s() - begun, &call->text);
    ech_eval_model_close(&c.model);
    ech_eval_lines_close(c.lines);
    return code;
}
