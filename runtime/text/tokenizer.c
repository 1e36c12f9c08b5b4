/* Tokenizers: opening, tokens and their roles; see tokenizer.h. */
#include "text/tokenizer_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

enum { JSON_MOST = 128 << 20 };

int ech_tokenizer_create(struct ech_tokenizer **out, struct ech_err *err)
{
    static atomic_uint_fast64_t serials;
    struct ech_tokenizer *t = ech_calloc(1, sizeof *t, err);
    if (!t)
        return ECH_UNAVAILABLE;
    t->serial = atomic_fetch_add(&serials, 1) + 1;
    t->largest_id = -1;
    for (int i = 0; i < ECH_TOKEN_ROLES; i++)
        t->roles[i] = -1;
    ech_post_init(&t->post);
    int code = ech_added_init(&t->added, err);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    return code;
}

void ech_tokenizer_close(struct ech_tokenizer *t)
{
    if (!t)
        return;
    if (t->ops && t->model)
        t->ops->close(t->model);
    ech_normalizer_fini(&t->normalizer);
    ech_cutter_fini(&t->cutter);
    ech_decoder_fini(&t->decoder);
    ech_vocab_fini(&t->vocab);
    ech_vocab_fini(&t->added_vocab);
    ech_added_fini(&t->added);
    ech_free(t->special);
    ech_free(t);
}

static int open_json(const char *folder, const char *path, struct ech_tokenizer *t, struct ech_err *err)
{
    json_t *root;
    int code = ech_json_load(path, JSON_MOST, &root, err);
    if (code != ECH_OK)
        return code;
    code = ech_tokenizer_from_json(t, path, root, err);
    json_decref(root);
    t->files[0] = "tokenizer.json";
    return code == ECH_OK ? ech_tokenizer_read_roles(t, folder, err) : code;
}

int ech_tokenizer_open(const char *folder, struct ech_tokenizer **out, struct ech_err *err)
{
    struct ech_tokenizer *t = NULL;
    char *json = ech_path_join(folder, "tokenizer.json", err);
    char *vocab = ech_path_join(folder, "vocab.txt", err);
    int code = json && vocab ? ech_tokenizer_create(&t, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && ech_path_exists(json))
        code = open_json(folder, json, t, err);
    else if (code == ECH_OK && ech_path_exists(vocab))
        code = ech_tokenizer_from_vocab(t, folder, err);
    else if (code == ECH_OK)
        code = ech_fail(err, ECH_NOINPUT,
                        "%s has no tokenizer: neither tokenizer.json nor vocab.txt is there", folder);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    ech_free(json);
    ech_free(vocab);
    return code;
}

int ech_tokenizer_parse(const char *name, const char *json, size_t bytes, struct ech_tokenizer **out,
                        struct ech_err *err)
{
    json_t *root;
    struct ech_tokenizer *t = NULL;
    int code = ech_json_parse(name, json, bytes, &root, err);
    if (code != ECH_OK)
        return code;
    code = ech_tokenizer_create(&t, err);
    if (code == ECH_OK)
        code = ech_tokenizer_from_json(t, name, root, err);
    json_decref(root);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    return code;
}

/* Room for the marks of every id up to this one. */
static int count_id(struct ech_tokenizer *t, int64_t id, struct ech_err *err)
{
    if (id <= t->largest_id)
        return ECH_OK;
    int code = ech_grow((void **)&t->special, &t->special_capacity, (size_t)id + 1, 1, err);
    if (code != ECH_OK)
        return code;
    memset(t->special + t->largest_id + 1, 0, (size_t)(id - t->largest_id));
    t->largest_id = (int32_t)id;
    return ECH_OK;
}

int ech_tokenizer_add_piece(struct ech_tokenizer *t, const char *token, size_t bytes, int64_t id,
                            struct ech_err *err)
{
    int code = ech_vocab_add(&t->vocab, token, bytes, id, err);
    return code == ECH_OK ? count_id(t, id, err) : code;
}

int ech_tokenizer_count_pieces(struct ech_tokenizer *t, size_t count, struct ech_err *err)
{
    if (count > ECH_VOCAB_ID_MOST)
        return ech_fail(err, ECH_DATA, "%zu tokens, at most %d were expected", count, ECH_VOCAB_ID_MOST);
    return count_id(t, (int64_t)count - 1, err);
}

/* A token that is matched in normalised text is itself normalised first. */
int ech_tokenizer_add_token(struct ech_tokenizer *t, const char *token, size_t bytes, int64_t id,
                            struct ech_token_flags flags, struct ech_err *err)
{
    if (bytes == 0)
        return ECH_OK;
    int code = ech_vocab_add(&t->added_vocab, token, bytes, id, err);
    if (code == ECH_OK)
        code = count_id(t, id, err);
    if (code != ECH_OK)
        return code;
    struct ech_added_token added = {.id = (int32_t)id,
                                    .single_word = flags.single_word,
                                    .lstrip = flags.lstrip,
                                    .rstrip = flags.rstrip,
                                    .special = flags.special};
    struct ech_normal buffers[2] = {{0}, {0}};
    const unsigned char *text = (const unsigned char *)token;
    bool front;
    if (flags.normalized)
        code = ech_normalize(&t->normalizer, buffers, &text, &bytes, &front, err);
    if (code == ECH_OK)
        code = ech_added_add(&t->added, flags.normalized ? ECH_ADDED_NORMAL : ECH_ADDED_RAW, text, bytes,
                             added, err);
    if (code == ECH_OK && flags.special)
        t->special[id] = 1;
    ech_normal_fini(&buffers[0]);
    ech_normal_fini(&buffers[1]);
    return code;
}

void ech_tokenizer_lower_first(struct ech_tokenizer *t)
{
    t->lower_first = true;
}

int64_t ech_tokenizer_added(const struct ech_tokenizer *t)
{
    return ech_post_tokens(&t->post.single);
}

int64_t ech_tokenizer_added_pair(const struct ech_tokenizer *t)
{
    return ech_post_tokens(&t->post.pair);
}

int64_t ech_tokenizer_largest_id(const struct ech_tokenizer *t)
{
    return t->largest_id;
}

const char *const *ech_tokenizer_files(const struct ech_tokenizer *t)
{
    return t->files;
}

const char *ech_tokenizer_kind(const struct ech_tokenizer *t)
{
    return t->ops->kind;
}

int32_t ech_tokenizer_role(const struct ech_tokenizer *t, enum ech_token_role role)
{
    return t->roles[role];
}

int32_t ech_tokenizer_id(const struct ech_tokenizer *t, const char *token, size_t bytes)
{
    int32_t id = ech_vocab_find(&t->added_vocab, token, bytes);
    if (id >= 0)
        return id;
    return t->ops->token_id ? t->ops->token_id(t->model, token, bytes)
                            : ech_vocab_find(&t->vocab, token, bytes);
}

const char *ech_tokenizer_token(const struct ech_tokenizer *t, int64_t id, size_t *bytes)
{
    const char *text = ech_vocab_text(&t->added_vocab, id, bytes);
    if (text)
        return text;
    return t->ops->token_text ? t->ops->token_text(t->model, id, bytes)
                              : ech_vocab_text(&t->vocab, id, bytes);
}

bool ech_tokenizer_is_special(const struct ech_tokenizer *t, int64_t id)
{
    return id >= 0 && id <= t->largest_id && t->special[id];
}
