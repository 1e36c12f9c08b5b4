/* Byte-level BPE from the arrays of a GGUF: `pre` names how its text is cut; see vocab_source.h. */
#include "text/bpe.h"

#include "base/mem.h"
#include "base/str.h"
#include "text/decoders.h"
#include "text/regex.h"
#include "text/scan.h"
#include "text/tokenizer_impl.h"
#include "text/vocab_source.h"

#include <string.h>

#define GPT2   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define FOLDED "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define MODERN(numbers)                                                                                      \
    FOLDED "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                                         \
           "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
/* Words of one or of two cases, as GPT-4o and Mistral's tekken have them. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(after, numbers)                                                                                \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" after "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" after   \
    "|" numbers "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define HAN      "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define SENTENCE " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"

enum { PATTERNS_MOST = 6 };

/* Each text is cut by one pattern after the other; matches and what lies between them are pieces. */
static const struct way {
    const char *names; /* of `pre`, with spaces round each */
    const char *patterns[PATTERNS_MOST];
    bool ignore_merges, bos;
} ways[] = {
    {" default ", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false},
    {" llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral lfm2 ", {MODERN("\\p{N}{1,3}")}, true, true},
    {" dbrx smaug-bpe glm4 chatglm-bpe ", {MODERN("\\p{N}{1,3}")}, false, false},
    {" qwen2 stablelm2 deepseek-r1-qwen hunyuan megrez ", {MODERN("\\p{N}")}, false, false},
    {" gpt-2 gpt2 phi-2 roberta-bpe mpt olmo jais gigachat jina-es jina-de jina-en jina-v1-en "
     "jina-v2-es jina-v2-de jina-v2-en jina-v2-code granite-docling ",
     {GPT2},
     false,
     false},
    {" starcoder refact command-r smollm codeshell exaone minerva-7b ", {"\\p{N}", GPT2}, false, false},
    {" falcon ", {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}, false, false},
    {" deepseek-coder ", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", HAN, "\\p{N}"}, false, false},
    {" deepseek-v3 hunyuan-dense ",
     {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
      "?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
     false,
     false},
    {" gpt-4o llama4 ", {CASED(FOLDED "?", "\\p{N}{1,3}")}, false, false},
    {" tekken ", {CASED("", "\\p{N}")}, true, true},
    {" poro-chat bloom gpt3-finnish ", {SENTENCE}, false, false},
    {" viking ", {SENTENCE, "\\p{N}"}, false, false},
};

static const struct way *find_way(const char *pre)
{
    char name[66];
    const char *wanted = pre && *pre ? pre : "default";
    if (strlen(wanted) > sizeof name - 3 || strchr(wanted, ' '))
        return NULL;
    strcat(strcat(strcpy(name, " "), wanted), " ");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strstr(ways[i].names, name))
            return &ways[i];
    return NULL;
}

static int add_cuts(struct ech_tokenizer *t, const struct way *way, struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; code == ECH_OK && i < PATTERNS_MOST && way->patterns[i]; i++) {
        struct ech_cut_stage stage = {.kind = ECH_CUT_SCAN, .behavior = ECH_CUT_ISOLATED};
        stage.scan = ech_scan_find(way->patterns[i]);
        if (!stage.scan) {
            stage.kind = ECH_CUT_REGEX;
            code = ech_regex_create(way->patterns[i], &stage.regex, err);
        }
        if (code == ECH_OK)
            code = ech_cutter_add(&t->cutter, stage, err);
    }
    return code;
}

int ech_tokenizer_source_tokens(struct ech_tokenizer *t, const char *name, const struct ech_vocab_source *s,
                                struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < s->count; i++) {
        const struct ech_vocab_text *token = &s->tokens[i];
        int32_t type = s->types ? s->types[i] : ECH_VOCAB_NORMAL;
        if (ech_utf8_invalid_at(token->text, token->bytes) >= 0)
            return ech_fail(err, ECH_DATA, "%s: token %zu is not UTF-8", name, i);
        code = ech_tokenizer_add_piece(t, token->text, token->bytes, (int64_t)i, err);
        const struct ech_token_flags flags = {.special = type == ECH_VOCAB_CONTROL};
        if (code == ECH_OK && (type == ECH_VOCAB_CONTROL || type == ECH_VOCAB_USER_DEFINED))
            code = ech_tokenizer_add_token(t, token->text, token->bytes, (int64_t)i, flags, err);
    }
    return code;
}

/* "left right": the space is the first one behind a non-empty left half. */
static int add_merge(const struct ech_tokenizer *t, struct ech_bpe *bpe, const char *name,
                     struct ech_vocab_text merge, uint32_t rank, struct ech_str *joined, struct ech_err *err)
{
    const char *space = merge.bytes > 1 ? memchr(merge.text + 1, ' ', merge.bytes - 1) : NULL;
    if (!space)
        return ech_fail(err, ECH_DATA, "%s: merge %u is not a pair", name, (unsigned)rank);
    size_t left = (size_t)(space - merge.text), right = merge.bytes - left - 1;
    ech_str_clear(joined);
    ech_str_add(joined, merge.text, left);
    ech_str_add(joined, space + 1, right);
    int code = ech_str_check(joined, err);
    if (code != ECH_OK)
        return code;
    int32_t a = ech_vocab_find(&t->vocab, merge.text, left), b = ech_vocab_find(&t->vocab, space + 1, right);
    int32_t id = ech_vocab_find(&t->vocab, joined->data, joined->length);
    if (a < 0 || b < 0 || id < 0)
        return ech_fail(err, ECH_DATA, "%s: merge %u has a token that is not in the vocabulary", name,
                        (unsigned)rank);
    return ech_bpe_add(bpe, a, b, rank, id, err);
}

static int add_merges(const struct ech_tokenizer *t, struct ech_bpe *bpe, const char *name,
                      const struct ech_vocab_source *s, struct ech_err *err)
{
    struct ech_str joined;
    int code = ECH_OK;
    ech_str_init(&joined);
    if (s->merge_count >= UINT32_MAX)
        return ech_fail(err, ECH_DATA, "%s: %zu merges are too many", name, s->merge_count);
    for (size_t i = 0; code == ECH_OK && i < s->merge_count; i++)
        code = add_merge(t, bpe, name, s->merges[i], (uint32_t)i, &joined, err);
    ech_str_fini(&joined);
    return code;
}

static int add_frame(struct ech_tokenizer *t, const char *name, const struct way *way,
                     const struct ech_vocab_source *s, struct ech_err *err)
{
    bool bos = s->add_bos == ECH_VOCAB_UNSET ? way->bos && s->bos >= 0 : s->add_bos != 0;
    bool eos = s->add_eos == ECH_VOCAB_UNSET ? false : s->add_eos != 0;
    if ((bos && s->bos < 0) || (eos && s->eos < 0))
        return ech_fail(err, ECH_DATA, "%s: %s is to be added, and the file does not say which it is", name,
                        bos && s->bos < 0 ? "bos" : "eos");
    const struct ech_post_part first = {ECH_POST_FIRST, 0, 0}, second = {ECH_POST_SECOND, 0, 0};
    const struct ech_post_part start = {ECH_POST_TOKEN, (int32_t)s->bos, 0};
    const struct ech_post_part end = {ECH_POST_TOKEN, (int32_t)s->eos, 0};
    struct ech_post_list *single = &t->post.single, *pair = &t->post.pair;
    single->count = pair->count = 0;
    int code = bos ? ech_post_add(single, start, err) : ECH_OK;
    if (code == ECH_OK)
        code = ech_post_add(single, first, err);
    if (code == ECH_OK && eos)
        code = ech_post_add(single, end, err);
    *pair = *single;
    if (code == ECH_OK && bos)
        code = ech_post_add(pair, start, err);
    if (code == ECH_OK)
        code = ech_post_add(pair, second, err);
    return code == ECH_OK && eos ? ech_post_add(pair, end, err) : code;
}

int ech_tokenizer_fill_bpe(struct ech_tokenizer *t, const char *name, const struct ech_vocab_source *s,
                           struct ech_err *err)
{
    const struct way *way = find_way(s->pre);
    struct ech_bpe *bpe;
    if (!way)
        return ech_fail(err, ECH_DATA, "%s: the pre-tokenizer \"%.60s\" is not supported", name, s->pre);
    int code = add_cuts(t, way, err);
    if (code == ECH_OK)
        code = ech_tokenizer_source_tokens(t, name, s, err);
    if (code == ECH_OK)
        code = ech_bpe_create(&t->vocab, true, &bpe, err);
    if (code != ECH_OK)
        return code;
    t->ops = &ech_bpe_ops;
    t->model = bpe;
    bpe->ignore_merges = way->ignore_merges;
    bpe->unknown = s->unk >= 0 ? (int32_t)s->unk : ECH_BPE_UNKNOWN_NONE;
    code = add_merges(t, bpe, name, s, err);
    ech_bpe_prepare(bpe);
    if (code == ECH_OK)
        code = add_frame(t, name, way, s, err);
    return code == ECH_OK ? ech_decoder_add(&t->decoder, ech_decode_byte_level(), err) : code;
}
