/* From token ids to the hidden states that enter the first layer. */
#ifndef ECH_MODEL_EMBED_H
#define ECH_MODEL_EMBED_H

#include "model/layer.h"

/* A pass over the sequences of the work's input: tokens, rotary tables. */
struct ech_pass ech_pass_over(const struct ech_net *net, struct ech_work *w, int64_t sequences);
/* Positions of whole sequences: from the first, pad tokens left out where the model does so; their rows of
 * the rotary tables. */
void ech_number_positions(const struct ech_pass *pass);
/* One token's rows of the rotary tables, in a sequence that is `length` tokens long so far. */
void ech_number_turns(const struct ech_net *net, struct ech_work *w, int64_t token, int64_t index,
                      int64_t length);
/* Device memory gets its copy of the input. An enum ech_op_status, as below. */
int ech_put_input(struct ech_pass *pass);
/* x (T, d), and the feed where a norm makes it. */
int ech_embed(struct ech_pass *pass);

#endif
