/* Normalisers: a chain of steps, each from one buffer to the next. Text is valid UTF-8 throughout. */
#ifndef ECH_TEXT_NORMAL_H
#define ECH_TEXT_NORMAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ech_regex_scratch;

/* Scratch of one thread: the text made so far, marks that wait for their order, a regex's memory. */
struct ech_normal {
    unsigned char *text;
    size_t bytes, capacity;
    struct ech_mark {
        int32_t c;
        int order;
    } * marks, *sorted;
    size_t marks_count, marks_capacity, sorted_capacity;
    struct ech_regex_scratch *regex;
    bool front_gone; /* set by a step that drops what the text begins with */
};

void ech_normal_fini(struct ech_normal *normal);
/* Room for `bytes` more, and bytes put behind the text. */
int ech_normal_reserve(struct ech_normal *normal, size_t bytes, struct ech_err *err);
int ech_normal_put(struct ech_normal *normal, const void *text, size_t bytes, struct ech_err *err);

/* One component. `apply` appends what becomes of the whole text to `out`; `unchanged`, where given, may say
 * quickly that nothing becomes of it, and then apply is not called. */
struct ech_normal_step {
    int (*apply)(const void *data, const unsigned char *text, size_t bytes, struct ech_normal *out,
                 struct ech_err *err);
    bool (*unchanged)(const void *data, const unsigned char *text, size_t bytes);
    void (*close)(void *data); /* NULL: nothing to free */
    void *data;
};

struct ech_normalizer {
    struct ech_normal_step *steps;
    size_t count, capacity;
};

/* `step.data` moves in, also on failure. */
int ech_normalizer_add(struct ech_normalizer *normalizer, struct ech_normal_step step, struct ech_err *err);
void ech_normalizer_fini(struct ech_normalizer *normalizer);
/* All steps: *text and *bytes become the result, which lies in one of the buffers or is the text itself.
 * *front becomes false where what the text began with is gone. */
int ech_normalize(const struct ech_normalizer *normalizer, struct ech_normal buffers[2],
                  const unsigned char **text, size_t *bytes, bool *front, struct ech_err *err);

#endif
