/* Kind retrieve as data: for each query the top k rows of a dataset of vectors. */
#include "config/kinds/retrieve.h"

#include "config/kinds/encode.h"
#include "config/kinds/kinds.h"

#define AT(member) offsetof(struct ech_retrieve_options, member)

static const char *const metric_choices[] = {"cosine", "dot", NULL};

static const struct ech_field options[] = {
    {"options.index", ECH_F_PATH, AT(index), .required = true, .affects = true,
     .example = "out/reviews-vectors", .doc = "Dataset of the vectors that are searched"},
    {"options.column", ECH_F_STRING, AT(column), .fallback = "embedding", .affects = true,
     .doc = "Its column of vectors"},
    {"options.top_k", ECH_F_INT, AT(top_k), .fallback = "10", .least = 1, .most = 100000, .affects = true,
     .doc = "Hits for each query; where the index has fewer rows, row -1 and score NaN fill up"},
    {"options.metric", ECH_F_CHOICE, AT(metric), .fallback = "cosine", .choices = metric_choices,
     .affects = true, .doc = "How near two vectors are"},
    {"options.join", ECH_F_LIST, AT(join), .affects = true, .example = "[text]",
     .doc = "Columns of the index copied for each hit, as hits.NAME"},
    {"options.query", ECH_F_LIST, AT(query), .affects = true, .example = "[draw a graph]",
     .doc = "Query texts, instead of input.dataset"},
    ECH_ENCODE_FIELDS(struct ech_retrieve_options, encode.),
    {0},
};

static const struct ech_kind_column inputs[] = {
    {"input", "text|tensor", NULL, NULL, NULL},
    {0},
};

static const struct ech_kind_column outputs[] = {
    {"rows", "ints", "i64", "options.top_k", NULL},
    {"scores", "tensor", "f32", "options.top_k", NULL},
    {"hits.*", "json", NULL, NULL, "options.join"},
    {"errors", "text", NULL, NULL, NULL},
    {0},
};

const struct ech_kind ech_retrieve_kind = {
    .name = "retrieve",
    .version = 1,
    .summary = "for each query the nearest rows of a dataset of vectors",
    .inputs = inputs,
    .outputs = outputs,
    .options = options,
    .options_bytes = sizeof(struct ech_retrieve_options),
    .needs_input = false,
    .needs_model = false,
};
