/* Pre-tokenisers: a chain of stages that cut a text into words; a stage hands each of its pieces to the next
 * one at once, so no list is made. Text is valid UTF-8 until a last stage gives bytes. Without stages the
 * whole text is one word. */
#ifndef ECH_TEXT_CUT_H
#define ECH_TEXT_CUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_regex;
struct ech_regex_scratch;

struct ech_cut_text {
    const unsigned char *text;
    size_t bytes;
};

/* What becomes of matches and of the text between them. */
enum ech_cut_behavior {
    ECH_CUT_REMOVED,
    ECH_CUT_ISOLATED,
    ECH_CUT_PREVIOUS, /* a match joins the piece before it */
    ECH_CUT_NEXT,
    ECH_CUT_CONTIGUOUS /* neighbours of one kind are one piece */
};

enum ech_cut_kind {
    ECH_CUT_SCAN,     /* every piece is a match of `scan`, a hand-written scanner of a known regex */
    ECH_CUT_REGEX,    /* matches of `regex` */
    ECH_CUT_STRING,   /* matches of `string` */
    ECH_CUT_CHARS,    /* single characters that have a class of `classes` */
    ECH_CUT_RUNS,     /* words, and runs of other visible characters; white space is dropped */
    ECH_CUT_LENGTH,   /* pieces of `length` characters */
    ECH_CUT_PREFIX,   /* `string` is put in front of a text that does not begin with it */
    ECH_CUT_LETTERS,  /* ByteLevel: bytes as letters */
    ECH_CUT_METASPACE /* spaces become `string`, one is put in front */
};
enum ech_cut_prefix { ECH_PREFIX_NEVER, ECH_PREFIX_FIRST, ECH_PREFIX_ALWAYS };

struct ech_cut_stage {
    enum ech_cut_kind kind;
    enum ech_cut_behavior behavior;
    bool invert;
    size_t (*scan)(const unsigned char *text, size_t bytes); /* length of the match that begins here, > 0 */
    struct ech_regex *regex;                                 /* owned */
    char *string;                                            /* owned */
    size_t string_bytes;
    unsigned classes; /* of unicode.h */
    size_t length;
    enum ech_cut_prefix prefix; /* of METASPACE */
    bool split;                 /* METASPACE: cut before each `string` */
};

struct ech_cutter {
    struct ech_cut_stage *stages;
    size_t count, capacity;
};

/* What the stage owns moves in, also on failure. */
int ech_cutter_add(struct ech_cutter *cutter, struct ech_cut_stage stage, struct ech_err *err);
/* Take the last stage away again. */
void ech_cutter_pop(struct ech_cutter *cutter);
void ech_cutter_fini(struct ech_cutter *cutter);

/* One thread's memory. */
struct ech_cut_scratch {
    struct ech_cut_buffer {
        unsigned char *text;
        size_t capacity;
    } * buffers; /* of each stage */
    size_t count;
    struct ech_regex_scratch *regex;
};
void ech_cut_scratch_fini(struct ech_cut_scratch *scratch);

/* Where words go; `word` returns a code, and `done` may end the work early. */
struct ech_cut_out {
    int (*word)(void *context, const unsigned char *text, size_t bytes, struct ech_err *err);
    bool (*done)(const void *context);
    void *context;
};
/* Cut a text; `first`: it begins where the raw text begins. */
int ech_cut(const struct ech_cutter *cutter, struct ech_cut_scratch *scratch, struct ech_cut_text text,
            bool first, const struct ech_cut_out *out, struct ech_err *err);

#endif
