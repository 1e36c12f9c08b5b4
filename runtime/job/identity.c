/* A run's identity as named parts: building, saving, loading, comparing. Files are hashed in files_hash.c. */
#include "job/identity.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

enum { FILE_MOST = 16 << 20, QUOTED = 80, QUOTES_MOST = 6 };

void ech_identity_fini(struct ech_identity *identity)
{
    for (size_t i = 0; i < identity->count; i++) {
        ech_free(identity->parts[i].name);
        ech_free(identity->parts[i].value);
    }
    ech_free(identity->parts);
    *identity = (struct ech_identity){0};
}

static const char *value_of(const struct ech_identity *identity, const char *name)
{
    for (size_t i = 0; i < identity->count; i++)
        if (strcmp(identity->parts[i].name, name) == 0)
            return identity->parts[i].value;
    return NULL;
}

/* Bytes that are not UTF-8 (a path may hold them) become \xHH: the file is JSON and must give them back. */
static char *as_utf8(const char *text, struct ech_err *err)
{
    struct ech_str s;
    ech_str_init(&s);
    size_t bytes = strlen(text);
    int64_t bad;
    while ((bad = ech_utf8_invalid_at(text, bytes)) >= 0) {
        ech_str_add(&s, text, (size_t)bad);
        ech_str_addf(&s, "\\x%02x", (unsigned char)text[bad]);
        text += bad + 1;
        bytes -= (size_t)bad + 1;
    }
    ech_str_add(&s, text, bytes);
    return ech_str_take(&s, err);
}

int ech_identity_add(struct ech_identity *identity, const char *name, const char *value, struct ech_err *err)
{
    if (value_of(identity, name))
        return ech_fail(err, ECH_BUG, "identity: the part \"%s\" is given twice", name);
    int code = ech_grow((void **)&identity->parts, &identity->capacity, identity->count + 1,
                        sizeof *identity->parts, err);
    if (code != ECH_OK)
        return code;
    struct ech_identity_part part = {as_utf8(name, err), NULL};
    part.value = part.name ? as_utf8(value, err) : NULL;
    if (!part.value) {
        ech_free(part.name);
        return ECH_UNAVAILABLE;
    }
    identity->parts[identity->count++] = part;
    return ECH_OK;
}

struct ech_hash ech_identity_hash(const struct ech_identity *identity)
{
    struct ech_hash h = {0, 0};
    for (size_t i = 0; i < identity->count; i++) {
        ech_hash_add_str(&h, identity->parts[i].name);
        ech_hash_add_str(&h, identity->parts[i].value);
    }
    return h;
}

int ech_identity_save(const char *path, const struct ech_identity *identity, struct ech_err *err)
{
    struct ech_str s;
    ech_str_init(&s);
    ech_str_addc(&s, '[');
    for (size_t i = 0; i < identity->count; i++) {
        ech_str_adds(&s, i ? ",\n" : "\n");
        ech_json_add_str(&s, "name", identity->parts[i].name);
        ech_json_add_str(&s, "value", identity->parts[i].value);
        ech_str_addc(&s, '}');
    }
    ech_str_adds(&s, "\n]\n");
    int code = ech_str_check(&s, err);
    if (code == ECH_OK)
        code = ech_write_file(path, s.data, s.length, err);
    ech_str_fini(&s);
    return code;
}

static int load_part(const char *path, size_t number, const json_t *item, struct ech_identity *identity,
                     struct ech_err *err)
{
    const char *name = NULL, *value = NULL;
    char where[64];
    snprintf(where, sizeof where, "part %zu", number + 1);
    if (!json_is_object(item))
        return ech_fail(err, ECH_DATA, "%s: %s is not an object with a name and a value", path, where);
    int code = ech_json_get_str(item, where, "name", true, &name, err);
    if (code == ECH_OK)
        code = ech_json_get_str(item, where, "value", true, &value, err);
    if (code == ECH_OK && value_of(identity, name))
        code = ech_fail(err, ECH_DATA, "the name \"%s\" is there twice", name);
    if (code == ECH_OK)
        return ech_identity_add(identity, name, value, err);
    ech_prefix(err, "%s", path);
    return code;
}

int ech_identity_load(const char *path, struct ech_identity *out, struct ech_err *err)
{
    json_t *root, *item;
    size_t number;
    struct ech_identity identity = {0};
    int code = ech_json_load(path, FILE_MOST, &root, err);
    if (code != ECH_OK)
        return code;
    if (!json_is_array(root))
        code = ech_fail(err, ECH_DATA, "%s is not a list of named parts: is this a run directory?", path);
    json_array_foreach(root, number, item)
    {
        if (code == ECH_OK)
            code = load_part(path, number, item, &identity, err);
    }
    json_decref(root);
    if (code == ECH_OK)
        *out = identity;
    else
        ech_identity_fini(&identity);
    return code;
}

/* A value for a message: long ones are cut at a character's start. */
static void quote(struct ech_str *s, const char *value)
{
    size_t bytes = strlen(value), cut = QUOTED;
    if (bytes <= QUOTED) {
        ech_str_adds(s, value);
        return;
    }
    while (cut > 0 && ((unsigned char)value[cut] & 0xC0) == 0x80)
        cut--;
    ech_str_add(s, value, cut);
    ech_str_adds(s, "...");
}

/* One difference; beyond the first few the name alone, so that all fit into one message. */
static void tell(struct ech_str *s, int *told, const char *name, const char *saved, const char *now)
{
    ech_str_adds(s, *told ? "; " : "this run was started ");
    if ((*told)++ >= QUOTES_MOST) {
        ech_str_addf(s, "%s differs", name);
        return;
    }
    ech_str_addf(s, saved ? "with %s = " : "without %s", name);
    if (saved)
        quote(s, saved);
    ech_str_adds(s, now ? ", now it is " : ", now it has none");
    if (now)
        quote(s, now);
}

int ech_identity_compare(const struct ech_identity *saved, const struct ech_identity *now,
                         struct ech_err *err)
{
    struct ech_str s;
    int told = 0;
    ech_str_init(&s);
    for (size_t i = 0; i < saved->count; i++) {
        const struct ech_identity_part *part = &saved->parts[i];
        const char *value = value_of(now, part->name);
        if (!value || strcmp(value, part->value) != 0)
            tell(&s, &told, part->name, part->value, value);
    }
    for (size_t i = 0; i < now->count; i++)
        if (!value_of(saved, now->parts[i].name))
            tell(&s, &told, now->parts[i].name, NULL, now->parts[i].value);
    int code = ech_str_check(&s, err);
    if (code == ECH_OK && told > 0)
        code = ech_fail(err, ECH_CONFIG, "%s: set this back, or start a new run", s.data);
    ech_str_fini(&s);
    return code;
}
