/* Which format a path holds: by what the files' first bytes say, not by their names. */
#include "model/weights_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { HEAD = 512, CONFIG_MOST = 1 << 22, ENTRIES_MOST = 4096 };
static const char single[] = "model.safetensors", index_name[] = "model.safetensors.index.json",
                  adapter_config[] = "adapter_config.json";

static uint64_t u64_at(const unsigned char *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static bool is_safetensors(const unsigned char *head, size_t bytes)
{
    return bytes > 9 && u64_at(head) <= 100000000 && head[8] == '{';
}

static bool is_gguf(const unsigned char *head, size_t bytes)
{
    return bytes >= 8 && memcmp(head, "GGUF", 4) == 0;
}

/* Version 1, and a first record whose name and number of dimensions are small. */
static bool is_marian(const unsigned char *head, size_t bytes)
{
    return bytes >= 48 && u64_at(head) == 1 && u64_at(head + 16) < 4096 && u64_at(head + 24) < 1 << 16 &&
           u64_at(head + 32) <= ECH_TENSOR_DIMS;
}

/* A version, then a word of letters with its NUL. */
static bool is_ct2(const unsigned char *head, size_t bytes)
{
    if (bytes < 16 || head[0] < 1 || head[0] > 32 || head[1] || head[2] || head[3] || head[5])
        return false;
    size_t length = head[4];
    if (length < 2 || length > 128 || length + 6 > bytes || head[6 + length - 1] != '\0')
        return false;
    for (size_t i = 0; i + 1 < length; i++)
        if (head[6 + i] < '0' || head[6 + i] > 'z')
            return false;
    return true;
}

/* A zip whose first member is an array of NumPy. */
static bool is_npz(const unsigned char *head, size_t bytes)
{
    if (bytes < 30 || memcmp(head, "PK\3\4", 4) != 0)
        return false;
    size_t length = (size_t)(head[26] | head[27] << 8);
    return length > 4 && 30 + length <= bytes && memcmp(head + 30 + length - 4, ".npy", 4) == 0;
}

struct kind {
    const char *name;
    bool (*is)(const unsigned char *head, size_t bytes);
    int (*open)(struct ech_weights *weights, const char *name, struct ech_err *err);
};
static const struct kind kinds[] = {
    {"gguf", is_gguf, ech_gguf_open},      {"marian", is_marian, ech_marian_open},
    {"npz", is_npz, ech_npz_open},         {"safetensors", is_safetensors, ech_safetensors_open},
    {"ctranslate2", is_ct2, ech_ct2_open},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* *out is NULL where it is nothing that we know. */
static int sniff(const char *path, const struct kind **out, struct ech_err *err)
{
    unsigned char head[HEAD];
    size_t got = 0;
    int fd, code = ech_open(path, O_RDONLY, &fd, err);
    if (code != ECH_OK)
        return code;
    code = ech_read_some(fd, path, head, sizeof head, &got, err);
    ech_close(fd, path, NULL);
    *out = NULL;
    for (int i = 0; code == ECH_OK && i < KINDS && !*out; i++)
        if (kinds[i].is(head, got))
            *out = &kinds[i];
    return code;
}

static int open_file(struct ech_weights *w, const char *path, struct ech_err *err)
{
    const struct kind *kind = NULL;
    int code = sniff(path, &kind, err);
    if (code != ECH_OK)
        return code;
    if (!kind)
        return ech_fail(err, ECH_DATA,
                        "%s is no model file that is known (safetensors, GGUF, CTranslate2, Marian, .npz)",
                        path);
    w->format = kind->name;
    return kind->open(w, ech_path_base(path), err);
}

/* Later files of a GGUF in parts belong to the first. */
static bool is_later_part(const char *name)
{
    const char *of = strstr(name, "-of-");
    return of && of - name >= 5 && memcmp(of - 5, "00001", 5) != 0 && strspn(of - 5, "0123456789") == 5 &&
           strstr(of, ".gguf");
}

struct scan {
    const struct kind *kind;
    char *name; /* of the only model file so far */
};

static int scan_one(const char *folder, const char *name, struct scan *scan, struct ech_err *err)
{
    struct stat info;
    const struct kind *kind = NULL;
    char *path = ech_path_join(folder, name, err);
    if (!path)
        return ECH_UNAVAILABLE;
    int code = ECH_OK;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && !is_later_part(name))
        code = sniff(path, &kind, err);
    ech_free(path);
    if (code != ECH_OK || !kind || kind->is == is_safetensors)
        return code;
    if (scan->kind)
        return ech_fail(err, ECH_DATA, "%s holds two models, %s and %s: name the file of one", folder,
                        scan->name, name);
    scan->kind = kind;
    scan->name = ech_strdup(name, err);
    return scan->name ? ECH_OK : ECH_UNAVAILABLE;
}

static int scan_folder(struct ech_weights *w, struct ech_err *err)
{
    struct scan scan = {0};
    struct dirent *entry;
    DIR *dir = opendir(w->folder);
    if (!dir)
        return ech_fail_errno(err, ECH_NOINPUT, errno, "%s cannot be read", w->folder);
    int code = ECH_OK, seen = 0;
    while (code == ECH_OK && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && seen++ < ENTRIES_MOST)
            code = scan_one(w->folder, entry->d_name, &scan, err);
    closedir(dir);
    if (code == ECH_OK && !scan.kind)
        code = ech_fail(err, ECH_NOINPUT,
                        "%s has no weights: neither %s nor %s nor one file of GGUF, CTranslate2 or Marian "
                        "is there",
                        w->folder, single, index_name);
    if (code == ECH_OK) {
        w->format = scan.kind->name;
        code = scan.kind->open(w, scan.name, err);
    }
    ech_free(scan.name);
    return code;
}

/* No memory is taken: a lack of it must not look like a missing file. */
static bool in_folder(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path && ech_path_exists(path);
}

static int open_folder(struct ech_weights *w, struct ech_err *err)
{
    w->format = "safetensors";
    if (in_folder(w->folder, single))
        return ech_safetensors_open(w, single, err);
    if (in_folder(w->folder, index_name))
        return ech_safetensors_open_index(w, err);
    return scan_folder(w, err);
}

static int read_config(struct ech_weights *w, struct ech_err *err)
{
    if (w->config)
        return ECH_OK;
    w->config_path = ech_path_join(w->folder, "config.json", err);
    if (!w->config_path)
        return ECH_UNAVAILABLE;
    if (!ech_path_exists(w->config_path))
        return ECH_OK;
    return ech_json_load(w->config_path, CONFIG_MOST, &w->config, err);
}

static int open_path(struct ech_weights *w, const char *path, struct ech_err *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return ech_fail_errno(err, ECH_NOINPUT, errno, "the model %s cannot be read", path);
    bool folder = S_ISDIR(info.st_mode);
    w->folder = folder ? ech_strdup(path, err) : ech_path_dir(path, err);
    if (!w->folder)
        return ECH_UNAVAILABLE;
    int code = folder ? open_folder(w, err) : open_file(w, path, err);
    if (code == ECH_OK)
        code = ech_weights_sort(w, err);
    return code == ECH_OK ? read_config(w, err) : code;
}

int ech_weights_open_adapted(const char *path, const char *adapter, struct ech_weights **out,
                             struct ech_err *err)
{
    struct ech_weights *w = ech_calloc(1, sizeof *w, err);
    if (!w)
        return ECH_UNAVAILABLE;
    int code = open_path(w, path, err);
    if (code == ECH_OK && adapter)
        code = ech_adapter_open(w, adapter, err);
    if (code == ECH_OK)
        *out = w;
    else
        ech_weights_close(w);
    return code;
}

/* A folder that holds an adapter and no model of its own stands for its base with the adapter. */
int ech_weights_open(const char *path, struct ech_weights **out, struct ech_err *err)
{
    if (!in_folder(path, adapter_config) || in_folder(path, single) || in_folder(path, index_name))
        return ech_weights_open_adapted(path, NULL, out, err);
    char *base = NULL;
    int code = ech_adapter_base(path, &base, err);
    if (code == ECH_OK)
        code = ech_weights_open_adapted(base, path, out, err);
    ech_free(base);
    return code;
}
