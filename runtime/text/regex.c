/* Matching by PCRE2: see regex.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include "base/mem.h"

#include <pcre2.h>
#include <string.h>

enum { STACK_START = 32 << 10, STACK_MOST = 4 << 20, STEPS_MOST = 10 << 20, HEAP_MOST_KIB = 64 << 10 };

struct ech_regex {
    pcre2_code *code;
};

struct ech_regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

void ech_regex_destroy(struct ech_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    ech_free(regex);
}

static int compile(const char *pattern, const char *translated, pcre2_code **out, struct ech_err *err)
{
    int error;
    PCRE2_SIZE at;
    PCRE2_UCHAR text[128];
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return ech_fail(err, ECH_UNAVAILABLE, "no memory for a regular expression");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    const uint32_t options =
        PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    *out = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
    pcre2_compile_context_free(context);
    if (*out) {
        pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it the interpreter matches the same */
        return ECH_OK;
    }
    pcre2_get_error_message(error, text, sizeof text);
    return ech_fail(err, ECH_DATA, "the regular expression \"%.200s\" cannot be used: %s", pattern,
                    (const char *)text);
}

int ech_regex_create(const char *pattern, struct ech_regex **out, struct ech_err *err)
{
    struct ech_str translated;
    ech_str_init(&translated);
    struct ech_regex *regex = ech_calloc(1, sizeof *regex, err);
    int code = regex ? ech_regex_translate(pattern, &translated, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = compile(pattern, translated.data, &regex->code, err);
    ech_str_fini(&translated);
    if (code == ECH_OK)
        *out = regex;
    else
        ech_regex_destroy(regex);
    return code;
}

void ech_regex_scratch_destroy(struct ech_regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    ech_free(s);
}

static int scratch_create(struct ech_regex_scratch **out, struct ech_err *err)
{
    struct ech_regex_scratch *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(STACK_START, STACK_MOST, NULL);
    if (!s->data || !s->context) {
        ech_regex_scratch_destroy(s);
        return ech_fail(err, ECH_UNAVAILABLE, "no memory for matching regular expressions");
    }
    if (s->stack)
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    pcre2_set_match_limit(s->context, STEPS_MOST);
    pcre2_set_heap_limit(s->context, HEAP_MOST_KIB);
    *out = s;
    return ECH_OK;
}

static int match_at(const struct ech_regex *regex, struct ech_regex_scratch *s, struct ech_regex_walk *w,
                    bool *found, struct ech_err *err)
{
    int rc = pcre2_match(regex->code, w->text, w->bytes, w->at, PCRE2_NO_UTF_CHECK, s->data, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(regex->code, w->text, w->bytes, w->at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data,
                         s->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return ech_fail(err, ECH_DATA,
                        "a text of %zu bytes drives a regular expression beyond its limit (%d)", w->bytes,
                        rc);
    *found = rc >= 0;
    if (*found) {
        const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(s->data);
        w->start = pair[0];
        w->end = pair[1] < pair[0] ? pair[0] : pair[1];
    }
    return ECH_OK;
}

static size_t step_over(const struct ech_regex_walk *w)
{
    size_t at = w->at + 1;
    while (at < w->bytes && (w->text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

int ech_regex_next(const struct ech_regex *regex, struct ech_regex_scratch **scratch,
                   struct ech_regex_walk *w, bool *found, struct ech_err *err)
{
    int code = *scratch ? ECH_OK : scratch_create(scratch, err);
    *found = false;
    while (code == ECH_OK && w->at <= w->bytes) {
        code = match_at(regex, *scratch, w, found, err);
        if (code != ECH_OK || !*found)
            return code;
        if (w->start != w->end || !w->matched || w->end != w->last_end) {
            w->at = w->last_end = w->end;
            w->matched = true;
            return ECH_OK;
        }
        w->at = step_over(w);
        *found = false;
    }
    return code;
}
