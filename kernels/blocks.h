/* The block formats of GGUF as they lie in a file, and what they mean: plain C, the definition that every
 * backend repeats. Not for: products (ops.h), names and numbers of a file's types (whoever reads the file).
 *
 * A row of a matrix is whole blocks of 32 or 256 elements; blocks have any alignment, numbers are little
 * endian. In a block each group of 16 or 32 elements shares a scale and a min: element = scale * value - min,
 * the product rounded, then the difference (no min: the product alone). `value` is a small integer; kept as a
 * byte it is value + offset, so that no byte is negative. The scale of K-quants is itself the rounded product
 * of the block's scale and the group's integer, and so is the min.
 *
 *   type    elements bytes group  a block
 *   Q8_0          32    34    32  f16 d; s8 values[32]
 *   Q4_0          32    18    32  f16 d; nibbles[16]: element j low, 16 + j high, minus 8
 *   Q4_1          32    20    32  f16 d, f16 m; nibbles[16]; element = d * q + m
 *   Q5_0          32    22    32  f16 d; u32 fifth bits, bit j of element j; nibbles[16]; minus 16
 *   Q5_1          32    24    32  f16 d, f16 m; u32 fifth bits; nibbles[16]
 *   Q2_K         256    84    16  u8 (scale | min << 4)[16]; crumbs[64]; f16 d, f16 dmin
 *   Q3_K         256   110    16  third bits[32]; crumbs[64]; six-bit scales[12], minus 32; f16 d; minus 4
 *   Q4_K         256   144    32  f16 d, f16 dmin; six-bit scales and mins[12]; nibbles[128]
 *   Q5_K         256   176    32  f16 d, f16 dmin; six-bit scales and mins[12]; fifth bits[32]; nibbles[128]
 *   Q6_K         256   210    16  nibbles[128]; crumbs[64]; s8 scales[16]; f16 d; minus 32
 *   IQ4_NL        32    18    32  f16 d; nibbles[16], each an index into 16 uneven values
 *   IQ4_XS       256   136    32  f16 d; u16 high, u8 low[4] of six-bit scales, minus 32; nibbles[128]
 * likewise MXFP4         32    17    32  u8 exponent e; nibbles[16] as e2m1; d = 2^(e - 128), values doubled
 *   TQ1_0        256    54    32  base-3 digits, 5 a byte [48], 4 a byte [4]; f16 d; minus 1
 *   TQ2_0        256    66    32  crumbs[64]; f16 d; minus 1
 */
#ifndef ECH_KERNELS_BLOCKS_H
#define ECH_KERNELS_BLOCKS_H

#include "kernels/ops.h"

enum { ECH_BLOCK_MAX = 256, ECH_BLOCK_GROUPS_MAX = 16 };

/* A stored type. F32, F16 and BF16 have blocks of one element and no groups. */
struct ech_block_type {
    const char *name;        /* as GGUF's tools spell it: "Q4_K" */
    int64_t elements, bytes; /* of a block */
    int64_t group; /* elements of a group in products: 16 or 32 (32 where more share a scale); 0: none */
    int offset;    /* byte = value + offset */
    bool mins;
};

/* The types with groups: X(name, elements, bytes, group, offset, mins). */
#define ECH_BLOCK_TYPES(X)                                                                                   \
    X(Q8_0, 32, 34, 32, 128, false)                                                                          \
    X(Q4_0, 32, 18, 32, 8, false)                                                                            \
    X(Q4_1, 32, 20, 32, 0, true)                                                                             \
    X(Q5_0, 32, 22, 32, 16, false)                                                                           \
    X(Q5_1, 32, 24, 32, 0, true)                                                                             \
    X(Q2_K, 256, 84, 16, 0, true)                                                                            \
    X(Q3_K, 256, 110, 16, 4, false)                                                                          \
    X(Q4_K, 256, 144, 32, 0, true)                                                                           \
    X(Q5_K, 256, 176, 32, 0, true)                                                                           \
    X(Q6_K, 256, 210, 16, 32, false)                                                                         \
    X(IQ4_NL, 32, 18, 32, 128, false)                                                                        \
    X(IQ4_XS, 256, 136, 32, 128, false)                                                                      \
    X(MXFP4, 32, 17, 32, 12, false)                                                                          \
    X(TQ1_0, 256, 54, 32, 1, false)                                                                          \
    X(TQ2_0, 256, 66, 32, 1, false)

/* A block taken apart: bytes (value + offset) in the order of the elements, and each group's scale and min
 * (0 where the type has none). */
struct ech_block_values {
    uint8_t bytes[ECH_BLOCK_MAX];
    float scale[ECH_BLOCK_GROUPS_MAX], min[ECH_BLOCK_GROUPS_MAX];
};

/* NULL: there is no such type. */
const struct ech_block_type *ech_block_type(enum ech_wtype type);

/* Bytes of a row of `cols` elements; 0: cols is negative, above 2^40, or not whole blocks. */
size_t ech_block_row_bytes(enum ech_wtype type, int64_t cols);

/* Elements [first, first + count) of a row that begins at `row` become f32: any type, any range.
 * Exactness  As in the table above; F16 and BF16 exactly. */
void ech_block_decode(enum ech_wtype type, const void *row, int64_t first, int64_t count, float *out);

/* One block of a type with groups. */
void ech_block_values(enum ech_wtype type, const void *block, struct ech_block_values *out);

#endif
