/* Added tokens: see added.h. */
#include "text/added.h"

#include "base/mem.h"
#include "text/unicode.h"

#include <string.h>

int ech_added_init(struct ech_added *added, struct ech_err *err)
{
    memset(added, 0, sizeof *added);
    return ech_trie_init(&added->trie, err);
}

void ech_added_fini(struct ech_added *added)
{
    ech_trie_fini(&added->trie);
    ech_free(added->tokens);
}

int ech_added_add(struct ech_added *added, enum ech_added_where where, const void *text, size_t bytes,
                  struct ech_added_token token, struct ech_err *err)
{
    if (bytes == 0)
        return ECH_OK;
    int code =
        ech_grow((void **)&added->tokens, &added->capacity, added->count + 1, sizeof *added->tokens, err);
    if (code == ECH_OK)
        code = ech_trie_add(&added->trie, where, text, bytes, (int32_t)added->count, err);
    if (code != ECH_OK)
        return code;
    added->tokens[added->count++] = token;
    added->first[where][*(const unsigned char *)text] = true;
    added->any[where] = true;
    return ECH_OK;
}

/* Start of the character that ends before `at`. */
static size_t previous(const unsigned char *text, size_t at)
{
    do
        at--;
    while (at > 0 && (text[at] & 0xC0) == 0x80);
    return at;
}

static unsigned class_at(const unsigned char *text, size_t at, size_t *next)
{
    const unsigned char *p = text + at;
    unsigned class = ech_char_class(ech_char_next(&p));
    *next = (size_t)(p - text);
    return class;
}

static bool stands_alone(const unsigned char *text, size_t bytes, size_t start, size_t end)
{
    size_t next;
    if (start > 0 && (class_at(text, previous(text, start), &next) & ECH_CHAR_WORD))
        return false;
    return end == bytes || !(class_at(text, end, &next) & ECH_CHAR_WORD);
}

/* Take the white space round a match where the token wants it; what an earlier match took stays its own. */
static void strip(const struct ech_added_token *token, struct ech_added_scan *s, size_t *end)
{
    size_t next;
    while (token->lstrip && s->start > s->from &&
           (class_at(s->text, previous(s->text, s->start), &next) & ECH_CHAR_SPACE))
        s->start = previous(s->text, s->start);
    while (token->rstrip && *end < s->bytes && (class_at(s->text, *end, &next) & ECH_CHAR_SPACE))
        *end = next;
}

bool ech_added_next(const struct ech_added *added, enum ech_added_where where, struct ech_added_scan *s,
                    size_t *before)
{
    const bool *first = added->first[where];
    if (!added->any[where])
        return false;
    while (s->at < s->bytes) {
        int32_t index = 0;
        size_t length = 0;
        if (first[s->text[s->at]])
            length = ech_trie_longest(&added->trie, where, s->text + s->at, s->bytes - s->at, &index);
        if (length == 0) {
            s->at++;
            continue;
        }
        const struct ech_added_token *token = &added->tokens[index];
        s->start = s->at;
        s->at += length;
        if ((s->literal && token->special) ||
            (token->single_word && !stands_alone(s->text, s->bytes, s->start, s->at)))
            continue;
        size_t end = s->at;
        strip(token, s, &end);
        s->id = token->id;
        *before = s->from;
        s->from = end;
        return true;
    }
    return false;
}
