/* From a GGUF to Hugging Face's names and keys: one table a family of architectures. */
#ifndef ECH_MODEL_GGUF_ARCH_H
#define ECH_MODEL_GGUF_ARCH_H

#include "model/gguf.h"

/* One pair of names: without layer number and ".weight" or ".bias". */
struct ech_gguf_name {
    const char *from, *to;
};
enum ech_gguf_trait {
    ECH_GGUF_INTERLEAVED = 1, /* rotary pairs lie side by side */
    ECH_GGUF_PLUS_ONE = 2,
    ECH_GGUF_STACKED = 4,
    ECH_GGUF_OUT_IN = 8,
    ECH_GGUF_SPLIT_QKV = 16, /* attn_qkv becomes attn_q, attn_k, attn_v */
    ECH_GGUF_RMS = 32,       /* else layer norms */
    ECH_GGUF_ENCODER = 64
};
typedef int (*ech_gguf_config_fn)(const struct ech_gguf *gguf, const struct ech_tensor_list *named,
                                  json_t *config, struct ech_err *err);
struct ech_gguf_arch {
    const char *const *names; /* general.architecture; NULL-terminated */
    const char *model_type;
    const char *layers; /* "model.layers." */
    const char *needs;  /* a tensor of the file without which it is another architecture; NULL */
    const struct ech_gguf_name *outer, *inner; /* ended by {NULL} */
    int traits;
    ech_gguf_config_fn config; /* adds the keys that not all have */
};

/* NULL: not known. */
const struct ech_gguf_arch *ech_gguf_arch_find(const struct ech_gguf *gguf);
/* The tensors of one file, `list`, under their new names into `out`: parts of fused ones and experts of a
 * stack as views. An architecture of NULL keeps the file's names. `gguf` has the keys.
 * Errors  ECH_DATA: a tensor that such a model does not have, by name. */
int ech_gguf_rename(const struct ech_gguf *gguf, const struct ech_gguf_arch *arch,
                    const struct ech_tensor_list *list, struct ech_tensor_list *out, struct ech_err *err);
/* config.json's keys. `named`: the renamed tensors of all files. Owner: caller. */
int ech_gguf_config(const struct ech_gguf *gguf, const struct ech_gguf_arch *arch,
                    const struct ech_tensor_list *named, json_t **out, struct ech_err *err);

int ech_gguf_config_silu(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                         struct ech_err *err);
int ech_gguf_config_mixtral(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                            struct ech_err *err);
int ech_gguf_config_smollm3(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                            struct ech_err *err);
int ech_gguf_config_moe(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                        struct ech_err *err);
int ech_gguf_config_gemma(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                          struct ech_err *err);
int ech_gguf_config_starcoder2(const struct ech_gguf *gguf, const struct ech_tensor_list *named,
                               json_t *config, struct ech_err *err);
int ech_gguf_config_phi(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                        struct ech_err *err);
int ech_gguf_config_gpt2(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                         struct ech_err *err);
int ech_gguf_config_neox(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                         struct ech_err *err);
int ech_gguf_config_bloom(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                          struct ech_err *err);
int ech_gguf_config_falcon(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                           struct ech_err *err);
int ech_gguf_config_bert(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                         struct ech_err *err);
int ech_gguf_config_nomic(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                          struct ech_err *err);
int ech_gguf_config_t5(const struct ech_gguf *gguf, const struct ech_tensor_list *named, json_t *config,
                       struct ech_err *err);

/* Numbers of "ARCHITECTURE.key"; a missing key leaves *out. */
int ech_gguf_own_int(const struct ech_gguf *gguf, const char *key, int64_t *out, struct ech_err *err);
int ech_gguf_own_float(const struct ech_gguf *gguf, const char *key, double *out, struct ech_err *err);
/* The same into config[name]; a missing key changes nothing. */
int ech_gguf_put_int(const struct ech_gguf *gguf, const char *key, json_t *config, const char *name,
                     struct ech_err *err);
int ech_gguf_put_float(const struct ech_gguf *gguf, const char *key, json_t *config, const char *name,
                       struct ech_err *err);
/* By name, from the front; NULL: not there. */
const struct ech_tensor *ech_gguf_named(const struct ech_tensor_list *list, const char *name);

#endif
