/* Inside of a model's files: what the readers of the formats fill. */
#ifndef ECH_MODEL_WEIGHTS_IMPL_H
#define ECH_MODEL_WEIGHTS_IMPL_H

#include "base/mapping.h"
#include "model/tensor_list.h"

struct ech_gguf;

struct ech_weights {
    const char *format;
    char *folder;
    struct ech_mapping *files;
    int files_count;
    char **names; /* relative to the folder, NULL-terminated */
    size_t names_count, names_capacity;
    struct ech_tensor_list list; /* sorted by name once the reader is done */
    json_t *config;
    char *config_path;
    struct ech_vocab_source *vocab; /* lies in `gguf` */
    struct ech_gguf *gguf;
    void **blocks; /* small things that tensors point to */
    size_t blocks_count, blocks_capacity;
};

/* A name at the end of the list of files. */
int ech_weights_add_name(struct ech_weights *weights, const char *name, struct ech_err *err);
/* Map FOLDER/NAME (name without a folder: of the weights' own) and list it; *file is its index. */
int ech_weights_map(struct ech_weights *weights, const char *name, int *file, struct ech_err *err);
/* What was parsed of a file that was lost meanwhile means nothing: `found` is passed on only if it is whole.
 */
int ech_weights_parsed(const struct ech_weights *weights, int file, int code, const struct ech_err *found,
                       struct ech_err *err);
/* By name; ECH_DATA where a name is there twice. */
int ech_weights_sort(struct ech_weights *weights, struct ech_err *err);
/* Zeroed memory that lives as long as the weights. */
void *ech_weights_keep(struct ech_weights *weights, size_t bytes, struct ech_err *err);

/* The readers. `name`: of the file within the folder. */
int ech_safetensors_open(struct ech_weights *weights, const char *name, struct ech_err *err);
int ech_safetensors_open_index(struct ech_weights *weights, struct ech_err *err);
int ech_gguf_open(struct ech_weights *weights, const char *name, struct ech_err *err);
void ech_gguf_close(struct ech_gguf *gguf);
int ech_ct2_open(struct ech_weights *weights, const char *name, struct ech_err *err);
int ech_marian_open(struct ech_weights *weights, const char *name, struct ech_err *err);
int ech_npz_open(struct ech_weights *weights, const char *name, struct ech_err *err);
/* Gives the tensors that an adapter's folder names their deltas. */
int ech_adapter_open(struct ech_weights *weights, const char *folder, struct ech_err *err);
/* The base model that the adapter's folder names, as a path. Owner: caller, ech_free. */
int ech_adapter_base(const char *folder, char **base, struct ech_err *err);

#endif
