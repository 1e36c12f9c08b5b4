/* Rotary positions: what a config.json says of them, in either spelling, read into the frequencies that the
 * pairs of a head turn by. The values are those of the reference implementation: frequencies in f32, an angle
 * is the f32 product of position and frequency. */
#ifndef ECH_MODEL_ROPE_H
#define ECH_MODEL_ROPE_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { ECH_ROPE_PAIRS = 256 }; /* head_dim up to 512 */

struct ech_rope {
    int64_t dim;      /* the first elements of a head, that turn; 0: none do */
    bool interleaved; /* pairs (2i, 2i + 1), else (i, i + dim / 2) */
    float scale;      /* of cosines and sines (yarn, longrope) */
    /* A sequence longer than `original` tokens takes the frequencies of `longer`, or such as follow from its
     * length (dynamic > 0: the factor). 0: the length does not matter. */
    int64_t original;
    double base, dynamic;
    float frequency[ECH_ROPE_PAIRS], longer[ECH_ROPE_PAIRS];
};

/* What an architecture says that its config may not. */
struct ech_rope_defaults {
    int64_t head_dim, context; /* max_position_embeddings */
    double base, part;         /* share of a head that turns */
    const char *layer_type;    /* of rope_parameters by layer type, or NULL */
    const char *base_key;      /* older spelling of the base; NULL: rope_theta */
    const char *part_key;      /* older spelling of the share; NULL: partial_rotary_factor */
    bool plain;                /* rope_scaling is not for these layers (Gemma 3's local ones) */
};
/* Errors  ECH_DATA: a scaling that is not known, or one whose numbers make no sense, by key and value. */
int ech_rope_read(const json_t *config, const char *path, const struct ech_rope_defaults *defaults,
                  struct ech_rope *out, struct ech_err *err);

/* cos, sin (dim / 2) of a position in a sequence of `length` tokens. */
void ech_rope_row(const struct ech_rope *rope, int64_t position, int64_t length, float *cos, float *sin);

#endif
