/* A low-rank adapter (peft's LoRA): adapter_config.json and adapter_model.safetensors, merged as tensors are
 * read. Rows of a GGUF's rotary order are permuted as the base's are. */
#include "model/delta.h"
#include "model/safetensors.h"
#include "model/weights_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_MOST = 1 << 20, NAME = 512, RANK_MOST = 4096 };
static const char config_name[] = "adapter_config.json", weights_name[] = "adapter_model.safetensors",
                  lead[] = "base_model.model.";

struct adapter {
    struct ech_weights *w;
    char *config_path;
    json_t *config;
    struct ech_tensor_list list;
    double alpha;
    bool root, swapped; /* rslora; fan_in_fan_out */
};

static int read_config(const char *folder, char **path, json_t **out, struct ech_err *err)
{
    *path = ech_path_join(folder, config_name, err);
    return *path ? ech_json_load(*path, CONFIG_MOST, out, err) : ECH_UNAVAILABLE;
}

int ech_adapter_base(const char *folder, char **base, struct ech_err *err)
{
    char *path = NULL;
    json_t *config = NULL;
    const char *name = NULL;
    int code = read_config(folder, &path, &config, err);
    if (code == ECH_OK)
        code = ech_json_get_str(config, path, "base_model_name_or_path", true, &name, err);
    char *joined = code == ECH_OK ? ech_path_join(folder, name, err) : NULL;
    if (joined && ech_path_exists(joined)) {
        *base = joined;
        joined = NULL;
    } else if (code == ECH_OK && ech_path_exists(name)) {
        *base = ech_strdup(name, err);
        code = *base ? ECH_OK : ECH_UNAVAILABLE;
    } else if (code == ECH_OK)
        code = ech_fail(err, ECH_NOINPUT,
                        "%s is an adapter of %s, which is not there: name the base and the adapter", folder,
                        name);
    ech_free(joined);
    ech_free(path);
    json_decref(config);
    return code;
}

/* Keys that change what an adapter adds; an unknown kind is refused by name. */
static int check_config(struct adapter *a, struct ech_err *err)
{
    static const char *const refused[] = {"use_dora", "use_qalora", "lora_bias", "trainable_token_indices"};
    const char *kind = "";
    bool on = false;
    int code = ech_json_get_str(a->config, a->config_path, "peft_type", true, &kind, err);
    if (code == ECH_OK && strcmp(kind, "LORA") != 0)
        return ech_fail(err, ECH_DATA, "%s: an adapter of type %.40s is not supported, LORA is",
                        a->config_path, kind);
    for (size_t i = 0; code == ECH_OK && i < sizeof refused / sizeof *refused; i++) {
        const json_t *value = json_object_get(a->config, refused[i]);
        on = value && !json_is_null(value) && !json_is_false(value);
        if (on)
            return ech_fail(err, ECH_DATA, "%s: %s is not supported", a->config_path, refused[i]);
    }
    if (code == ECH_OK)
        code = ech_json_get_float(a->config, a->config_path, "lora_alpha", true, &a->alpha, err);
    if (code == ECH_OK)
        code = ech_json_get_bool(a->config, a->config_path, "use_rslora", false, &a->root, err);
    return code == ECH_OK
               ? ech_json_get_bool(a->config, a->config_path, "fan_in_fan_out", false, &a->swapped, err)
               : code;
}

static bool ends_with(const char *text, const char *tail)
{
    size_t a = strlen(text), b = strlen(tail);
    return a >= b && strcmp(text + a - b, tail) == 0 && (a == b || text[a - b - 1] == '.');
}

/* alpha_pattern holds other values for some modules, by the end of their name. */
static int alpha_of(const struct adapter *a, const char *module, double *out, struct ech_err *err)
{
    const char *key;
    json_t *value;
    *out = a->alpha;
    json_object_foreach(json_object_get(a->config, "alpha_pattern"), key, value)
    {
        if (strpbrk(key, "\\^$*+?()[]{}|"))
            return ech_fail(err, ECH_DATA, "%s: the pattern \"%.100s\" of alpha_pattern is not a plain name",
                            a->config_path, key);
        if (ends_with(module, key) && json_is_number(value))
            *out = json_number_value(value);
    }
    return ECH_OK;
}

/* The base's tensor of that name, or the only one that differs by a prefix. */
static struct ech_tensor *find_base(const struct ech_weights *w, const char *name, size_t count)
{
    struct ech_tensor *found = NULL;
    for (size_t i = 0; i < count; i++) {
        struct ech_tensor *t = &w->list.items[i];
        if (strcmp(t->name, name) == 0)
            return t;
        if (!ends_with(t->name, name) && !ends_with(name, t->name))
            continue;
        if (found)
            return NULL;
        found = t;
    }
    return found;
}

static float *read_floats(struct ech_weights *w, const struct ech_tensor *t, struct ech_err *err)
{
    float *values = ech_weights_keep(w, (size_t)t->elements * sizeof *values, err);
    return values && ech_tensor_to_f32(t, 0, t->elements, values, err) == ECH_OK ? values : NULL;
}

/* Row (head, i, half) of a file whose rotary pairs lie side by side is row (head, half, i) of Hugging Face's.
 */
static int interleave(const struct adapter *a, const char *module, float *b, int64_t rows, int64_t rank,
                      struct ech_err *err)
{
    const json_t *config = a->w->config;
    int64_t width = json_integer_value(json_object_get(config, "head_dim"));
    if (!json_is_true(json_object_get(config, "ech_rope_interleaved")) ||
        (!ends_with(module, "q_proj") && !ends_with(module, "k_proj")))
        return ECH_OK;
    if (width < 2 || width % 2 != 0 || rows % width != 0)
        return ech_fail(err, ECH_DATA, "%s: %.100s has %lld rows, not heads of %lld", a->config_path, module,
                        (long long)rows, (long long)width);
    float *head = ech_calloc((size_t)(width * rank), sizeof *head, err);
    if (!head)
        return ECH_UNAVAILABLE;
    for (int64_t first = 0; first < rows; first += width) {
        memcpy(head, b + first * rank, (size_t)(width * rank) * sizeof *head);
        for (int64_t i = 0; i < width; i++)
            memcpy(b + (first + i) * rank, head + (i % 2 * (width / 2) + i / 2) * rank,
                   (size_t)rank * sizeof *head);
    }
    ech_free(head);
    return ECH_OK;
}

/* Stacked rows of other models are in another order than the adapter's. */
static int check_order(const struct adapter *a, const char *module, struct ech_err *err)
{
    if (json_is_true(json_object_get(a->w->config, "ech_qkv_stacked")) &&
        ends_with(module, "query_key_value"))
        return ech_fail(err, ECH_DATA,
                        "%s: %.100s of a GGUF file has its rows in another order: use the original base",
                        a->config_path, module);
    return ECH_OK;
}

static int check_shapes(const struct adapter *a, const char *module, const struct ech_tensor *base,
                        const struct ech_tensor *down, const struct ech_tensor *up, bool embedding,
                        bool *swapped, struct ech_err *err)
{
    bool two = base->dims == 2 && down->dims == 2 && up->dims == 2;
    if (two && down->shape[0] == up->shape[1] && down->shape[0] >= 1 && down->shape[0] <= RANK_MOST) {
        bool plain = base->shape[0] == up->shape[0] && base->shape[1] == down->shape[1];
        bool other = base->shape[1] == up->shape[0] && base->shape[0] == down->shape[1];
        bool asked =
            embedding || (a->swapped && !json_is_true(json_object_get(a->w->config, "ech_linear_out_in")));
        *swapped = plain && other ? asked : other;
        if (plain || other)
            return ECH_OK;
    }
    char shapes[3][96];
    return ech_fail(err, ECH_DATA, "%s: %.100s has A %s and B %s, the base has %s", a->config_path, module,
                    ech_shape_print(down->shape, down->dims, shapes[0], sizeof shapes[0]),
                    ech_shape_print(up->shape, up->dims, shapes[1], sizeof shapes[1]),
                    ech_shape_print(base->shape, base->dims, shapes[2], sizeof shapes[2]));
}

static int add_delta(struct adapter *a, const char *module, const struct ech_tensor *down,
                     const struct ech_tensor *up, bool embedding, struct ech_err *err)
{
    char name[NAME];
    double alpha = 0;
    bool swapped = false;
    snprintf(name, sizeof name, "%.*s.weight", NAME - 16, module);
    struct ech_tensor *base = find_base(a->w, name, a->w->list.count);
    if (!base)
        return ech_fail(err, ECH_DATA, "%s: the base has no tensor %.100s", a->config_path, name);
    int code = check_shapes(a, module, base, down, up, embedding, &swapped, err);
    if (code == ECH_OK)
        code = check_order(a, module, err);
    if (code == ECH_OK)
        code = alpha_of(a, module, &alpha, err);
    if (code != ECH_OK)
        return code;
    double rank = (double)down->shape[0];
    struct ech_delta *d = ech_weights_keep(a->w, sizeof *d, err);
    float *floats_a = d ? read_floats(a->w, down, err) : NULL,
          *floats_b = floats_a ? read_floats(a->w, up, err) : NULL;
    if (!floats_b)
        return err && err->code != ECH_OK ? err->code : ECH_UNAVAILABLE;
    code = interleave(a, module, floats_b, up->shape[0], up->shape[1], err);
    *d = (struct ech_delta){.rank = down->shape[0],
                            .cols = base->shape[1],
                            .factor = (float)(alpha / (a->root ? sqrt(rank) : rank)),
                            .swapped = swapped,
                            .a = floats_a,
                            .b = floats_b,
                            .in = down->shape[1]};
    base->delta = d;
    return code;
}

static const struct ech_tensor *find_own(const struct adapter *a, const char *name)
{
    for (size_t i = 0; i < a->list.count; i++)
        if (strcmp(a->list.items[i].name, name) == 0)
            return &a->list.items[i];
    return NULL;
}

/* A whole tensor that was trained beside the adapter (modules_to_save, biases) takes the base's place. */
static int replace(struct adapter *a, const struct ech_tensor *own, const char *name, struct ech_err *err)
{
    struct ech_tensor *base = find_base(a->w, name, a->w->list.count), copy = *own;
    if (base) {
        copy.name = base->name;
        *base = copy;
        return ECH_OK;
    }
    base = ech_tensor_list_add_named(&a->w->list, name, err);
    if (!base)
        return ECH_UNAVAILABLE;
    copy.name = base->name;
    *base = copy;
    return ECH_OK;
}

static int merge_one(struct adapter *a, const struct ech_tensor *own, struct ech_err *err)
{
    static const char *const pairs[][2] = {{".lora_A.weight", ".lora_B.weight"},
                                           {".lora_embedding_A", ".lora_embedding_B"}};
    char module[NAME], other[NAME];
    if (strncmp(own->name, lead, sizeof lead - 1) != 0 || strlen(own->name) > NAME / 2)
        return ech_fail(err, ECH_DATA, "%s: tensor %.100s is not named %s...", a->config_path, own->name,
                        lead);
    for (int i = 0; i < 2; i++) {
        const char *down = strstr(own->name, pairs[i][0]), *up = strstr(own->name, pairs[i][1]);
        const char *at = down ? down : up;
        if (!at)
            continue;
        int length = (int)(at - own->name);
        snprintf(other, sizeof other, "%.*s%s", length, own->name, pairs[i][down ? 1 : 0]);
        const struct ech_tensor *pair = find_own(a, other);
        if (!pair)
            return ech_fail(err, ECH_DATA, "%s: tensor %.100s is there without %.100s", a->config_path,
                            own->name, other);
        snprintf(module, sizeof module, "%.*s", length - (int)(sizeof lead - 1), own->name + sizeof lead - 1);
        return down ? add_delta(a, module, own, pair, i == 1, err) : ECH_OK;
    }
    if (strstr(own->name, "lora_"))
        return ech_fail(err, ECH_DATA, "%s: tensor %.100s is not supported", a->config_path, own->name);
    return replace(a, own, own->name + sizeof lead - 1, err);
}

static int map_weights(struct adapter *a, const char *folder, struct ech_err *err)
{
    struct ech_err found = ECH_ERR_NONE;
    int file;
    char *path = ech_path_join(folder, weights_name, err), *whole = path ? realpath(path, NULL) : NULL;
    int code = path ? ECH_OK : ECH_UNAVAILABLE;
    if (path && !whole)
        code = ech_fail(err, ECH_NOINPUT, "%s has no %s", folder, weights_name);
    if (code == ECH_OK)
        code = ech_weights_map(a->w, whole, &file, err);
    if (code == ECH_OK) {
        const struct ech_mapping *m = &a->w->files[file];
        code = ech_safetensors_parse(m->path, m->data, m->bytes, file, &a->list, &found);
        code = ech_weights_parsed(a->w, file, code, &found, err);
    }
    free(whole);
    ech_free(path);
    return code;
}

static int add_config_name(struct adapter *a, struct ech_err *err)
{
    char *whole = realpath(a->config_path, NULL);
    int code = whole ? ech_weights_add_name(a->w, whole, err)
                     : ech_fail(err, ECH_NOINPUT, "%s cannot be read", a->config_path);
    free(whole);
    return code;
}

int ech_adapter_open(struct ech_weights *w, const char *folder, struct ech_err *err)
{
    struct adapter a = {.w = w};
    int code = read_config(folder, &a.config_path, &a.config, err);
    if (code == ECH_OK)
        code = check_config(&a, err);
    if (code == ECH_OK)
        code = add_config_name(&a, err);
    if (code == ECH_OK)
        code = map_weights(&a, folder, err);
    for (size_t i = 0; code == ECH_OK && i < a.list.count; i++)
        code = merge_one(&a, &a.list.items[i], err);
    if (code == ECH_OK)
        code = ech_weights_sort(w, err);
    ech_tensor_list_fini(&a.list);
    json_decref(a.config);
    ech_free(a.config_path);
    return code;
}
