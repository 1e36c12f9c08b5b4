/* Heads of encoders: the pooler of BERT and its like, and the classes of *ForSequenceClassification and
 * *ForTokenClassification. Which one a file has is said by "architectures" in its config.json, its labels by
 * "id2label". A head that is asked for and not known is an error that names it. */
#ifndef ECH_MODEL_HEADS_H
#define ECH_MODEL_HEADS_H

#include "model/spec.h"

/* What makes scores of logits. */
enum ech_class_act { ECH_CLASS_SOFTMAX, ECH_CLASS_SIGMOID, ECH_CLASS_NONE };

struct ech_labels {
    char **names;
    int64_t count;
    enum ech_class_act act; /* as the model's files say */
    bool tokens;            /* each token has a label, not the row */
};

/* The pooler: a dense layer with tanh on the first token's state.
 * Errors  ECH_CONFIG: models of this type have none. */
int ech_spec_read_pooler(const char *path, struct ech_spec *spec, struct ech_err *err);
/* The classes that the file says it has. Owner of out: the caller, ech_labels_fini.
 * Errors  ECH_DATA: the file has no head of classes, by name; malformed labels; a head or a function of the
 *         scores that is not known here. */
int ech_spec_read_classes(const char *path, const json_t *config, struct ech_spec *spec,
                          struct ech_labels *out, struct ech_err *err);
void ech_labels_fini(struct ech_labels *labels);

#endif
