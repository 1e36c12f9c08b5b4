/* The one view of a model's files, whatever their format: safetensors, GGUF, CTranslate2, Marian (binary or
 * .npz), a low-rank adapter over any of them. Files are mapped read-only, nothing large is copied; everything
 * a header says is checked before a tensor is handed out.
 *
 * Tensors carry Hugging Face's names and shapes (outermost first) of the model_type in ech_weights_config, so
 * an architecture knows one naming. A part of a fused tensor, an expert of a stack, is a view of its rows.
 *
 * Where a file's arithmetic differs from Hugging Face's, the config says so (absent: as Hugging Face does):
 *   ech_format                "gguf", "ctranslate2", "marian"; absent: the folder's own config.json
 *   ech_rope_interleaved      true: rotary pairs are elements (2i, 2i + 1) of a head, not (i, i + half)
 *   ech_norm_plus_one         true: norm weights hold Gemma's "1 +" already
 *   ech_qkv_stacked           true: a fused query_key_value holds all rows of Q, then K, then V
 *   ech_linear_out_in         true: GPT-2's linear weights are (out, in) as everywhere else
 *   rope_scaling.rope_type    "factors": inverse frequency i is divided by rope_scaling.factors[i]
 *   chat_template             the file's own, as text
 *   ech_pooling               "none", "mean", "cls", "last", "rank"
 *   ech_encoder_decoder       true: the generic translation transformer in Marian's names, with all of:
 *     ech_normalize_before    norm before each block and after the last (else after each addition)
 *     ech_positions           "sinusoids": element i of position p is sin(p / 10000^(i / (half - 1))), i <
 * half, then as many cosines; "table": embed_positions.weight, a row a position ech_position_first number of
 * the first position of the sinusoids (0, or CTranslate2's 1) ech_start_zero          true: the decoder's
 * first input is the zero vector (+ position), no token ech_decoder_cell        "attention", or "ssru":
 * layers.N.rnn.w.weight (no bias), rnn.wf.weight, .bias, rnn_layer_norm.weight, .bias stand for self
 * attention and its norm layer_norm_eps, ech_attention_scale (false: scores are not divided by
 * sqrt(head_dim)) ech_compute               "int8": the file fixes its arithmetic (int8 products, input_scale
 * below) */
#ifndef ECH_MODEL_WEIGHTS_H
#define ECH_MODEL_WEIGHTS_H

#include "base/err.h"
#include "kernels/ops.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ECH_TENSOR_DIMS = 8 };

enum ech_stype {
    ECH_ST_F32,
    ECH_ST_F16,
    ECH_ST_BF16,
    ECH_ST_F64, /* from here to F8_E4M3: stored, not computed with, but I8 and I16 with scales */
    ECH_ST_I64,
    ECH_ST_I32,
    ECH_ST_I16,
    ECH_ST_I8,
    ECH_ST_U64,
    ECH_ST_U32,
    ECH_ST_U16,
    ECH_ST_U8,
    ECH_ST_BOOL,
    ECH_ST_F8_E5M2,
    ECH_ST_F8_E4M3,
    ECH_ST_Q4_0, /* from here on: GGUF's blocks of 32 or 256 elements along a row */
    ECH_ST_Q4_1,
    ECH_ST_Q5_0,
    ECH_ST_Q5_1,
    ECH_ST_Q8_0,
    ECH_ST_Q2_K,
    ECH_ST_Q3_K,
    ECH_ST_Q4_K,
    ECH_ST_Q5_K,
    ECH_ST_Q6_K,
    ECH_ST_IQ4_NL,
    ECH_ST_IQ4_XS,
    ECH_ST_MXFP4,
    ECH_ST_TQ1_0,
    ECH_ST_TQ2_0,
    ECH_STYPES
};
const char *ech_stype_name(enum ech_stype type);
/* Elements and bytes of one block; 1 and an element's bytes where the type has no blocks. */
int64_t ech_stype_block(enum ech_stype type);
size_t ech_stype_bytes(enum ech_stype type);
/* The kernels' type that computes on such bytes as they lie; false where there is none. */
bool ech_stype_wtype(enum ech_stype type, enum ech_wtype *out);

struct ech_delta; /* what a low-rank adapter adds */

struct ech_tensor {
    char *name;
    enum ech_stype dtype;
    int dims;
    int64_t shape[ECH_TENSOR_DIMS];
    int64_t elements;
    const unsigned char *data; /* any alignment: read it through ech_tensor_to_f32 or memcpy */
    size_t bytes;
    int file;                      /* index of the file it lies in */
    const unsigned char *scales;   /* I8, I16: f32 of any alignment, value = stored / scale; else NULL */
    int64_t scale_count;           /* 0; 1: one for all; shape[0]: one a row */
    float input_scale;             /* I8: the file's own multiplier of the product's input; 0: none, by row */
    bool transposed;               /* two dimensions, the bytes are [shape[1]][shape[0]] */
    const struct ech_delta *delta; /* NULL; else values are not those of `data` alone */
};
/* True: `data` is shape[0] rows of ech_tensor_row_bytes each, to be computed on as they lie. */
bool ech_tensor_in_place(const struct ech_tensor *tensor);
size_t ech_tensor_row_bytes(const struct ech_tensor *tensor);
/* Whether ech_tensor_to_f32 can decode it: F32, F16, BF16, blocks, I8 and I16 with scales. */
bool ech_tensor_decodes(const struct ech_tensor *tensor);
float ech_tensor_scale(const struct ech_tensor *tensor, int64_t row); /* 1 where there are none */
/* Elements first .. first + count, in the order of `shape`, as f32; any range, within blocks too.
 * Exactness  kernels/blocks.h for blocks; integers: stored / scale, rounded; a delta is added in f32
 * (delta.h). Errors     ECH_DATA for a type that is not decoded. */
int ech_tensor_to_f32(const struct ech_tensor *tensor, int64_t first, int64_t count, float *out,
                      struct ech_err *err);
/* "[30522, 384]" */
const char *ech_shape_print(const int64_t *shape, int dims, char *out, size_t bytes);

struct ech_weights;
struct ech_vocab_source; /* text/vocab_source.h */

/* `path`: a folder (model.safetensors or its index, one .gguf, a CTranslate2 model.bin, a Marian *.bin or
 * *.npz; an adapter of peft whose base is named) or one such file. What a file is, its content says.
 * Errors  ECH_NOINPUT: nothing of the kind is there; ECH_DATA: truncated (with the bytes expected and found),
 *         lying, two models in one folder, or of an architecture or type that is not known (named);
 *         ECH_UNAVAILABLE: memory. */
int ech_weights_open(const char *path, struct ech_weights **out, struct ech_err *err);
/* The same, with the folder of a peft adapter (or NULL) merged as tensors are read. */
int ech_weights_open_adapted(const char *path, const char *adapter, struct ech_weights **out,
                             struct ech_err *err);
/* After tensors were read: ECH_IO where a file was lost under the reader (what was read then is zeros). */
int ech_weights_check(const struct ech_weights *weights, struct ech_err *err);
void ech_weights_close(struct ech_weights *weights);
/* NULL where the name is unknown. Borrowed. */
const struct ech_tensor *ech_weights_find(const struct ech_weights *weights, const char *name);
int64_t ech_weights_count(const struct ech_weights *weights);
const struct ech_tensor *ech_weights_at(const struct ech_weights *weights, int64_t i); /* sorted by name */
/* Names relative to ech_weights_folder (an index or adapter_config.json before what it names),
 * NULL-terminated; path of a tensor's file. */
const char *const *ech_weights_files(const struct ech_weights *weights);
const char *ech_weights_path(const struct ech_weights *weights, int file);
/* The folder that `path` is or lies in (where tokenizer.json and the like are looked for). */
const char *ech_weights_folder(const struct ech_weights *weights);
/* "safetensors", "gguf", "ctranslate2", "marian", "npz". */
const char *ech_weights_format(const struct ech_weights *weights);
/* The folder's config.json as it lies there, or the same keys made from the file's own header. NULL where a
 * folder of safetensors has none. ech_weights_config_path: what to name in messages about it. Borrowed. */
const json_t *ech_weights_config(const struct ech_weights *weights);
const char *ech_weights_config_path(const struct ech_weights *weights);
/* The tokenizer inside of a GGUF; NULL where there is none. Borrowed; strings lie in the mapping. */
const struct ech_vocab_source *ech_weights_vocab(const struct ech_weights *weights);
/* Once the tokenizer is built: the arrays of that source (tokens, scores, types, merges) are freed and NULL;
 * its names, count, ids and flags stay. Nothing where there is none. */
void ech_weights_drop_vocab(struct ech_weights *weights);

#endif
