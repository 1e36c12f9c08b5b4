/* `echelon model show | check`: what a model folder is and needs, and whether it is whole. */
#ifndef ECH_MODEL_SHOW_H
#define ECH_MODEL_SHOW_H

#include "base/err.h"
#include "base/str.h"

#include <stdio.h>

/* What memory is shown for; 0: one row, of all tokens that the model takes (decoders: 4096 at most). */
struct ech_show_options {
    bool json;
    int64_t batch, tokens;
};
/* A page for people, or one JSON object, of a model of any format. Nothing large is allocated; tensors are
 * checked, not read. Sentence encoders in safetensors: all that the engine says of them; language models:
 * what they take in memory. Errors  those of ech_weights_open, ech_engine_load, ech_lm_load; of the latter
 * two the page is there all the same, as far as the files say it. */
int ech_model_show(const char *path, const struct ech_show_options *options, struct ech_str *out,
                   struct ech_err *err);
/* Reads every byte of every tensor; one line for each that holds NaN or infinity; then names, shapes and the
 * tokenizer are checked, as far as the model can be computed; then a summary.
 * Errors  ECH_DATA if there was one (the lines are in `out` all the same); those of ech_model_show. */
int ech_model_check(const char *path, struct ech_str *out, struct ech_err *err);

/* argv[0 .. argc) are the words behind "model". What is asked for goes to `out`. */
int ech_model_verb(int argc, char **argv, FILE *out, struct ech_err *err);

#endif
