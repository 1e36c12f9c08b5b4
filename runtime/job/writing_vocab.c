/* Lists of tokens: see writing_vocab.h. */
#include "job/writing_vocab.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

enum { FILE_MOST = 256 << 20, ID_MOST = 1 << 24 };

static int hold(struct ech_token_list *l, size_t count, struct ech_err *err)
{
    l->tokens = ech_calloc(count + 1, sizeof *l->tokens, err);
    l->count = l->tokens ? count : 0;
    return l->tokens ? ECH_OK : ECH_UNAVAILABLE;
}

static struct ech_vocab_text text_of(const json_t *string)
{
    return (struct ech_vocab_text){json_string_value(string), json_string_length(string)};
}

static int from_list(const char *path, struct ech_token_list *l, struct ech_err *err)
{
    size_t i;
    json_t *item;
    int code = hold(l, json_array_size(l->json), err);
    if (code != ECH_OK)
        return code;
    json_array_foreach(l->json, i, item)
    {
        if (!json_is_string(item))
            return ech_fail(err, ECH_DATA, "%s: token %zu is no string", path, i);
        l->tokens[i] = text_of(item);
    }
    return ECH_OK;
}

static int largest_id(const char *path, const struct ech_token_list *l, json_int_t *most, struct ech_err *err)
{
    const char *key;
    json_t *id;
    *most = -1;
    json_object_foreach(l->json, key, id)
    {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= ID_MOST)
            return ech_fail(err, ECH_DATA, "%s: the id of \"%.60s\" is no number below %d", path, key,
                            ID_MOST);
        *most = value > *most ? value : *most;
    }
    return ECH_OK;
}

static int from_object(const char *path, struct ech_token_list *l, struct ech_err *err)
{
    const char *key;
    json_t *id;
    json_int_t most;
    int code = largest_id(path, l, &most, err);
    if (code == ECH_OK)
        code = hold(l, (size_t)(most + 1), err);
    if (code != ECH_OK)
        return code;
    json_object_foreach(l->json, key, id) l->tokens[json_integer_value(id)] =
        (struct ech_vocab_text){key, strlen(key)};
    return ECH_OK;
}

static int from_json(const char *path, struct ech_token_list *l, struct ech_err *err)
{
    int code = ech_json_load(path, FILE_MOST, &l->json, err);
    if (code != ECH_OK)
        return code;
    if (json_is_array(l->json))
        return from_list(path, l, err);
    if (json_is_object(l->json))
        return from_object(path, l, err);
    return ech_fail(err, ECH_DATA, "%s: a list of tokens or an object of ids was expected", path);
}

/* Also an empty line is a token: what follows keeps its number. */
static int from_lines(const char *path, struct ech_token_list *l, struct ech_err *err)
{
    size_t bytes, count = 0;
    int code = ech_read_file(path, FILE_MOST, &l->text, &bytes, err);
    if (code != ECH_OK)
        return code;
    for (size_t i = 0; i < bytes; i++)
        count += l->text[i] == '\n' || i + 1 == bytes;
    code = hold(l, count, err);
    const char *at = l->text, *end = l->text + bytes;
    for (size_t i = 0; code == ECH_OK && i < count; i++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end ? line_end : end) - at);
        size_t kept = length > 0 && at[length - 1] == '\r' ? length - 1 : length;
        l->tokens[i] = (struct ech_vocab_text){at, kept};
        at += length + (line_end != NULL);
    }
    return code;
}

int ech_token_list_read(const char *path, struct ech_token_list *out, struct ech_err *err)
{
    size_t length = strlen(path);
    bool lines = length > 4 && strcmp(path + length - 4, ".txt") == 0;
    memset(out, 0, sizeof *out);
    int code = lines ? from_lines(path, out, err) : from_json(path, out, err);
    if (code != ECH_OK)
        ech_token_list_fini(out);
    return code;
}

void ech_token_list_fini(struct ech_token_list *l)
{
    ech_free(l->tokens);
    ech_free(l->text);
    json_decref(l->json);
    memset(l, 0, sizeof *l);
}
