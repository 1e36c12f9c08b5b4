/* The schema as a JSON Schema (draft 2020-12) for editors. Editors read YAML by its own rules, so a text may
 * also look like a number or a truth value to them. */
#include "config/config.h"

#include "base/json.h"
#include "config/schema.h"
#include "config/steps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const shapes[] = {
    [ECH_F_STRING] = "\"type\":[\"string\",\"number\",\"boolean\",\"null\"]",
    [ECH_F_PATH] = "\"type\":[\"string\",\"number\",\"null\"],\"minLength\":1",
    [ECH_F_INT] = "\"type\":[\"integer\",\"string\",\"null\"],\"pattern\":\"^[+-]?[0-9]+$\"",
    [ECH_F_FLOAT] = "\"type\":[\"number\",\"string\",\"null\"],\"pattern\":\"^[-+0-9.eE]+$\"",
    [ECH_F_BOOL] = "\"type\":[\"boolean\",\"string\",\"null\"],"
                   "\"pattern\":\"^([Tt]rue|[Ff]alse|[Yy]es|[Nn]o|[Oo]n|[Oo]ff)$\"",
    [ECH_F_TIME] = "\"type\":[\"number\",\"string\",\"null\"],"
                   "\"pattern\":\"^([0-9.]+ *(s|ms|m|min|h|d)?|([0-9]+-)?[0-9]+(:[0-9]+){1,2})$\"",
    [ECH_F_BYTES] = "\"type\":[\"integer\",\"string\",\"null\"],"
                    "\"pattern\":\"^[0-9.]+ *([kKmMgGtT](i?[bB])?|[bB])?$\"",
    [ECH_F_AUTO] = "\"type\":[\"integer\",\"string\",\"null\"],\"pattern\":\"^(auto|[+]?[0-9]+)$\"",
    [ECH_F_LIST] = "\"type\":[\"array\",\"string\",\"number\",\"boolean\",\"null\"],"
                   "\"items\":{\"type\":[\"string\",\"number\",\"boolean\"]}",
};

static void put_choices(const struct ech_field *field, struct ech_str *out)
{
    bool truth = false;
    ech_str_adds(out, "\"enum\":[");
    for (int i = 0; field->choices[i]; i++) {
        ech_str_adds(out, i ? "," : "");
        ech_json_put_str(out, field->choices[i], strlen(field->choices[i]));
        truth = truth || strcmp(field->choices[i], "yes") == 0;
    }
    ech_str_adds(out, truth ? ",true,false,null]" : ",null]");
}

static void put_limits(const struct ech_field *field, struct ech_str *out)
{
    bool number = field->type == ECH_F_INT || field->type == ECH_F_FLOAT || field->type == ECH_F_TIME ||
                  field->type == ECH_F_BYTES || field->type == ECH_F_AUTO;
    if (!number)
        return;
    double least = field->type == ECH_F_AUTO && field->least < 1 ? 1 : field->least;
    ech_str_addf(out, ",\"minimum\":%.17g", least);
    if (field->most > 0)
        ech_str_addf(out, ",\"maximum\":%.17g", field->most);
}

/* The default as the JSON type that an editor would write. */
static void put_default(const struct ech_field *field, struct ech_str *out)
{
    if (!field->fallback)
        return;
    ech_json_key(out, "default");
    bool bare = field->type == ECH_F_INT || field->type == ECH_F_FLOAT || field->type == ECH_F_BOOL;
    if (bare)
        ech_str_adds(out, field->fallback);
    else
        ech_json_put_str(out, field->fallback, strlen(field->fallback));
}

static void put_field(const struct ech_field *field, struct ech_str *out)
{
    const char *dot = strchr(field->path, '.');
    ech_json_key(out, dot ? dot + 1 : field->path);
    ech_str_addc(out, '{');
    if (strcmp(field->path, "kind") == 0) {
        ech_str_adds(out, "\"enum\":[");
        for (const struct ech_kind *const *kind = ech_kinds(); *kind; kind++) {
            ech_str_adds(out, kind == ech_kinds() ? "" : ",");
            ech_json_put_str(out, (*kind)->name, strlen((*kind)->name));
        }
        ech_str_addc(out, ']');
    } else if (field->type == ECH_F_CHOICE)
        put_choices(field, out);
    else
        ech_str_adds(out, shapes[field->type]);
    put_limits(field, out);
    put_default(field, out);
    ech_json_add_str(out, "description", field->doc);
    ech_str_addc(out, '}');
}

/* "type": "object" with the fields from..to of a kind, of which some are required. */
static void put_object(const struct ech_kind *kind, const char *section, const char *doc, struct ech_str *out)
{
    size_t length = strlen(section);
    bool any = false;
    const char *words = ech_schema_words(section);
    ech_str_addf(out, "{\"type\":[\"object\",%s\"null\"],\"additionalProperties\":false",
                 words || ech_schema_scalar(section) ? "\"string\"," : "");
    if (words) {
        ech_str_adds(out, ",\"pattern\":\"^(");
        for (const char *p = words; *p; p++)
            if (*p != ' ')
                ech_str_addc(out, *p == ',' ? '|' : *p);
        ech_str_adds(out, ")$\"");
    }
    if (doc)
        ech_json_add_str(out, "description", doc);
    ech_str_adds(out, ",\"properties\":{");
    for (int i = 0; i < ech_schema_count(kind); i++) {
        const struct ech_field *field = ech_schema_at(kind, i);
        if (strncmp(field->path, section, length) == 0 && field->path[length] == '.')
            put_field(field, out);
    }
    ech_str_adds(out, "}");
    for (int i = 0; i < ech_schema_count(kind); i++) {
        const struct ech_field *field = ech_schema_at(kind, i);
        if (!field->required || strncmp(field->path, section, length) != 0 || field->path[length] != '.')
            continue;
        ech_str_adds(out, any ? "," : ",\"required\":[");
        ech_json_put_str(out, field->path + length + 1, strlen(field->path) - length - 1);
        any = true;
    }
    ech_str_adds(out, any ? "]}" : "}");
}

/* if kind is X then the options are X's. */
static void put_kinds(struct ech_str *out)
{
    ech_str_adds(out, ",\"allOf\":[");
    for (const struct ech_kind *const *kind = ech_kinds(); *kind; kind++) {
        ech_str_adds(out, kind == ech_kinds() ? "{\"if\":" : ",{\"if\":");
        ech_str_adds(out, "{\"properties\":{\"kind\":{\"const\":");
        ech_json_put_str(out, (*kind)->name, strlen((*kind)->name));
        ech_str_adds(out, "}}},\"then\":{\"properties\":{\"options\":");
        put_object(*kind, "options", (*kind)->summary, out);
        ech_str_adds(out, "}");
        if ((*kind)->needs_model)
            ech_str_adds(out, ",\"required\":[\"model\"]");
        ech_str_adds(out, "}}");
    }
    ech_str_addc(out, ']');
}

/* A step's own keys are checked when it is loaded: what it must have may stand beside `steps`. */
static void put_steps(struct ech_str *out)
{
    ech_json_key(out, "steps");
    ech_str_addf(out, "{\"type\":\"array\",\"minItems\":1,\"maxItems\":%d", ECH_STEPS_MOST);
    ech_json_add_str(out, "description",
                     "Jobs with a name each, run in the order of after; keys beside steps are those of all");
    ech_str_adds(out, ",\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{"
                      "\"type\":[\"string\",\"number\"]},\"after\":{\"type\":[\"array\",\"string\",\"null\"],"
                      "\"items\":{\"type\":\"string\"}}}}}");
}

int ech_config_schema_json(struct ech_str *out, struct ech_err *err)
{
    const char *last = "";
    ech_str_adds(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"");
    ech_json_add_str(out, "title", "echelon job");
    ech_str_adds(out, ",\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (int i = 0; i < ech_schema_count(NULL); i++) {
        const struct ech_field *field = ech_schema_at(NULL, i);
        const char *dot = strchr(field->path, '.');
        char section[64];
        snprintf(section, sizeof section, "%.*s", dot ? (int)(dot - field->path) : 0, field->path);
        if (!dot)
            put_field(field, out);
        else if (strncmp(last, section, strlen(section)) != 0) {
            ech_json_key(out, section);
            put_object(NULL, section, ech_schema_section_doc(section), out);
        }
        last = field->path;
    }
    ech_json_key(out, "options");
    ech_str_adds(out, "{}");
    put_steps(out);
    ech_str_adds(
        out, "},\"if\":{\"not\":{\"required\":[\"steps\"]}},\"then\":{\"required\":[\"kind\",\"output\"]");
    put_kinds(out);
    ech_str_adds(out, "}}\n");
    return ech_str_check(out, err);
}
