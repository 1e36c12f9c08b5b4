/* Where values came from: see state.h. */
#include "config/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct ech_setting *ech_setting_find(const struct ech_config *config, const char *path)
{
    for (int i = 0; i < config->count; i++)
        if (strcmp(config->settings[i].field->path, path) == 0)
            return &config->settings[i];
    ech_bug(__FILE__, __LINE__, "known path", "no key %s", path);
}

bool ech_setting_given(const struct ech_config *config, const char *path)
{
    return ech_setting_find(config, path)->origin != ECH_FROM_DEFAULT;
}

void ech_setting_problem(const struct ech_setting *setting, struct ech_problems *problems, const char *fmt,
                         ...)
{
    char text[sizeof problems->items[0].text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (setting->label)
        ech_problem_add(problems, 0, 0, "%s%.120s%s: %s", setting->origin == ECH_FROM_SET ? "--set " : "",
                        setting->label, strlen(setting->label) > 120 ? "..." : "", text);
    else
        ech_problem_add(problems, setting->line, setting->column, "%s", text);
}
