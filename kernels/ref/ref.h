/* The parts of `ref`, one file a family. */
#ifndef ECH_KERNELS_REF_REF_H
#define ECH_KERNELS_REF_REF_H

#include "kernels/ops.h"

double ech_ref_act(enum ech_act kind, double x);
size_t ech_ref_packed_bytes(enum ech_format format, int64_t n, int64_t k);
int ech_ref_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                 void *packed, int64_t part, int64_t parts);
/* Integer formats: f32 words an output takes, packing of one, a row of x times one. */
int64_t ech_ref_int_floats(enum ech_format format, int64_t k);
void ech_ref_int_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t row, int64_t n,
                      int64_t k, float *packed);
double ech_ref_int_dot(const struct ech_linear_args *a, int64_t row, int64_t output);
/* Formats that multiply a file's blocks. */
double ech_ref_block_dot(const struct ech_linear_args *a, int64_t row, int64_t output);
int ech_ref_linear(struct ech_queue *queue, const struct ech_linear_args *args);
size_t ech_ref_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads);
int ech_ref_attention(struct ech_queue *queue, const struct ech_attention_args *args);
int ech_ref_convert(struct ech_queue *queue, const struct ech_convert_args *args);

#endif
