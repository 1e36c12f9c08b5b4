/* Dealing files and covering rows: see seal_cover.h. */
#include "job/seal_cover.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

struct sized {
    int64_t bytes;
    int32_t file;
};

static int larger_first(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->file < y->file ? -1 : x->file > y->file;
}

struct load {
    int64_t bytes;
    int32_t rank;
};

static bool lighter(const struct load *a, const struct load *b)
{
    return a->bytes != b->bytes ? a->bytes < b->bytes : a->rank < b->rank;
}

/* The root of the heap has grown heavier: let it sink. */
static void sink(struct load *heap, int32_t count)
{
    for (int32_t at = 0;;) {
        int32_t least = at;
        for (int32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (lighter(&heap[child], &heap[least]))
                least = child;
        if (least == at)
            return;
        struct load other = heap[at];
        heap[at] = heap[least];
        heap[least] = other;
        at = least;
    }
}

int ech_deal_files(const int64_t *bytes, int32_t files, int size, int32_t *owner, struct ech_err *err)
{
    struct sized *order = ech_calloc((size_t)files, sizeof *order, err);
    struct load *heap = ech_calloc((size_t)size, sizeof *heap, err);
    int code = order && heap ? ECH_OK : ECH_UNAVAILABLE;
    for (int32_t rank = 0; heap && rank < size; rank++)
        heap[rank].rank = rank; /* all empty, in order: a heap */
    for (int32_t file = 0; order && file < files; file++)
        order[file] = (struct sized){bytes[file], file};
    if (code == ECH_OK)
        qsort(order, (size_t)files, sizeof *order, larger_first);
    for (int32_t i = 0; code == ECH_OK && i < files; i++) {
        owner[order[i].file] = heap[0].rank;
        heap[0].bytes += order[i].bytes;
        sink(heap, size);
    }
    ech_free(order);
    ech_free(heap);
    return code;
}

/* Which of two records counts where both hold a row. */
static int preferred(const struct ech_spool_entry *a, const struct ech_spool_entry *b)
{
    if (a->attempt != b->attempt)
        return a->attempt < b->attempt ? -1 : 1;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int by_first(const void *a, const void *b)
{
    const struct ech_spool_entry *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return preferred(x, y);
}

void ech_spool_index_sort(struct ech_spool_index *index)
{
    if (index->count > 1)
        qsort(index->entries, index->count, sizeof *index->entries, by_first);
}

void ech_cover_fini(struct ech_cover *cover)
{
    ech_free(cover->pieces);
    *cover = (struct ech_cover){0};
}

/* Records that reach over the row the sweep stands at (and ended ones not yet at the root), best first. */
struct active {
    const struct ech_spool_entry *entries;
    size_t *heap, count, capacity;
};

static bool better(const struct active *a, size_t x, size_t y)
{
    return preferred(&a->entries[a->heap[x]], &a->entries[a->heap[y]]) < 0;
}

static void swap(struct active *a, size_t x, size_t y)
{
    size_t held = a->heap[x];
    a->heap[x] = a->heap[y];
    a->heap[y] = held;
}

static int push(struct active *a, size_t entry, struct ech_err *err)
{
    int code = ech_grow((void **)&a->heap, &a->capacity, a->count + 1, sizeof *a->heap, err);
    if (code != ECH_OK)
        return code;
    size_t at = a->count++;
    a->heap[at] = entry;
    for (; at > 0 && better(a, at, (at - 1) / 2); at = (at - 1) / 2)
        swap(a, at, (at - 1) / 2);
    return ECH_OK;
}

static void pop(struct active *a)
{
    a->heap[0] = a->heap[--a->count];
    for (size_t at = 0;;) {
        size_t best = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < a->count; child++)
            if (better(a, child, best))
                best = child;
        if (best == at)
            return;
        swap(a, at, best);
        at = best;
    }
}

static int64_t end_of(const struct ech_spool_entry *entry)
{
    return entry->first + entry->rows;
}

static int add_piece(struct ech_cover *cover, struct ech_piece piece, struct ech_err *err)
{
    struct ech_piece *last = cover->count ? &cover->pieces[cover->count - 1] : NULL;
    if (last && last->entry == piece.entry) {
        last->rows += piece.rows;
        return ECH_OK;
    }
    int code = ech_grow((void **)&cover->pieces, &cover->capacity, cover->count + 1, sizeof piece, err);
    if (code == ECH_OK)
        cover->pieces[cover->count++] = piece;
    return code;
}

/* Take in the records that begin at or before `row`; *next is the first that does not. */
static int take_in(struct active *a, const struct ech_spool_index *index, int64_t row, size_t *next,
                   struct ech_err *err)
{
    int code = ECH_OK;
    for (; code == ECH_OK && *next < index->count && index->entries[*next].first <= row; ++*next)
        if (end_of(&index->entries[*next]) > row)
            code = push(a, *next, err);
    while (code == ECH_OK && a->count > 0 && end_of(&a->entries[a->heap[0]]) <= row)
        pop(a);
    return code;
}

int ech_cover_rows(const struct ech_spool_index *index, int64_t first, int64_t end, struct ech_cover *out,
                   struct ech_err *err)
{
    struct active active = {.entries = index->entries};
    struct ech_cover cover = {0};
    size_t next = 0;
    int code = ECH_OK;
    for (int64_t row = first, stop; code == ECH_OK && row < end; row = stop) {
        stop = end;
        code = take_in(&active, index, row, &next, err);
        if (code == ECH_OK && active.count == 0)
            code = ech_fail(err, ECH_DATA, "row %" PRId64 " is in no spool record: resume the run", row);
        if (code != ECH_OK)
            break;
        const struct ech_spool_entry *entry = &index->entries[active.heap[0]];
        if (end_of(entry) < stop)
            stop = end_of(entry);
        if (next < index->count && index->entries[next].first < stop)
            stop = index->entries[next].first;
        code = add_piece(&cover, (struct ech_piece){row, stop - row, active.heap[0]}, err);
    }
    ech_free(active.heap);
    if (code == ECH_OK)
        *out = cover;
    else
        ech_cover_fini(&cover);
    return code;
}
