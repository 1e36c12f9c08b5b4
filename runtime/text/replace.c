/* Replacing matches, in normalisers and decoders: see normal_steps.h. */
#include "text/normal_steps.h"

#include "base/mem.h"
#include "text/regex.h"

#include <string.h>

void ech_replace_destroy(void *replace)
{
    struct ech_replace *r = replace;
    if (!r)
        return;
    ech_free(r->string);
    ech_free(r->content);
    ech_regex_destroy(r->regex);
    ech_free(r);
}

/* An empty string matches between all characters: that is a regex's affair. */
int ech_replace_create(const char *string, struct ech_regex *regex, const char *content,
                       struct ech_replace **out, struct ech_err *err)
{
    struct ech_replace *r = ech_calloc(1, sizeof *r, err);
    if (!r) {
        ech_regex_destroy(regex);
        return ECH_UNAVAILABLE;
    }
    int code = ECH_OK;
    r->regex = regex;
    if (!regex && !*string)
        code = ech_regex_create("", &r->regex, err);
    if (code == ECH_OK &&
        (!(r->string = ech_strdup(string, err)) || !(r->content = ech_strdup(content, err))))
        code = ECH_UNAVAILABLE;
    if (code != ECH_OK) {
        ech_replace_destroy(r);
        return code;
    }
    r->string_bytes = strlen(string);
    r->content_bytes = strlen(content);
    *out = r;
    return ECH_OK;
}

static bool next_string(const struct ech_replace *r, struct ech_regex_walk *w)
{
    const unsigned char *at =
        w->at < w->bytes ? memmem(w->text + w->at, w->bytes - w->at, r->string, r->string_bytes) : NULL;
    if (!at)
        return false;
    w->start = (size_t)(at - w->text);
    w->at = w->end = w->start + r->string_bytes;
    return true;
}

/* Of a match at the front something must be left that began there: the reference counts the place of what is
 * put by the last character that it stands for. */
static bool loses_front(const struct ech_replace *r, const struct ech_regex_walk *w)
{
    size_t chars = 0;
    for (size_t i = 0; w->start == 0 && i < w->end; i++)
        chars += (w->text[i] & 0xC0) != 0x80;
    return chars > (r->content_bytes ? 1 : 0);
}

int ech_replace_run(const struct ech_replace *r, const unsigned char *text, size_t bytes,
                    const struct ech_replace_out *out, struct ech_err *err)
{
    struct ech_regex_walk walk = {.text = text, .bytes = bytes};
    size_t from = 0;
    int code = ECH_OK;
    while (code == ECH_OK && bytes) {
        bool found = false;
        if (r->regex)
            code = ech_regex_next(r->regex, out->regex, &walk, &found, err);
        else
            found = next_string(r, &walk);
        if (code != ECH_OK || !found)
            break;
        if (out->front_gone && loses_front(r, &walk))
            *out->front_gone = true;
        code = out->put(out->to, text + from, walk.start - from, err);
        if (code == ECH_OK)
            code = out->put(out->to, r->content, r->content_bytes, err);
        from = walk.end;
    }
    return code == ECH_OK ? out->put(out->to, text + from, bytes - from, err) : code;
}

static int put(void *to, const void *text, size_t bytes, struct ech_err *err)
{
    return ech_normal_put(to, text, bytes, err);
}

static int apply(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                 struct ech_err *err)
{
    const struct ech_replace_out to = {put, out, &out->regex, &out->front_gone};
    return ech_replace_run(data, text, bytes, &to, err);
}

static bool unchanged(const void *data, const unsigned char *text, size_t bytes)
{
    const struct ech_replace *r = data;
    return !r->regex && !memmem(text, bytes, r->string, r->string_bytes);
}

struct ech_normal_step ech_step_replace(struct ech_replace *replace)
{
    return (struct ech_normal_step){
        .apply = apply, .unchanged = unchanged, .close = ech_replace_destroy, .data = replace};
}
