/* Conversations as models were trained to read them. A model's own template is a program in another language;
 * those of the field's families are written out here as what stands round each role's text, and which one a
 * model wants, in which of its spellings, is told from the template's text. The beginning-of-text token is
 * the tokenizer's business and not part of this.
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
    ECH_CHAT_LLAMA31, /* always a system turn, with the two dates of the publisher's template */
    ECH_CHAT_GEMMA,
    ECH_CHAT_MISTRAL,
    ECH_CHAT_MISTRAL7, /* a system turn of its own */
    ECH_CHAT_PHI,
    ECH_CHAT_PHI4,
    ECH_CHAT_PHI4_MINI,
    ECH_CHATS
};
const char *ech_chat_name(enum ech_chat chat); /* "none", "chatml", ... */

enum ech_role { ECH_ROLE_SYSTEM, ECH_ROLE_USER, ECH_ROLE_ASSISTANT, ECH_ROLES };
struct ech_message {
    enum ech_role role;
    const char *text;
    size_t bytes;
};

struct ech_chat_style {
    enum ech_chat chat;
    const char *before[ECH_ROLES], *after[ECH_ROLES];
    const char *opens;   /* the answer */
    const char *ends[3]; /* tokens that end an answer beside the model's end of text; NULL-terminated */
    unsigned trims;      /* of these roles (bits) white space round the text goes */
    bool joined;        /* the system's text, with before and after of its own, stands in a user's turn ... */
    bool joined_last;   /* ... the last one's, not the first's */
    bool joined_left;   /* and keeps the white space before that turn's own text */
    bool alternates;    /* user and assistant must take turns */
    bool system_always; /* a system turn even where there is no system message */
    const char *system; /* said where a conversation has no system message; NULL: nothing; borrowed */
    size_t system_bytes;
};
/* The family's usual spelling. */
struct ech_chat_style ech_chat_style(enum ech_chat chat);
/* What a template's text asks for (`system` lies in it); chat NONE where it is of no known family, or NULL.
 */
struct ech_chat_style ech_chat_style_read(const char *text);

/* Where a message's own text stands in the rendered one. */
struct ech_chat_part {
    size_t start, end;
};
/* The conversation up to where the assistant's next answer begins, into `out`; parts (count) may be NULL.
 * Errors  ECH_DATA: no user's message, a system message that is not the first, turns that do not alternate
 *         where they must, or the last one is the assistant's. ECH_UNAVAILABLE. */
int ech_chat_render(const struct ech_chat_style *style, const struct ech_message *messages, int64_t count,
                    struct ech_str *out, struct ech_chat_part *parts, struct ech_err *err);

#endif
