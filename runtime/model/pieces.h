/* Where the pieces of the packed segment come from: the tensors of each, in the order of their rows. */
#ifndef ECH_MODEL_PIECES_H
#define ECH_MODEL_PIECES_H

#include "model/packing.h"

enum ech_piece_kind {
    ECH_PIECE_TABLE,
    ECH_PIECE_VECTOR,
    ECH_PIECE_MATRIX,
    ECH_PIECE_SPREAD,
    ECH_PIECE_SLOPES,
    ECH_PIECE_ROPE,
    ECH_PIECE_INDEX,
    ECH_PIECE_DISTANCES
};
enum ech_piece_kind ech_piece_kind(enum ech_packed_piece piece);

/* Up to three tensors one under the other, or one that holds them all. */
struct ech_sources {
    int count;
    const struct ech_tensor *tensor[ECH_MATRIX_PARTS]; /* of a vector: NULL is zeros */
    int64_t rows[ECH_MATRIX_PARTS];
    int64_t n, k; /* k 1: a vector */
    bool by_head; /* rows of the one tensor are in another order (ech_piece_row) */
    bool in_out;  /* tensors are stored [k, n] */
};
/* false: the model has no such piece. `expert` counts where the piece is one of an expert. */
bool ech_piece_sources(const struct ech_spec *spec, const struct ech_bound *bound,
                       enum ech_packed_piece piece, int64_t set, int64_t expert, struct ech_sources *out);
/* The row of a tensor fused head by head that is row r of q, then k, then v. */
int64_t ech_piece_row(const struct ech_spec *spec, int64_t r);
/* All of them as f32 at `out` (n, k). ECH_UNAVAILABLE: memory. */
int ech_piece_floats(const struct ech_spec *spec, const struct ech_sources *from, float *out,
                     struct ech_err *err);

#endif
