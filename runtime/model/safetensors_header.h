/* A safetensors header: parsed and checked against the file's size, without touching tensor bytes. */
#ifndef ECH_MODEL_SAFETENSORS_HEADER_H
#define ECH_MODEL_SAFETENSORS_HEADER_H

#include "model/safetensors.h"

struct ech_tensor_list {
    struct ech_tensor *items;
    size_t count, capacity;
};
void ech_tensor_list_fini(struct ech_tensor_list *list);

/* Append the tensors of one file, `data` its `bytes` bytes. */
int ech_safetensors_parse(const char *path, const unsigned char *data, size_t bytes, int file,
                          struct ech_tensor_list *list, struct ech_err *err);

#endif
