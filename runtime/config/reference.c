/* configs/reference.yaml: every key with its meaning, limits and default, made from the table. It loads: the
 * options of one kind are live, those of the others are comments. */
#include "config/config.h"

#include "config/schema.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

static const char intro[] =
    "# All keys of a job file, with their defaults. Made from the schema: `echelon config reference`.\n"
    "# A key without default is commented out. Every value can also be given as --set resources.threads=2\n"
    "# or as ECHELON_RESOURCES__THREADS=2; --set wins over the environment, that over the file, the file "
    "over\n"
    "# the default. An empty value takes a key back to its default. Keys that affect the result are part of "
    "the\n"
    "# job's identity: a resume refuses other values.\n";

static void put_doc(const struct ech_field *field, const char *indent, struct ech_str *out)
{
    char expected[256];
    ech_value_expected(field, expected, sizeof expected);
    ech_str_addf(out, "%s# %s.\n%s#   %s%s%s\n", indent, field->doc, indent,
                 field->required ? "required: " : "", expected, field->affects ? "; affects the result" : "");
}

/* The written value: default, or the example of a key that must be there. */
static void put_field(const struct ech_field *field, bool comment, const char *indent, struct ech_str *out)
{
    const char *dot = strchr(field->path, '.'), *key = dot ? dot + 1 : field->path;
    bool live = field->fallback || field->required;
    put_doc(field, indent, out);
    ech_str_addf(out, "%s%s%s:", indent, comment || !live ? "# " : "", key);
    const char *value = field->fallback ? field->fallback : field->example;
    if (value) {
        ech_str_addc(out, ' ');
        if (field->type == ECH_F_LIST)
            ech_str_adds(out, value);
        else
            ech_value_print_text(value, out);
    }
    ech_str_addc(out, '\n');
}

static void put_other_kinds(const struct ech_kind *live, struct ech_str *out)
{
    for (const struct ech_kind *const *kind = ech_kinds(); *kind; kind++) {
        if (*kind == live)
            continue;
        ech_str_addf(out, "# options:              # of kind %s: %s\n", (*kind)->name, (*kind)->summary);
        for (const struct ech_field *field = (*kind)->options; field->path; field++)
            put_field(field, true, "  ", out);
    }
}

static void put_section(const char *path, size_t length, const struct ech_kind *kind, struct ech_str *out)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, path);
    const char *doc = ech_schema_section_doc(name);
    if (strcmp(name, "options") == 0)
        ech_str_addf(out, "\n# %s (here %s: %s).\n%s:\n", doc, kind->name, kind->summary, name);
    else
        ech_str_addf(out, "\n# %s.\n%s:\n", doc, name);
}

static bool is_live(const struct ech_field *field, const struct ech_kind *kind)
{
    return field->required || field->fallback ||
           (kind->needs_model && strcmp(field->path, "model.path") == 0) ||
           (kind->needs_input && strcmp(field->path, "input.dataset") == 0);
}

int ech_config_reference(struct ech_str *out, struct ech_err *err)
{
    const struct ech_kind *kind = ech_kinds()[0];
    size_t length = 0;
    const char *section = "";
    ech_str_adds(out, intro);
    for (int i = 0; i < ech_schema_count(kind); i++) {
        struct ech_field field = *ech_schema_at(kind, i);
        const char *dot = strchr(field.path, '.');
        size_t now = dot ? (size_t)(dot - field.path) : 0;
        bool changes = now != length || memcmp(field.path, section, now) != 0;
        if (changes && length && strncmp(section, "options.", 8) == 0)
            put_other_kinds(kind, out);
        if (changes && now)
            put_section(field.path, now, kind, out);
        else if (!now)
            ech_str_addc(out, '\n');
        section = field.path;
        length = now;
        field.required = is_live(&field, kind) && !field.fallback;
        put_field(&field, false, now ? "  " : "", out);
    }
    return ech_str_check(out, err);
}
