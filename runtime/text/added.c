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

bool ech_added_find(const struct ech_added *added, enum ech_added_where where, const unsigned char *text,
                    size_t bytes, size_t from, struct ech_added_match *out)
{
    if (!added->any[where])
        return false;
    for (size_t at = from; at < bytes; at++) {
        if (!added->first[where][text[at]])
            continue;
        int32_t index = 0;
        size_t length = ech_trie_longest(&added->trie, where, text + at, bytes - at, &index), next;
        if (length == 0)
            continue;
        const struct ech_added_token *token = &added->tokens[index];
        size_t start = at, end = at + length;
        if (token->single_word && !stands_alone(text, bytes, start, end)) {
            at = end - 1;
            continue;
        }
        while (token->lstrip && start > from &&
               (class_at(text, previous(text, start), &next) & ECH_CHAR_SPACE))
            start = previous(text, start);
        while (token->rstrip && end < bytes && (class_at(text, end, &next) & ECH_CHAR_SPACE))
            end = next;
        *out = (struct ech_added_match){.start = start, .end = end, .id = token->id};
        return true;
    }
    return false;
}
