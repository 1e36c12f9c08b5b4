/* From YAML, environment and --set to typed structs, with the origin of every value.
 * Precedence: --set > environment > file > default. Environment: ECHELON_RESOURCES__THREADS=2 sets
 * resources.threads ("__" between levels, upper case). */
#ifndef ECH_CONFIG_CONFIG_H
#define ECH_CONFIG_CONFIG_H

#include "base/hash.h"
#include "base/str.h"
#include "config/job.h"

struct ech_config;

struct ech_config_request {
    const char *path;        /* job file; "-" is standard input */
    const char *const *sets; /* "key=value" each, NULL-terminated; may be NULL. List: "[a, b]" as in YAML */
    const char *const *env;  /* "NAME=value" each, NULL-terminated (environ); NULL: none is read */
    bool saved;              /* a run directory's job.yaml: paths are absolute, no environment */
    const char *step;        /* the step of a file with `steps:` (steps.h); NULL: the file is one job */
};

/* Parse and check everything: unknown keys (nearest name), types, ranges, required ones, options of the kind,
 * keys that come later (steps, cluster, ...: said so). Errors: ECH_NOINPUT, ECH_CONFIG with
 * file:line:column; all of them are listed in the text, the first decides the position. */
int ech_config_load(const struct ech_config_request *request, struct ech_config **out, struct ech_err *err);
void ech_config_destroy(struct ech_config *config);
const struct ech_job *ech_config_job(const struct ech_config *config); /* borrowed */

/* Somebody set the key (a path of the schema): it is not at its default. */
bool ech_config_given(const struct ech_config *config, const char *path);

/* Effective values as YAML that loads again; with origins: a comment behind each ("# default",
 * "# job.yaml:12", "# --set", "# ECHELON_..."). */
int ech_config_print(const struct ech_config *config, bool origins, struct ech_str *out, struct ech_err *err);
/* The same as JSON: [{key, value, origin}] (report, config show --json). */
int ech_config_print_json(const struct ech_config *config, struct ech_str *out, struct ech_err *err);
/* The options that affect the result, "key=value" a line in the order of the schema: compared line by line
 * on resume, hashed into the identity. */
int ech_config_affecting(const struct ech_config *config, struct ech_str *out, struct ech_err *err);

/* The whole schema as a JSON Schema (draft 2020-12) and as the commented reference file. */
int ech_config_schema_json(struct ech_str *out, struct ech_err *err);
int ech_config_reference(struct ech_str *out, struct ech_err *err);

#endif
