/* Tokens by id and by text: see vocab.h. */
#include "text/vocab.h"

#include "base/mem.h"

#include <string.h>

static uint64_t hash_of(const void *text, size_t bytes)
{
    const unsigned char *s = text;
    uint64_t h = 0x9E3779B97F4A7C15u ^ bytes;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ s[i]) * 0x100000001B3u;
    return h ^ h >> 29;
}

/* The slot of this text, or the free one where it belongs. */
static uint32_t *slot_at(const struct ech_vocab *v, const void *text, size_t bytes)
{
    size_t mask = v->slots_count - 1, slot = (size_t)hash_of(text, bytes) & mask;
    for (; v->slots[slot]; slot = (slot + 1) & mask) {
        const struct ech_vocab_entry *e = &v->entries[v->slots[slot] - 1];
        if (e->bytes == bytes && memcmp(v->text + e->start, text, bytes) == 0)
            break;
    }
    return &v->slots[slot];
}

static int widen(struct ech_vocab *v, struct ech_err *err)
{
    struct ech_vocab wider = *v;
    wider.slots_count = v->slots_count ? v->slots_count * 2 : 256;
    wider.slots = ech_calloc(wider.slots_count, sizeof *wider.slots, err);
    if (!wider.slots)
        return ECH_UNAVAILABLE;
    for (size_t i = 0; i < v->count; i++)
        *slot_at(&wider, v->text + v->entries[i].start, v->entries[i].bytes) = (uint32_t)i + 1;
    ech_free(v->slots);
    *v = wider;
    return ECH_OK;
}

void ech_vocab_fini(struct ech_vocab *v)
{
    ech_free(v->text);
    ech_free(v->entries);
    ech_free(v->slots);
    ech_free(v->by_id);
    memset(v, 0, sizeof *v);
}

static int keep_text(struct ech_vocab *v, const char *text, size_t bytes, int32_t id, struct ech_err *err)
{
    int code = ech_grow((void **)&v->text, &v->text_capacity, v->text_bytes + bytes + 1, 1, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&v->entries, &v->capacity, v->count + 1, sizeof *v->entries, err);
    if (code == ECH_OK && (v->count + 1) * 2 > v->slots_count)
        code = widen(v, err);
    if (code != ECH_OK)
        return code;
    memcpy(v->text + v->text_bytes, text, bytes);
    v->text[v->text_bytes + bytes] = '\0';
    v->entries[v->count] = (struct ech_vocab_entry){v->text_bytes, (uint32_t)bytes, id};
    v->text_bytes += bytes + 1;
    return ECH_OK;
}

int ech_vocab_add(struct ech_vocab *v, const char *text, size_t bytes, int64_t id, struct ech_err *err)
{
    if (id < 0 || id >= ECH_VOCAB_ID_MOST)
        return ech_fail(err, ECH_DATA, "token \"%.60s\" has id %lld, 0 to %d was expected", text,
                        (long long)id, ECH_VOCAB_ID_MOST - 1);
    if (bytes > UINT32_MAX / 2)
        return ech_fail(err, ECH_DATA, "token %lld has %zu bytes", (long long)id, bytes);
    int code = ech_grow((void **)&v->by_id, &v->ids_capacity, (size_t)id + 1, sizeof *v->by_id, err);
    if (code != ECH_OK)
        return code;
    for (; v->ids <= (size_t)id; v->ids++)
        v->by_id[v->ids] = -1;
    uint32_t *slot = v->slots_count ? slot_at(v, text, bytes) : NULL;
    if (slot && *slot) {
        v->entries[*slot - 1].id = (int32_t)id;
        v->by_id[id] = (int32_t)(*slot - 1);
        return ECH_OK;
    }
    code = keep_text(v, text, bytes, (int32_t)id, err);
    if (code != ECH_OK)
        return code;
    *slot_at(v, text, bytes) = (uint32_t)++v->count;
    v->by_id[id] = (int32_t)v->count - 1;
    return ECH_OK;
}

int32_t ech_vocab_find(const struct ech_vocab *v, const void *text, size_t bytes)
{
    if (!v->slots_count)
        return -1;
    uint32_t entry = *slot_at(v, text, bytes);
    return entry ? v->entries[entry - 1].id : -1;
}

const char *ech_vocab_text(const struct ech_vocab *v, int64_t id, size_t *bytes)
{
    if (id < 0 || id >= (int64_t)v->ids || v->by_id[id] < 0)
        return NULL;
    const struct ech_vocab_entry *e = &v->entries[v->by_id[id]];
    *bytes = e->bytes;
    return v->text + e->start;
}
