/* The table of all keys, and what surrounds it: sections, keys that come later, environment names. */
#ifndef ECH_CONFIG_SCHEMA_H
#define ECH_CONFIG_SCHEMA_H

#include "base/str.h"
#include "config/job.h"

/* Keys in the order of the reference file: the job's own, with the kind's options in their midst.
 * kind NULL: the job's own alone. */
int ech_schema_count(const struct ech_kind *kind);
const struct ech_field *ech_schema_at(const struct ech_kind *kind, int index);
/* Index of a path, -1 where there is no such key. */
int ech_schema_find(const struct ech_kind *kind, const char *path);
/* Struct that the field's offset counts from. */
void *ech_schema_base(struct ech_job *job, const struct ech_field *field);
bool ech_schema_is_option(const struct ech_field *field);

/* True where keys lie below `path` ("resources"); "options" is one always. */
bool ech_schema_is_section(const char *path);
/* One line about a section, for the reference file and the JSON Schema; NULL: no section. */
const char *ech_schema_section_doc(const char *section);

/* Sections that one word may stand for: the words, for messages (NULL: none), and what a word means for a key
 * below ("precision", "int4", "compute": "int8"; NULL: not one of the words). */
const char *ech_schema_words(const char *section);
const char *ech_schema_word(const char *section, const char *word, const char *key);

/* Key that a single value in place of a section stands for ("model": "model.path"); NULL: none. */
const char *ech_schema_scalar(const char *section);

/* Keys and values of the design that this version does not have; NULL: none such. The text ends a sentence
 * ("steps: ..."). */
const char *ech_schema_later_key(const char *path);
const char *ech_schema_later_value(const char *path, const char *value);

/* What a user may have meant by an unknown path: the nearest path, or the path that ends in that word, or
 * near it. NULL: nothing is near. */
const char *ech_schema_nearest(const struct ech_kind *kind, const char *path);

/* Another kind that has an option of this name, or NULL. */
const struct ech_kind *ech_schema_other_kind(const struct ech_kind *kind, const char *path);

/* "resources.threads" <-> "ECHELON_RESOURCES__THREADS". The buffer bounds both; false: does not fit. */
bool ech_schema_env_name(const char *path, char *out, size_t bytes);
bool ech_schema_env_path(const char *name, char *out, size_t bytes);
/* ECHELON_ names that are not keys of a job. */
bool ech_schema_env_other(const char *name);

#endif
