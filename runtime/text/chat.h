/* Conversations as models were trained to read them. A model's own template is a program in another language;
 * those of the field's families are written out here, and which one a model wants is told from the template's
 * text. The beginning-of-text token is the tokenizer's business and not part of this.
 * Source  the chat templates that the models' publishers ship. */
#ifndef ECH_TEXT_CHAT_H
#define ECH_TEXT_CHAT_H

#include "base/err.h"
#include "base/str.h"

enum ech_chat {
    ECH_CHAT_NONE, /* the text as it is */
    ECH_CHAT_CHATML,
    ECH_CHAT_LLAMA2,
    ECH_CHAT_LLAMA3,
    ECH_CHAT_GEMMA,
    ECH_CHAT_MISTRAL,
    ECH_CHAT_PHI,
    ECH_CHATS
};
const char *ech_chat_name(enum ech_chat chat); /* "none", "chatml", ... */
/* Of a template's text; NONE where it is of no known family. */
enum ech_chat ech_chat_of_template(const char *text);
/* Tokens that end an answer beside the model's end of text; NULL-terminated. */
const char *const *ech_chat_ends(enum ech_chat chat);

enum ech_role { ECH_ROLE_SYSTEM, ECH_ROLE_USER, ECH_ROLE_ASSISTANT };
struct ech_message {
    enum ech_role role;
    const char *text;
    size_t bytes;
};

/* Where a message's own text stands in the rendered one. */
struct ech_chat_part {
    size_t start, end;
};
/* The conversation up to where the assistant's next answer begins, into `out`; parts (count) may be NULL.
 * Errors  ECH_DATA: no message, a system message that is not the first, turns that do not alternate from the
 *         user's on, or the last one is the assistant's. ECH_UNAVAILABLE. */
int ech_chat_render(enum ech_chat chat, const struct ech_message *messages, int64_t count,
                    struct ech_str *out, struct ech_chat_part *parts, struct ech_err *err);

#endif
