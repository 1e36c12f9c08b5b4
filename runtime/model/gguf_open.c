/* Opening a GGUF, in one file or in parts "NAME-00001-of-00004.gguf". */
#include "model/gguf_arch.h"
#include "model/gguf_vocab.h"
#include "model/weights_impl.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { PARTS_MOST = 1000 };

static int parse_file(struct ech_weights *w, const char *name, struct ech_gguf *out, struct ech_err *err)
{
    int file;
    struct ech_err found = ECH_ERR_NONE;
    int code = ech_weights_map(w, name, &file, err);
    if (code != ECH_OK)
        return code;
    const struct ech_mapping *mapping = &w->files[file];
    code = ech_gguf_parse(mapping->path, mapping->data, mapping->bytes, file, out, &found);
    code = ech_weights_parsed(w, file, code, &found, err);
    if (code != ECH_OK)
        ech_gguf_fini(out);
    return code;
}

/* "x-00001-of-00003.gguf" -> "x-00002-of-00003.gguf" */
static int part_name(const char *path, const char *first, int64_t part, int64_t parts, char *out,
                     size_t bytes, struct ech_err *err)
{
    char tail[64];
    size_t all = strlen(first);
    size_t length = (size_t)snprintf(tail, sizeof tail, "-00001-of-%05d.gguf", (int)parts);
    if (all <= length || strcmp(first + all - length, tail) != 0 || all >= bytes)
        return ech_fail(err, ECH_DATA, "%s is the first of %d parts; its name should end in %s", path,
                        (int)parts, tail);
    snprintf(out, bytes, "%.*s-%05d-of-%05d.gguf", (int)(all - length), first, (int)part, (int)parts);
    return ECH_OK;
}

static int open_part(struct ech_weights *w, const char *name, int64_t number, struct ech_err *err)
{
    struct ech_gguf part;
    int64_t no = -1;
    int code = parse_file(w, name, &part, err);
    if (code != ECH_OK)
        return code;
    code = ech_gguf_int(&part, "split.no", &no, err);
    if (code == ECH_OK && no != number)
        code = ech_fail(err, ECH_DATA, "%s: split.no is %lld, %lld was expected", part.path, (long long)no,
                        (long long)number);
    if (code == ECH_OK) /* tensors of all parts are looked up together */
        for (size_t i = 0; code == ECH_OK && i < part.tensors.count; i++) {
            struct ech_tensor *t = ech_tensor_list_add(&w->gguf->tensors, err);
            code = t ? ECH_OK : ECH_UNAVAILABLE;
            if (t) {
                *t = part.tensors.items[i];
                part.tensors.items[i].name = NULL;
            }
        }
    ech_gguf_fini(&part);
    return code;
}

static int open_parts(struct ech_weights *w, const char *first, struct ech_err *err)
{
    int64_t parts = 1, no = 0;
    char name[512];
    int code = ech_gguf_int(w->gguf, "split.count", &parts, err);
    if (code == ECH_OK)
        code = ech_gguf_int(w->gguf, "split.no", &no, err);
    if (code == ECH_OK && (no != 0 || parts < 0 || parts > PARTS_MOST))
        return ech_fail(err, ECH_DATA, "%s is part %lld of %lld: name the first", w->gguf->path,
                        (long long)no + 1, (long long)parts);
    for (int64_t part = 2; code == ECH_OK && part <= parts; part++) {
        code = part_name(w->gguf->path, first, part, parts, name, sizeof name, err);
        if (code == ECH_OK)
            code = open_part(w, name, part - 1, err);
    }
    return code;
}

static int describe(struct ech_weights *w, struct ech_err *err)
{
    const struct ech_gguf_arch *arch = ech_gguf_arch_find(w->gguf);
    int code = ech_gguf_rename(w->gguf, arch, &w->gguf->tensors, &w->list, err);
    if (code == ECH_OK)
        code = ech_gguf_config(w->gguf, arch, &w->list, &w->config, err);
    if (code == ECH_OK)
        code = ech_gguf_vocab_read(w->gguf, &w->gguf->vocab, err);
    if (code == ECH_OK && w->gguf->vocab)
        w->vocab = &w->gguf->vocab->source;
    if (code == ECH_OK && !(w->config_path = ech_strdup(w->gguf->path, err)))
        code = ECH_UNAVAILABLE;
    ech_tensor_list_fini(&w->gguf->tensors);
    return code;
}

int ech_gguf_open(struct ech_weights *w, const char *name, struct ech_err *err)
{
    struct ech_gguf *g = ech_calloc(1, sizeof *g, err);
    int code = g ? parse_file(w, name, g, err) : ECH_UNAVAILABLE;
    if (code != ECH_OK) {
        ech_free(g);
        return code;
    }
    w->gguf = g;
    code = open_parts(w, name, err);
    return code == ECH_OK ? describe(w, err) : code;
}

void ech_gguf_close(struct ech_gguf *g)
{
    if (g)
        ech_gguf_fini(g);
    ech_free(g);
}
