/* Sources: see source.h. */
#include "data/source.h"

#include "base/mem.h"
#include "base/num.h"

#include <limits.h>
#include <string.h>

enum { BLOCK = 256 << 10 };

struct facts {
    int64_t bytes, codec;
};

static int inspect_local(struct ech_comm *comm, const char *const *paths, int count, struct facts *facts,
                         struct ech_err *err)
{
    int code = ECH_OK;
    for (int i = 0; ech_comm_rank(comm) == 0 && i < count && code == ECH_OK; i++) {
        enum ech_codec codec;
        code = ech_codec_detect(paths[i], &codec, &facts[i].bytes, err);
        facts[i].codec = code == ECH_OK ? (int64_t)codec : 0;
    }
    return code;
}

int ech_source_inspect(struct ech_comm *comm, const char *const *paths, int count,
                       struct ech_source_file *files, struct ech_err *err)
{
    struct facts *facts = ech_calloc((size_t)count, sizeof *facts, err);
    if (facts)
        inspect_local(comm, paths, count, facts, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_bcast(comm, facts, (size_t)count * sizeof *facts, 0, err);
    for (int i = 0; code == ECH_OK && i < count; i++)
        files[i] = (struct ech_source_file){paths[i], (enum ech_codec)facts[i].codec, facts[i].bytes};
    ech_free(facts);
    return code;
}

int ech_source_split(const struct ech_source_file *files, int count, int rank, int size,
                     struct ech_piece *pieces)
{
    int64_t total = 0, start = 0;
    int found = 0;
    for (int i = 0; i < count; i++)
        total += files[i].bytes;
    int64_t share = total / size, rest = total % size;
    int64_t low = share * rank + ech_min64(rank, rest);
    int64_t high = low + share + (rank < rest);
    for (int i = 0; i < count; start += files[i].bytes, i++) {
        int64_t begin = ech_max64(low, start), end = ech_min64(high, start + files[i].bytes);
        if (begin >= end || (files[i].codec != ECH_PLAIN && begin != start))
            continue;
        bool whole = files[i].codec != ECH_PLAIN;
        pieces[found++] = (struct ech_piece){i, begin - start, whole ? INT64_MAX : end - start, false};
    }
    return found;
}

static int count_quotes(const struct ech_source_file *file, const struct ech_piece *piece, int64_t *quotes,
                        struct ech_err *err)
{
    struct ech_stream *stream = NULL;
    char *block = ech_calloc(BLOCK, 1, err);
    int code = block ? ech_stream_open(file->path, file->codec, piece->begin, &stream, err) : ECH_UNAVAILABLE;
    int64_t left = piece->end - piece->begin;
    size_t got = 1;
    while (code == ECH_OK && left > 0 && got > 0) {
        code = ech_stream_read(stream, block, (size_t)ech_min64(left, BLOCK), &got, err);
        if (code != ECH_OK)
            break;
        left -= (int64_t)got;
        const char *p = block, *end = block + got;
        while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
            ++*quotes;
            p++;
        }
    }
    ech_stream_close(stream);
    ech_free(block);
    return code;
}

struct tail { /* a rank's last piece */
    int64_t file, quotes;
};

static int parity_local(const struct ech_source_file *files, const struct ech_piece *pieces, int count,
                        struct tail *mine, struct ech_err *err)
{
    *mine = (struct tail){-1, 0};
    if (count == 0)
        return ECH_OK;
    const struct ech_piece *last = &pieces[count - 1];
    const struct ech_source_file *file = &files[last->file];
    mine->file = last->file;
    if (file->codec != ECH_PLAIN || last->end == file->bytes)
        return ECH_OK; /* nobody goes on behind it */
    return count_quotes(file, last, &mine->quotes, err);
}

int ech_source_parity(struct ech_comm *comm, const struct ech_source_file *files, struct ech_piece *pieces,
                      int count, struct ech_err *err)
{
    struct tail mine;
    int rank = ech_comm_rank(comm), size = ech_comm_size(comm);
    struct tail *all = ech_calloc((size_t)size, sizeof *all, err);
    if (all)
        parity_local(files, pieces, count, &mine, err);
    int code = ech_agree(comm, err);
    if (code == ECH_OK)
        code = ech_allgather(comm, &mine, sizeof mine, all, err);
    int64_t before = 0;
    for (int r = 0; code == ECH_OK && count > 0 && r < rank; r++)
        before += all[r].file == pieces[0].file ? all[r].quotes : 0;
    if (code == ECH_OK && count > 0)
        pieces[0].odd = pieces[0].begin > 0 && before % 2 != 0;
    ech_free(all);
    return code;
}

void ech_source_place(const struct ech_source_file *file, int64_t offset, int *line, int *column)
{
    struct ech_stream *stream = NULL;
    char *block = ech_calloc(BLOCK, 1, NULL);
    int64_t at = 0, lines = 0, line_start = 0;
    size_t got = 1;
    bool good = block && ech_stream_open(file->path, file->codec, 0, &stream, NULL) == ECH_OK;
    while (good && at < offset && got > 0) {
        good = ech_stream_read(stream, block, (size_t)ech_min64(offset - at, BLOCK), &got, NULL) == ECH_OK;
        if (good && at == 0 && got >= 3 && memcmp(block, "\xEF\xBB\xBF", 3) == 0)
            line_start = 3; /* the byte order mark is no column */
        const char *p = block, *end = block + got;
        while (good && p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
            lines++;
            p++;
            line_start = at + (p - block);
        }
        at += (int64_t)got;
    }
    *line = good ? (int)ech_min64(lines + 1, INT_MAX) : 0;
    *column = good ? (int)ech_min64(offset - line_start + 1, INT_MAX) : 0;
    ech_stream_close(stream);
    ech_free(block);
}
