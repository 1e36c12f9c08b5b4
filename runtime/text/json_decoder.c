/* tokenizer.json's "decoder". */
#include "text/tokenizer_impl.h"

#include "base/json.h"
#include "text/decoders.h"

#include <string.h>

enum { DEPTH_MOST = 8 };

static int add(struct ech_tokenizer *t, struct ech_decode_step step, struct ech_err *err)
{
    return ech_decoder_add(&t->decoder, step, err);
}

static int read_word_piece(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_decode_words w = {.first = "##", .cleanup = true};
    struct ech_decode_step step = {0};
    int code = ech_json_get_str(part, name, "prefix", false, &w.first, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "cleanup", false, &w.cleanup, err);
    if (code == ECH_OK)
        code = ech_decode_word_piece(w, &step, err);
    return code == ECH_OK ? add(t, step, err) : code;
}

static int read_bpe(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_decode_words w = {.first = "</w>"};
    struct ech_decode_step step = {0};
    int code = ech_json_get_str(part, name, "suffix", false, &w.first, err);
    if (code == ECH_OK)
        code = ech_decode_bpe(w, &step, err);
    return code == ECH_OK ? add(t, step, err) : code;
}

static int read_ctc(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_decode_words w = {.first = "<pad>", .second = "|", .cleanup = true};
    struct ech_decode_step step = {0};
    int code = ech_json_get_str(part, name, "pad_token", false, &w.first, err);
    if (code == ECH_OK)
        code = ech_json_get_str(part, name, "word_delimiter_token", false, &w.second, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(part, name, "cleanup", false, &w.cleanup, err);
    if (code == ECH_OK)
        code = ech_decode_ctc(w, &step, err);
    return code == ECH_OK ? add(t, step, err) : code;
}

static int read_strip(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_decode_words w = {0};
    struct ech_decode_step step = {0};
    int64_t start = 0, stop = 0;
    int code = ech_json_get_char(part, name, "content", NULL, &w.first, err);
    if (code == ECH_OK)
        code = ech_json_get_int(part, name, "start", true, &start, err);
    if (code == ECH_OK)
        code = ech_json_get_int(part, name, "stop", true, &stop, err);
    if (code == ECH_OK && (start < 0 || stop < 0))
        code = ech_fail(err, ECH_DATA, "%s: the decoder Strip takes away a negative number", name);
    w.start = (size_t)start;
    w.stop = (size_t)stop;
    if (code == ECH_OK)
        code = ech_decode_strip(w, &step, err);
    return code == ECH_OK ? add(t, step, err) : code;
}

static int read_metaspace(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_decode_words w = {0};
    struct ech_decode_step step = {0};
    enum ech_cut_prefix prefix = ECH_PREFIX_ALWAYS;
    int code = ech_json_metaspace(part, name, &w.first, &prefix, err);
    w.prefix = prefix != ECH_PREFIX_NEVER;
    if (code == ECH_OK)
        code = ech_decode_metaspace(w, &step, err);
    return code == ECH_OK ? add(t, step, err) : code;
}

static int read_replace(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    struct ech_replace *replace;
    int code = ech_json_replace(part, name, &replace, err);
    return code == ECH_OK ? add(t, ech_decode_replace(replace), err) : code;
}

static int read_byte_level(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    (void)name;
    (void)part;
    return add(t, ech_decode_byte_level(), err);
}

static int read_byte_fallback(struct ech_tokenizer *t, const char *name, const json_t *part,
                              struct ech_err *err)
{
    (void)name;
    (void)part;
    return add(t, ech_decode_byte_fallback(), err);
}

static int read_fuse(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    (void)name;
    (void)part;
    return add(t, ech_decode_fuse(), err);
}

static const struct {
    const char *type;
    int (*read)(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err);
} kinds[] = {
    {"ByteLevel", read_byte_level},
    {"WordPiece", read_word_piece},
    {"Metaspace", read_metaspace},
    {"BPEDecoder", read_bpe},
    {"ByteFallback", read_byte_fallback},
    {"Fuse", read_fuse},
    {"Strip", read_strip},
    {"Replace", read_replace},
    {"CTC", read_ctc},
};

static int read_one(struct ech_tokenizer *t, const char *name, const json_t *part, int depth,
                    struct ech_err *err)
{
    const char *type = ech_json_type(part);
    if (strcmp(type, "Sequence") == 0 && depth < DEPTH_MOST) {
        const json_t *list = json_object_get(part, "decoders"), *item;
        size_t i;
        int code = ECH_OK;
        if (!json_is_array(list))
            return ech_fail(err, ECH_DATA, "%s: the decoder Sequence has no list \"decoders\"", name);
        json_array_foreach(list, i, item) if (code == ECH_OK) code = read_one(t, name, item, depth + 1, err);
        return code;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].type, type) == 0)
            return kinds[i].read(t, name, part, err);
    return ech_json_unknown(name, "decoder", part, err);
}

int ech_json_decoder(struct ech_tokenizer *t, const char *name, const json_t *part, struct ech_err *err)
{
    if (ech_json_absent(part))
        return ECH_OK;
    int code = read_one(t, name, part, 0, err);
    /* An empty sequence is a decoder all the same: tokens are joined without spaces. */
    return code == ECH_OK && t->decoder.count == 0 ? add(t, ech_decode_fuse(), err) : code;
}

int ech_json_decoder_wordpiece(struct ech_tokenizer *t, const char *prefix, bool cleanup, struct ech_err *err)
{
    struct ech_decode_step step = {0};
    int code =
        ech_decode_word_piece((struct ech_decode_words){.first = prefix, .cleanup = cleanup}, &step, err);
    return code == ECH_OK ? add(t, step, err) : code;
}
