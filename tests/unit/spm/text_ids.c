/* text_ids FILE: a tokenizer as a filter, for comparing it with its reference (goldens/differential.py).
 * Records on stdin: 'E', u32 bytes, a text; or 'D', u32 count, i32 ids. Answer: i32 count, the ids (of the
 * text), u32 bytes, the text (of those ids). FILE: .model, .spm (any bytes are a text), or tokenizer.json.
 * text_ids FILE --speed LINES ROUNDS: bytes and lines a second, encoding, one thread. */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 22, FILE_MOST = 1 << 28 };

struct filter {
    bool spm;
    struct ech_sentencepiece model;
    struct ech_sp_scratch scratch;
    struct ech_pieces in, out;
    struct ech_tokenizer *tokenizer;
    struct ech_encoder *encoder;
    int32_t *ids;
    int64_t count;
    const char *text;
    size_t bytes;
    struct ech_err err;
};

static void must(const struct filter *f, int code)
{
    if (code == ECH_OK)
        return;
    fprintf(stderr, "%s\n", f->err.text);
    exit(code);
}

static void open_filter(struct filter *f, const char *path)
{
    char *data;
    size_t bytes;
    must(f, ech_read_file(path, FILE_MOST, &data, &bytes, &f->err));
    const char *dot = strrchr(path, '.');
    f->spm = !dot || strcmp(dot, ".json") != 0;
    f->ids = malloc(MOST * sizeof *f->ids);
    if (f->spm)
        must(f, ech_sentencepiece_parse(path, data, bytes, &f->model, &f->err));
    else
        must(f, ech_tokenizer_parse(path, data, bytes, &f->tokenizer, &f->err));
    if (!f->spm)
        must(f, ech_encoder_create(&f->encoder, &f->err));
    ech_free(data);
}

static void encode(struct filter *f, const char *text, size_t bytes)
{
    if (f->spm) {
        struct ech_id_sink sink = {.ids = f->ids, .limit = MOST, .count_all = true};
        must(f, ech_sentencepiece_encode(&f->model, &f->scratch, (const unsigned char *)text, bytes, &sink,
                                         &f->err));
        f->count = sink.found;
        return;
    }
    const struct ech_encode_options options = {.most = MOST, .bare = true};
    struct ech_encoded got;
    must(f, ech_tokenizer_encode_with(f->tokenizer, f->encoder, text, bytes, &options, &got, &f->err));
    f->count = got.invalid_at < 0 ? got.count : -1;
    if (got.count > 0)
        memcpy(f->ids, got.ids, (size_t)got.count * sizeof *f->ids);
}

static void decode(struct filter *f)
{
    if (!f->spm) {
        struct ech_decoded got;
        must(f, ech_tokenizer_decode(f->tokenizer, f->encoder, f->ids, f->count < 0 ? 0 : f->count, true,
                                     &got, &f->err));
        f->text = got.text;
        f->bytes = got.bytes;
        return;
    }
    ech_pieces_clear(&f->in);
    ech_pieces_clear(&f->out);
    for (int64_t i = 0; i < f->count; i++) {
        size_t bytes;
        const unsigned char *piece = ech_sp_vocab_text(&f->model.vocab, f->ids[i], &bytes);
        must(f, ech_pieces_put(&f->in, piece, bytes, &f->err));
        must(f, ech_pieces_end(&f->in, &f->err));
    }
    must(f, ech_sentencepiece_decode(&f->model, &f->in, &f->out, &f->err));
    f->text = f->out.text;
    f->bytes = f->out.bytes;
}

static void answer(const struct filter *f)
{
    int32_t count = (int32_t)f->count;
    uint32_t bytes = (uint32_t)f->bytes;
    fwrite(&count, sizeof count, 1, stdout);
    if (count > 0)
        fwrite(f->ids, sizeof *f->ids, (size_t)count, stdout);
    fwrite(&bytes, sizeof bytes, 1, stdout);
    if (bytes > 0)
        fwrite(f->text, 1, bytes, stdout);
    fflush(stdout);
}

static void run(struct filter *f)
{
    char kind;
    uint32_t size;
    size_t capacity = 0;
    char *text = NULL;
    while (fread(&kind, 1, 1, stdin) == 1 && fread(&size, sizeof size, 1, stdin) == 1 && size < MOST) {
        must(f, ech_grow((void **)&text, &capacity, (size_t)size + 1, 1, &f->err));
        if (kind == 'E' && fread(text, 1, size, stdin) == size)
            encode(f, text, size);
        else if (kind == 'D' && fread(f->ids, sizeof *f->ids, size, stdin) == size)
            f->count = size;
        decode(f);
        answer(f);
    }
    ech_free(text);
}

static void measure(struct filter *f, const char *path, int rounds)
{
    char *text;
    size_t bytes;
    int64_t lines = 0, ids = 0;
    must(f, ech_read_file(path, FILE_MOST, &text, &bytes, &f->err));
    int64_t start = ech_mono_ns();
    for (int round = 0; round < rounds; round++)
        for (char *at = text, *end; at < text + bytes; at = end + 1, lines++) {
            end = memchr(at, '\n', (size_t)(text + bytes - at));
            end = end ? end : text + bytes;
            encode(f, at, (size_t)(end - at));
            ids += f->count;
        }
    double seconds = (double)(ech_mono_ns() - start) * 1e-9;
    printf("{\"mb_s\": %.3f, \"lines_s\": %.0f, \"ids\": %lld}\n", (double)bytes * rounds / seconds * 1e-6,
           (double)lines / seconds, (long long)ids);
    ech_free(text);
}

int main(int argc, char **argv)
{
    static struct filter f = {.err = ECH_ERR_NONE};
    if (argc != 2 && !(argc == 5 && strcmp(argv[2], "--speed") == 0)) {
        fprintf(stderr, "usage: text_ids FILE [--speed LINES ROUNDS]\n");
        return ECH_USAGE;
    }
    open_filter(&f, argv[1]);
    if (argc == 2)
        run(&f);
    else
        measure(&f, argv[3], atoi(argv[4]));
    ech_sp_scratch_fini(&f.scratch);
    ech_pieces_fini(&f.in);
    ech_pieces_fini(&f.out);
    if (f.spm)
        ech_sentencepiece_fini(&f.model);
    ech_tokenizer_close(f.tokenizer);
    ech_encoder_destroy(f.encoder);
    free(f.ids);
    return 0;
}
