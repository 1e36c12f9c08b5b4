/* Tokenizers of vocabularies that are given as arrays: which model they are, what stands round a text. */
#include "text/vocab_source.h"

#include "text/sentencepiece_tokenizer.h"

#include <string.h>

struct ech_vocab_source ech_vocab_source_empty(void)
{
    enum { NO = ECH_VOCAB_UNSET };
    return (struct ech_vocab_source){.name = "vocabulary",
                                     .bos = NO,
                                     .eos = NO,
                                     .eot = NO,
                                     .unk = NO,
                                     .sep = NO,
                                     .pad = NO,
                                     .mask = NO,
                                     .add_bos = NO,
                                     .add_eos = NO,
                                     .add_sep = NO,
                                     .add_space_prefix = NO,
                                     .remove_extra_whitespaces = NO,
                                     .escape_whitespaces = NO,
                                     .suffix_whitespace = NO};
}

/* Models by name. Those that frame a text by themselves leave that to their own part. */
static const struct known {
    const char *model;
    int (*fill)(struct ech_tokenizer *t, const char *name, const struct ech_vocab_source *source,
                struct ech_err *err);
    bool frames, bos, eos; /* frames: bos and eos are put here, by these defaults */
} known[] = {
    {"llama", ech_tokenizer_fill_sentencepiece, true, true, false},
    {"t5", ech_tokenizer_fill_sentencepiece, true, false, true},
    {"gpt2", ech_tokenizer_fill_bpe, false, false, false},
    {"bert", ech_tokenizer_fill_wordpiece, false, false, false},
};

static const struct known *find_model(const char *model)
{
    for (size_t i = 0; model && i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].model, model) == 0)
            return &known[i];
    return NULL;
}

static int check_id(const char *name, const char *role, int64_t id, size_t count, struct ech_err *err)
{
    if (id >= ECH_VOCAB_UNSET && id < (int64_t)count)
        return ECH_OK;
    return ech_fail(err, ECH_DATA, "%s: the %s token has id %lld, 0 to %zu was expected", name, role,
                    (long long)id, count - 1);
}

static int check(const char *name, const struct ech_vocab_source *s, struct ech_err *err)
{
    const struct {
        const char *role;
        int64_t id;
    } ids[] = {{"bos", s->bos}, {"eos", s->eos}, {"eot", s->eot},  {"unknown", s->unk},
               {"sep", s->sep}, {"pad", s->pad}, {"mask", s->mask}};
    if (s->count == 0 || !s->tokens)
        return ech_fail(err, ECH_DATA, "%s: a vocabulary without tokens", name);
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof ids / sizeof *ids; i++)
        code = check_id(name, ids[i].role, ids[i].id, s->count, err);
    return code;
}

static void set_roles(struct ech_tokenizer *t, const struct ech_vocab_source *s)
{
    const int64_t ids[ECH_TOKEN_ROLES] = {
        [ECH_TOKEN_BOS] = s->bos,  [ECH_TOKEN_EOS] = s->eos, [ECH_TOKEN_UNK] = s->unk,
        [ECH_TOKEN_PAD] = s->pad,  [ECH_TOKEN_CLS] = -1,     [ECH_TOKEN_SEP] = s->sep,
        [ECH_TOKEN_MASK] = s->mask};
    for (int i = 0; i < ECH_TOKEN_ROLES; i++)
        if (ids[i] >= 0)
            t->roles[i] = (int32_t)ids[i];
}

/* The text of one part with bos before it and eos behind it, where they are asked for. */
static int add_framed(struct ech_post_list *list, const struct ech_vocab_source *s, bool bos, bool eos,
                      enum ech_post_kind part, struct ech_err *err)
{
    int code = ECH_OK;
    if (bos)
        code = ech_post_add(list, (struct ech_post_part){.kind = ECH_POST_TOKEN, .id = (int32_t)s->bos}, err);
    if (code == ECH_OK)
        code = ech_post_add(list, (struct ech_post_part){.kind = part}, err);
    if (code == ECH_OK && eos)
        code = ech_post_add(list, (struct ech_post_part){.kind = ECH_POST_TOKEN, .id = (int32_t)s->eos}, err);
    return code;
}

static int frame(struct ech_tokenizer *t, const struct known *model, const char *name,
                 const struct ech_vocab_source *s, struct ech_err *err)
{
    bool bos = s->add_bos == ECH_VOCAB_UNSET ? model->bos && s->bos >= 0 : s->add_bos != 0;
    bool eos = s->add_eos == ECH_VOCAB_UNSET ? model->eos && s->eos >= 0 : s->add_eos != 0;
    if ((bos && s->bos < 0) || (eos && s->eos < 0))
        return ech_fail(err, ECH_DATA,
                        "%s: %s is to be added to a text, and the file does not say which it is", name,
                        bos && s->bos < 0 ? "bos" : "eos");
    t->post.single.count = t->post.pair.count = 0;
    int code = add_framed(&t->post.single, s, bos, eos, ECH_POST_FIRST, err);
    if (code == ECH_OK)
        code = add_framed(&t->post.pair, s, bos, eos, ECH_POST_FIRST, err);
    return code == ECH_OK ? add_framed(&t->post.pair, s, bos, eos, ECH_POST_SECOND, err) : code;
}

int ech_tokenizer_from_source(const char *name, const struct ech_vocab_source *s, struct ech_tokenizer **out,
                              struct ech_err *err)
{
    struct ech_tokenizer *t = NULL;
    const struct known *model = find_model(s->model);
    name = name ? name : s->name;
    if (!model)
        return ech_fail(err, ECH_DATA,
                        "%s: tokenizer model \"%.60s\" is not supported (known: llama, t5, gpt2, bert)", name,
                        s->model ? s->model : "(none)");
    int code = check(name, s, err);
    if (code == ECH_OK)
        code = ech_tokenizer_create(&t, err);
    if (code == ECH_OK)
        code = model->fill(t, name, s, err);
    if (code == ECH_OK && model->frames)
        code = frame(t, model, name, s, err);
    if (code != ECH_OK) {
        ech_tokenizer_close(t);
        return code;
    }
    set_roles(t, s);
    *out = t;
    return ECH_OK;
}
