/* Tensors as a reader of one format hands them to weights.c: appended one by one, owned by the list. */
#ifndef ECH_MODEL_TENSOR_LIST_H
#define ECH_MODEL_TENSOR_LIST_H

#include "model/weights.h"

struct ech_tensor_list {
    struct ech_tensor *items;
    size_t count, capacity;
};
/* A zeroed tensor at the end, valid until the next one is added; NULL without memory. */
struct ech_tensor *ech_tensor_list_add(struct ech_tensor_list *list, struct ech_err *err);
/* The same with a name (copied). */
struct ech_tensor *ech_tensor_list_add_named(struct ech_tensor_list *list, const char *name,
                                             struct ech_err *err);
void ech_tensor_list_fini(struct ech_tensor_list *list);

/* Elements and bytes from the shape and the type, each product checked, blocks along the last dimension
 * whole. `where`: the file, for the message. */
int ech_tensor_measure(const char *where, const char *name, struct ech_tensor *tensor, struct ech_err *err);
/* Rows first .. first + count of the outermost dimension as a tensor of its own, without a name. */
struct ech_tensor ech_tensor_rows(const struct ech_tensor *tensor, int64_t first, int64_t count);

#endif
