/* The tokenizer on the page of a model, and opening it to see whether it is whole. */
#include "model/show_impl.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "text/tokenizer.h"
#include "text/vocab_source.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 256 };
static const size_t spm_most = (size_t)256 << 20;

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* Marian's vocabularies have the languages in their names: the first in the order of names. */
static bool find_spm(const char *folder, char out[NAME])
{
    DIR *d = opendir(folder);
    out[0] = '\0';
    for (struct dirent *e; d && (e = readdir(d));)
        if (ends_with(e->d_name, ".spm") && (!out[0] || strcmp(e->d_name, out) < 0))
            snprintf(out, NAME, "%s", e->d_name);
    if (d)
        closedir(d);
    return out[0] != '\0';
}

/* The first file of a tokenizer that lies beside the model. */
static bool find_file(const struct ech_weights *w, char out[NAME])
{
    static const char *const names[] = {"tokenizer.json",
                                        "tokenizer.model",
                                        "vocab.txt",
                                        "sentencepiece.bpe.model",
                                        "spiece.model",
                                        "source.spm",
                                        "shared_vocabulary.json",
                                        "shared_vocabulary.txt",
                                        "source_vocabulary.json",
                                        "source_vocabulary.txt",
                                        "vocabulary.json",
                                        "vocabulary.txt",
                                        "vocab.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", ech_weights_folder(w), names[i]);
        if (ech_path_exists(path)) {
            snprintf(out, NAME, "%s", names[i]);
            return true;
        }
    }
    return find_spm(ech_weights_folder(w), out);
}

bool ech_show_has_tokenizer(const struct ech_weights *w)
{
    char name[NAME];
    return ech_weights_vocab(w) || find_file(w, name);
}

void ech_show_tokenizer(const struct ech_weights *w, struct ech_str *out)
{
    const struct ech_vocab_source *vocab = ech_weights_vocab(w);
    char text[NAME];
    if (vocab)
        ech_str_addf(out, "in the file: %s%s%s, %s tokens", vocab->model, vocab->pre ? ", " : "",
                     vocab->pre ? vocab->pre : "", ech_print_count((int64_t)vocab->count, text, sizeof text));
    else
        ech_str_adds(out, find_file(w, text) ? text : "none");
}

static int open_spm(const char *path, struct ech_tokenizer **out, struct ech_err *err)
{
    char *data = NULL;
    size_t bytes = 0;
    int code = ech_read_file(path, spm_most, &data, &bytes, err);
    if (code == ECH_OK)
        code = ech_tokenizer_parse_spm(path, data, bytes, out, err);
    ech_free(data);
    return code;
}

int ech_check_tokenizer(const struct ech_weights *w, int64_t vocab_size, int64_t *tokens, struct ech_err *err)
{
    const struct ech_vocab_source *vocab = ech_weights_vocab(w);
    struct ech_tokenizer *t = NULL;
    char name[NAME], path[PATH_MAX];
    int code = ECH_OK;
    if (vocab)
        code = ech_tokenizer_from_source(ech_weights_path(w, 0), vocab, &t, err);
    else if (find_file(w, name)) {
        snprintf(path, sizeof path, "%s/%s", ech_weights_folder(w), name);
        if (ends_with(name, ".spm") || ends_with(name, ".model"))
            code = open_spm(path, &t, err);
        else if (strcmp(name, "tokenizer.json") == 0 || strcmp(name, "vocab.txt") == 0)
            code = ech_tokenizer_open(ech_weights_folder(w), &t, err);
    }
    *tokens = code == ECH_OK && t ? ech_tokenizer_largest_id(t) + 1 : 0;
    if (vocab_size && *tokens > vocab_size)
        code = ech_fail(err, ECH_DATA, "%s: the tokenizer has %lld tokens, the model %lld",
                        ech_weights_folder(w), (long long)*tokens, (long long)vocab_size);
    ech_tokenizer_close(t);
    return code;
}
