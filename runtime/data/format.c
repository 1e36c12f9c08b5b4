/* Names of the formats of import and export: see import.h. */
#include "data/import.h"

#include "base/str.h"
#include "data/stream.h"

#include <string.h>

static const char *const names[] = {"auto", "jsonl", "csv", "lines", "npy", NULL};

static const struct {
    const char *suffix;
    enum ech_format format;
    bool tabs;
} suffixes[] = {
    {".jsonl", ECH_JSONL, false}, {".ndjson", ECH_JSONL, false}, {".json", ECH_JSONL, false},
    {".csv", ECH_CSV, false},     {".tsv", ECH_CSV, true},       {".txt", ECH_LINES, false},
    {".text", ECH_LINES, false},  {".lines", ECH_LINES, false},  {".npy", ECH_NPY, false},
};

const char *ech_format_name(enum ech_format format)
{
    return names[format];
}

int ech_format_parse(const char *name, enum ech_format *out, struct ech_err *err)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum ech_format)i;
            return ECH_OK;
        }
    const char *nearest = ech_nearest(name, names);
    return ech_fail(err, ECH_USAGE, "no such format \"%s\"%s%s%s; the formats are jsonl, csv, lines and npy",
                    name, nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

int ech_format_of_name(const char *path, enum ech_format *out, bool *tabs, struct ech_err *err)
{
    size_t stem;
    ech_codec_of_name(path, &stem);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t length = strlen(suffixes[i].suffix);
        if (stem > length && memcmp(path + stem - length, suffixes[i].suffix, length) == 0) {
            *out = suffixes[i].format;
            *tabs = suffixes[i].tabs;
            return ECH_OK;
        }
    }
    return ech_fail(
        err, ECH_USAGE,
        "the name of %s does not tell its format (.jsonl, .csv, .tsv, .txt or .npy, also with .gz or "
        ".zst): name it with --format",
        path);
}
