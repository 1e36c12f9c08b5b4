/* Roles of tokens: what tokenizer_config.json and special_tokens_map.json say beside a tokenizer.json. */
#include "text/tokenizer_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

enum { CONFIG_MOST = 16 << 20 };

static const char *const keys[ECH_TOKEN_ROLES] = {
    [ECH_TOKEN_BOS] = "bos_token",   [ECH_TOKEN_EOS] = "eos_token", [ECH_TOKEN_UNK] = "unk_token",
    [ECH_TOKEN_PAD] = "pad_token",   [ECH_TOKEN_CLS] = "cls_token", [ECH_TOKEN_SEP] = "sep_token",
    [ECH_TOKEN_MASK] = "mask_token",
};

/* A token is a string, or an object with its content. One that the vocabulary lacks has no role. */
static void take_roles(struct ech_tokenizer *t, const json_t *root)
{
    for (int i = 0; i < ECH_TOKEN_ROLES; i++) {
        const json_t *value = json_object_get(root, keys[i]);
        const char *text =
            json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
        if (text && t->roles[i] < 0)
            t->roles[i] = ech_tokenizer_id(t, text, strlen(text));
    }
}

int ech_tokenizer_read_roles(struct ech_tokenizer *t, const char *folder, struct ech_err *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    int code = ECH_OK, file = 1;
    for (int i = 0; code == ECH_OK && i < 2; i++) {
        json_t *root = NULL;
        char *path = ech_path_join(folder, names[i], err);
        if (!path)
            return ECH_UNAVAILABLE;
        if (ech_path_exists(path))
            code = ech_json_load(path, CONFIG_MOST, &root, err);
        if (code == ECH_OK && root && !json_is_object(root))
            code = ech_fail(err, ECH_DATA, "%s: not an object", path);
        if (code == ECH_OK && root) {
            take_roles(t, root);
            t->files[file++] = names[i];
        }
        json_decref(root);
        ech_free(path);
    }
    return code;
}
