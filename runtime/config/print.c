/* A loaded configuration as text: YAML that loads again, JSON, and the lines of a job's identity. */
#include "config/state.h"

#include "base/io.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

static const char *origin_text(const struct ech_config *config, const struct ech_setting *setting, char *out,
                               size_t bytes)
{
    char name[160];
    switch (setting->origin) {
    case ECH_FROM_FILE:
        snprintf(out, bytes, "%s:%d", ech_path_base(config->file), setting->line);
        break;
    case ECH_FROM_ENV:
        snprintf(out, bytes, "%s", ech_schema_env_name(setting->field->path, name, sizeof name) ? name : "");
        break;
    default:
        snprintf(out, bytes, "%s", setting->origin == ECH_FROM_SET ? "--set" : "default");
    }
    /* It goes into a comment, which ends at a line break. */
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
    return out;
}

static const void *base_of(const struct ech_config *config, const struct ech_field *field)
{
    return ech_schema_is_option(field) ? config->job.options : (const void *)&config->job;
}

/* "  key: value  # origin"; a key that nobody set becomes a comment. */
static void print_setting(const struct ech_config *config, const struct ech_setting *setting, bool origins,
                          struct ech_str *out)
{
    char origin[400];
    const struct ech_field *field = setting->field;
    const char *dot = strchr(field->path, '.');
    bool none = ech_value_is_none(field, base_of(config, field));
    ech_str_addf(out, "%s%s%s:", dot ? "  " : "", none ? "# " : "", dot ? dot + 1 : field->path);
    if (!none) {
        ech_str_addc(out, ' ');
        ech_value_print(field, base_of(config, field), out);
    }
    if (none)
        ech_str_adds(out, " not given");
    if (origins && !(none && setting->origin == ECH_FROM_DEFAULT))
        ech_str_addf(out, "  # %s", origin_text(config, setting, origin, sizeof origin));
    ech_str_addc(out, '\n');
}

int ech_config_print(const struct ech_config *config, bool origins, struct ech_str *out, struct ech_err *err)
{
    const char *section = "";
    size_t length = 0;
    for (int i = 0; i < config->count; i++) {
        const char *path = config->settings[i].field->path, *dot = strchr(path, '.');
        size_t now = dot ? (size_t)(dot - path) : 0;
        if (now && (now != length || memcmp(path, section, now) != 0))
            ech_str_addf(out, "%.*s:\n", (int)now, path);
        section = path;
        length = now;
        print_setting(config, &config->settings[i], origins, out);
    }
    return ech_str_check(out, err);
}

int ech_config_print_json(const struct ech_config *config, struct ech_str *out, struct ech_err *err)
{
    char origin[400];
    ech_str_adds(out, "[\n");
    for (int i = 0; i < config->count; i++) {
        const struct ech_setting *setting = &config->settings[i];
        ech_json_key(out, "key");
        ech_json_put_str(out, setting->field->path, strlen(setting->field->path));
        ech_json_key(out, "value");
        ech_value_print_json(setting->field, base_of(config, setting->field), out);
        ech_json_add_str(out, "origin", origin_text(config, setting, origin, sizeof origin));
        ech_str_adds(out, i + 1 < config->count ? "},\n" : "}\n");
    }
    ech_str_adds(out, "]\n");
    return ech_str_check(out, err);
}

int ech_config_affecting(const struct ech_config *config, struct ech_str *out, struct ech_err *err)
{
    const struct ech_kind *kind = config->job.kind;
    ech_str_addf(out, "kind.version=%d\n", kind->version);
    for (int i = 0; i < config->count; i++) {
        const struct ech_field *field = config->settings[i].field;
        bool cache = strcmp(field->path, "precision.kv") == 0;
        if (!field->affects || (cache && !kind->as_stored))
            continue;
        ech_str_addf(out, "%s=", field->path);
        ech_value_print(field, base_of(config, field), out);
        ech_str_addc(out, '\n');
    }
    return ech_str_check(out, err);
}
