/* A cluster as text: YAML that loads again, JSON, the commented reference file and the JSON Schema. */
#include "config/cluster_schema.h"

#include "base/json.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

static void print_fields(const struct ech_field *f, const void *base, const char *indent, struct ech_str *out)
{
    for (; f->path; f++) {
        bool none = ech_value_is_none(f, base) || (f->type == ECH_F_INT && strcmp(f->path, "count") == 0 &&
                                                   ((const struct ech_node_class *)base)->hosts.count > 0);
        if (none)
            continue;
        ech_str_addf(out, "%s%s: ", indent, f->path);
        ech_value_print(f, base, out);
        ech_str_addc(out, '\n');
    }
}

int ech_cluster_print(const struct ech_cluster *cluster, struct ech_str *out, struct ech_err *err)
{
    print_fields(ech_cluster_fields, cluster, "", out);
    ech_str_adds(out, "classes:\n");
    for (int i = 0; i < cluster->classes_count; i++) {
        ech_str_addf(out, "  ");
        ech_value_print_text(cluster->classes[i].name, out);
        ech_str_adds(out, ":\n");
        print_fields(ech_node_class_fields, &cluster->classes[i], "    ", out);
    }
    return ech_str_check(out, err);
}

static void add_fields(const struct ech_field *f, const void *base, struct ech_str *out)
{
    for (; f->path; f++) {
        ech_json_key(out, f->path);
        ech_value_print_json(f, base, out);
    }
}

int ech_cluster_print_json(const struct ech_cluster *cluster, struct ech_str *out, struct ech_err *err)
{
    add_fields(ech_cluster_fields, cluster, out);
    ech_json_key(out, "classes");
    ech_str_addc(out, '[');
    for (int i = 0; i < cluster->classes_count; i++) {
        ech_str_adds(out, i ? "," : "");
        ech_json_add_str(out, "name", cluster->classes[i].name);
        add_fields(ech_node_class_fields, &cluster->classes[i], out);
        ech_str_addc(out, '}');
    }
    ech_str_adds(out, "]}\n");
    return ech_str_check(out, err);
}

/* --- the reference file --- */

static void put_fields(const struct ech_field *f, const char *indent, struct ech_str *out)
{
    char expected[256];
    for (; f->path; f++) {
        bool live = f->fallback || strcmp(f->path, "hosts") == 0;
        const char *value = f->fallback ? f->fallback : f->example;
        ech_str_addf(out, "%s# %s.\n%s#   %s\n%s%s%s: ", indent, f->doc, indent,
                     ech_value_expected(f, expected, sizeof expected), indent, live ? "" : "# ", f->path);
        if (f->type == ECH_F_LIST && value[0] == '[')
            ech_str_adds(out, value);
        else
            ech_value_print_text(value, out);
        ech_str_addc(out, '\n');
    }
}

int ech_cluster_reference(struct ech_str *out, struct ech_err *err)
{
    ech_str_adds(out,
                 "# All keys of a cluster file, with their defaults. Made from the schema: `echelon config "
                 "reference --cluster`.\n# A key without default is commented out.\n\n");
    put_fields(ech_cluster_fields, "", out);
    ech_str_adds(out, "\n# Classes of nodes that are alike, by a name of your own.\nclasses:\n  fast:\n");
    put_fields(ech_node_class_fields, "    ", out);
    return ech_str_check(out, err);
}

/* --- JSON Schema --- */

static const char *shape(enum ech_ftype type)
{
    switch (type) {
    case ECH_F_LIST:
        return "\"type\":[\"array\",\"string\",\"number\",\"null\"],\"items\":{\"type\":[\"string\","
               "\"number\"]}";
    case ECH_F_INT:
    case ECH_F_AUTO:
        return "\"type\":[\"integer\",\"string\",\"null\"],\"pattern\":\"^(auto|[0-9]+)$\"";
    case ECH_F_FLOAT:
        return "\"type\":[\"number\",\"string\",\"null\"],\"pattern\":\"^[-+0-9.eE]+$\"";
    case ECH_F_BYTES:
        return "\"type\":[\"integer\",\"string\",\"null\"],\"pattern\":\"^[0-9.]+ "
               "*([kKmMgGtT](i?[bB])?|[bB])?$\"";
    default:
        return "\"type\":[\"string\",\"number\",\"null\"]";
    }
}

static void put_schema(const struct ech_field *f, struct ech_str *out)
{
    for (; f->path; f++) {
        ech_json_key(out, f->path);
        ech_str_addf(out, "{%s", shape(f->type));
        if (f->most > 0)
            ech_str_addf(out, ",\"minimum\":%d,\"maximum\":%.17g", f->type == ECH_F_AUTO, f->most);
        ech_json_add_str(out, "description", f->doc);
        ech_str_addc(out, '}');
    }
}

int ech_cluster_schema_json(struct ech_str *out, struct ech_err *err)
{
    ech_str_adds(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"");
    ech_json_add_str(out, "title", "echelon cluster");
    ech_str_adds(out, ",\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"classes\"],"
                      "\"properties\":{");
    put_schema(ech_cluster_fields, out);
    ech_json_key(out, "classes");
    ech_str_adds(out,
                 "{\"type\":\"object\",\"minProperties\":1,\"additionalProperties\":{\"type\":\"object\","
                 "\"additionalProperties\":false,\"properties\":{");
    put_schema(ech_node_class_fields, out);
    ech_str_adds(out, "}}}}}\n");
    return ech_str_check(out, err);
}
