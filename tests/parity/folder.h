/* One folder of goldens/tiny: its arrays, its rows without padding, its other configurations. */
#ifndef ECH_TESTS_PARITY_FOLDER_H
#define ECH_TESTS_PARITY_FOLDER_H

#include "tests/parity/common.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <limits.h>
#include <unistd.h>

enum { FOLDER_PATH = 4400, IDS_MOST = 512, ROWS_MOST = 8 };

static inline const char *folder_file(const char *folder, const char *file)
{
    static char path[FOLDER_PATH];
    snprintf(path, sizeof path, "%s/%s/%s", ech_test_data("goldens/tiny"), folder, file);
    return path;
}

static inline bool folder_has(const char *folder, const char *file)
{
    return ech_path_exists(folder_file(folder, file));
}

static inline struct npy folder_array(const char *folder, const char *file)
{
    char name[256];
    snprintf(name, sizeof name, "%s.npy", file);
    return npy_read(folder_file(folder, name));
}

/* A folder of links here, with another of its configurations as config.json. */
static inline const char *folder_with(const char *folder, const char *config)
{
    static char name[FOLDER_PATH];
    static const char *const links[] = {"model.safetensors", "generation_config.json"};
    struct ech_err err = ECH_ERR_NONE;
    char *text, path[FOLDER_PATH + 64];
    size_t bytes;
    if (!config) {
        snprintf(name, sizeof name, "%s/%s", ech_test_data("goldens/tiny"), folder);
        return name;
    }
    snprintf(name, sizeof name, "%s-%s", folder, config);
    must(ech_mkdir_all(name, &err), &err);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "%s/%s", name, links[i]);
        char *target = realpath(folder_file(folder, links[i]), NULL);
        unlink(path);
        if (target && symlink(target, path) != 0)
            fail_msg("%s: no link", path);
        free(target);
    }
    must(ech_read_file(folder_file(folder, config), 1 << 20, &text, &bytes, &err), &err);
    snprintf(path, sizeof path, "%s/config.json", name);
    must(ech_write_file(path, text, bytes, &err), &err);
    ech_free(text);
    return name;
}

struct input {
    int32_t ids[IDS_MOST], types[IDS_MOST];
    uint64_t offsets[ROWS_MOST];
    int64_t rows, length;
    bool typed;
};

/* The rows without their padding; no mask: whole. */
static inline struct input read_input(const char *folder, const char *file, bool masked)
{
    struct npy ids = folder_array(folder, file), mask = {0}, types = {0};
    struct input in = {.rows = ids.shape[0],
                       .length = ids.shape[1],
                       .typed = masked && folder_has(folder, "token_type_ids.npy")};
    if (masked)
        mask = folder_array(folder, "mask");
    if (in.typed)
        types = folder_array(folder, "token_type_ids");
    assert_true(ids.elements <= IDS_MOST && in.rows < ROWS_MOST && ids.i);
    uint64_t at = 0;
    for (int64_t row = 0; row < in.rows; row++) {
        for (int64_t i = row * in.length; i < (row + 1) * in.length; i++)
            if (!masked || mask.i[i]) {
                in.ids[at] = (int32_t)ids.i[i];
                in.types[at++] = in.typed ? (int32_t)types.i[i] : 0;
            }
        in.offsets[row + 1] = at;
    }
    npy_free(&ids);
    npy_free(&mask);
    npy_free(&types);
    return in;
}

static inline double largest(const struct npy *a)
{
    double most = 0;
    for (int64_t i = 0; i < a->elements; i++)
        most = fmax(most, fabs((double)a->f[i]));
    return most;
}

/* far: the largest difference found; what: for the message. */
static inline void within(const char *folder, const char *what, const char *backend, double far,
                          const struct npy *want, double tolerance)
{
    double scale = largest(want);
    fprintf(stderr, "%s %s %s: %.2e of %.0e\n", folder, what, backend, far / scale, tolerance);
    if (!(far <= tolerance * scale))
        fail_msg("%s, %s on %s: %.2e, %.0e is allowed", folder, what, backend, far / scale, tolerance);
}

#endif
