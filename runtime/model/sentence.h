/* What makes an encoder a sentence encoder: modules.json, 1_Pooling, sentence_bert_config.json and the
 * model's own prompts. A plain folder without modules.json: mean pooling, not normalised. */
#ifndef ECH_MODEL_SENTENCE_H
#define ECH_MODEL_SENTENCE_H

#include "base/err.h"
#include "kernels/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ECH_SENTENCE_FILES = 8 };

struct ech_sentence {
    char *folder; /* of the transformer: the model's folder or one below it */
    char *inner;  /* the same relative to the model's folder, "" or "0_Transformer" */
    enum ech_pool pooling;
    bool pooled; /* modules.json says the pooling */
    bool normalize;
    bool lower;         /* do_lower_case: the text is lowered before the tokenizer sees it */
    int64_t max_tokens; /* sentence_bert_config, else tokenizer_config's model_max_length; 0: not stated */
    int64_t dim;        /* that the pooling states; 0: not stated */
    char *prompt;       /* text to put before each row, or NULL */
    char *files[ECH_SENTENCE_FILES + 1]; /* read, relative to the model's folder */
    int files_count;
};

/* prompt: a name among the model's prompts, or NULL for its default.
 * Errors  ECH_NOINPUT: no such folder; ECH_DATA: malformed, or a module or a pooling that is not supported;
 *         ECH_CONFIG: no prompt of that name (the nearest is named). */
int ech_sentence_read(const char *folder, const char *prompt, struct ech_sentence *out, struct ech_err *err);
void ech_sentence_fini(struct ech_sentence *sentence);

#endif
