/* What a loaded configuration is inside this module: the job, and for each key where its value came from. */
#ifndef ECH_CONFIG_STATE_H
#define ECH_CONFIG_STATE_H

#include "config/config.h"
#include "config/problem.h"
#include "config/schema.h"
#include "config/value.h"

enum ech_origin { ECH_FROM_DEFAULT, ECH_FROM_FILE, ECH_FROM_ENV, ECH_FROM_SET };

struct ech_setting {
    const struct ech_field *field;
    enum ech_origin origin;
    int line, column;            /* in the file */
    const char *label;           /* "--set a=b", "ECHELON_A=b"; while loading only */
    const struct ech_node *node; /* while loading only */
    const char *word;            /* instead of the node's text; while loading only */
};

struct ech_config {
    struct ech_job job;
    char *file;
    struct ech_setting *settings; /* one a key of the schema, in its order */
    int count;
};

const struct ech_setting *ech_setting_find(const struct ech_config *config, const char *path);
bool ech_setting_given(const struct ech_config *config, const char *path);
/* A problem at the place where the key's value came from. */
void ech_setting_problem(const struct ech_setting *setting, struct ech_problems *problems, const char *fmt,
                         ...) __attribute__((format(printf, 3, 4)));

/* As ech_config_load, of a text in memory; request->path names it. */
int ech_config_load_text(const struct ech_config_request *request, const char *text, size_t bytes,
                         struct ech_config **out, struct ech_err *err);

/* Rules that join several keys; each broken one is noted. Every value has its type by now.
 * Errors  ECH_UNAVAILABLE alone: all else is a problem. */
int ech_check_job(struct ech_config *config, struct ech_problems *problems, struct ech_err *err);

#endif
