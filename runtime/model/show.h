/* `echelon model show | check`: what a model folder is and needs, and whether it is whole. */
#ifndef ECH_MODEL_SHOW_H
#define ECH_MODEL_SHOW_H

#include "base/err.h"
#include "base/str.h"

#include <stdio.h>

/* A page for people, or one JSON object. Nothing large is allocated; tensors are checked, not read.
 * Errors  those of ech_engine_load. */
int ech_model_show(const char *path, bool json, struct ech_str *out, struct ech_err *err);
/* Reads every byte of every tensor; one line for each that holds NaN or infinity, then a summary.
 * Errors  ECH_DATA if there was one (the lines are in `out` all the same); those of ech_engine_load. */
int ech_model_check(const char *path, struct ech_str *out, struct ech_err *err);

/* argv[0 .. argc) are the words behind "model". What is asked for goes to `out`. */
int ech_model_verb(int argc, char **argv, FILE *out, struct ech_err *err);

#endif
