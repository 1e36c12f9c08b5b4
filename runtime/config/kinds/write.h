/* Options of the kinds that read with a decoder or write: generate, translate, score. */
#ifndef ECH_CONFIG_KINDS_WRITE_H
#define ECH_CONFIG_KINDS_WRITE_H

#include "config/field.h"

#include <stdbool.h>

enum ech_on_long { ECH_LONG_TRUNCATE, ECH_LONG_ERROR };

/* What all of them have. */
struct ech_write_options {
    int64_t context; /* auto: the model's own, at most 4096 */
    int64_t batch;   /* rows in flight; auto: 32 (small models: a thread), fewer where memory is short */
    int on_long;     /* choice: truncate error */
    char *prefix;    /* put before each text */
};

struct ech_generate_options {
    struct ech_write_options write;
    int64_t max_tokens;
    double temperature, top_p, min_p, repetition_penalty;
    int64_t top_k, seed;
    struct ech_list stop;
    bool log_probabilities;
    int chat;      /* choice: auto, then as enum ech_chat of text/chat.h */
    bool messages; /* a row is a JSON array of {role, content} */
    char *system;  /* message of conversations that have none of their own */
};

struct ech_translate_options {
    struct ech_write_options write;
    int64_t max_tokens;    /* auto: twice the source's and 32 more */
    char *source, *target; /* language codes, as the model's tokenizer writes them */
    char *shortlist;       /* lexical shortlist of Marian; "auto": the one in the model's folder; "none" */
};

enum ech_score_mode { ECH_SCORE_TEXT, ECH_SCORE_COMPLETION, ECH_SCORE_CHOICE };
enum ech_score_by { ECH_SCORE_SUM, ECH_SCORE_TOKENS, ECH_SCORE_BYTES };
struct ech_score_options {
    struct ech_write_options write;
    int mode; /* choice, as enum ech_score_mode */
    int by;   /* choice, as enum ech_score_by */
};

#endif
