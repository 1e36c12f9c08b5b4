/* Chat templates: see chat.h. One row a family says what stands round each role's text. */
#include "text/chat.h"

#include <stdbool.h>
#include <string.h>

struct family {
    const char *name, *sign; /* sign: in the text of a template of this family and of no earlier row */
    const char *before[3], *after[3]; /* by role */
    const char *opens;                /* the answer */
    bool trims;                       /* white space round each text goes */
    bool system_in_user; /* the system's text, with before and after of its own, stands in the first user turn
                          */
    const char *ends[3];
};

static const struct family families[ECH_CHATS] = {
    [ECH_CHAT_NONE] = {.name = "none"},
    [ECH_CHAT_CHATML] = {.name = "chatml",
                         .sign = "<|im_start|>",
                         .before = {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"},
                         .after = {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"},
                         .opens = "<|im_start|>assistant\n",
                         .ends = {"<|im_end|>"}},
    [ECH_CHAT_LLAMA2] = {.name = "llama2",
                         .sign = "<<SYS>>",
                         .before = {"<<SYS>>\n", "[INST] ", " "},
                         .after = {"\n<</SYS>>\n\n", " [/INST]", " </s><s>"},
                         .opens = "",
                         .trims = true,
                         .system_in_user = true,
                         .ends = {"</s>"}},
    [ECH_CHAT_LLAMA3] = {.name = "llama3",
                         .sign = "<|start_header_id|>",
                         .before = {"<|start_header_id|>system<|end_header_id|>\n\n",
                                    "<|start_header_id|>user<|end_header_id|>\n\n",
                                    "<|start_header_id|>assistant<|end_header_id|>\n\n"},
                         .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},
                         .opens = "<|start_header_id|>assistant<|end_header_id|>\n\n",
                         .trims = true,
                         .ends = {"<|eot_id|>", "<|eom_id|>"}},
    [ECH_CHAT_GEMMA] = {.name = "gemma",
                        .sign = "<start_of_turn>",
                        .before = {"", "<start_of_turn>user\n", "<start_of_turn>model\n"},
                        .after = {"\n\n", "<end_of_turn>\n", "<end_of_turn>\n"},
                        .opens = "<start_of_turn>model\n",
                        .trims = true,
                        .system_in_user = true,
                        .ends = {"<end_of_turn>"}},
    [ECH_CHAT_MISTRAL] = {.name = "mistral",
                          .sign = "[INST]",
                          .before = {"", "[INST] ", " "},
                          .after = {"\n\n", " [/INST]", "</s>"},
                          .opens = "",
                          .system_in_user = true,
                          .ends = {"</s>"}},
    [ECH_CHAT_PHI] = {.name = "phi",
                      .sign = "<|end|>",
                      .before = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
                      .after = {"<|end|>\n", "<|end|>\n", "<|end|>\n"},
                      .opens = "<|assistant|>\n",
                      .ends = {"<|end|>"}},
};

const char *ech_chat_name(enum ech_chat chat)
{
    return families[chat].name;
}

enum ech_chat ech_chat_of_template(const char *text)
{
    for (int chat = ECH_CHAT_CHATML; text && chat < ECH_CHATS; chat++)
        if (strstr(text, families[chat].sign))
            return (enum ech_chat)chat;
    return ECH_CHAT_NONE;
}

const char *const *ech_chat_ends(enum ech_chat chat)
{
    return families[chat].ends;
}

static int check_turns(const struct ech_message *messages, int64_t count, struct ech_err *err)
{
    static const char *const names[] = {"system", "user", "assistant"};
    int64_t first = count > 0 && messages[0].role == ECH_ROLE_SYSTEM;
    for (int64_t i = first; i < count; i++) {
        enum ech_role wanted = (i - first) % 2 == 0 ? ECH_ROLE_USER : ECH_ROLE_ASSISTANT;
        if (messages[i].role != wanted)
            return ech_fail(err, ECH_DATA, "message %lld is the %s's, the %s's was expected",
                            (long long)i + 1, names[messages[i].role], names[wanted]);
    }
    if (count == first)
        return ech_fail(err, ECH_DATA, "a conversation without a user's message");
    if (messages[count - 1].role == ECH_ROLE_ASSISTANT)
        return ech_fail(err, ECH_DATA, "the last message is the assistant's, the user's was expected");
    return ECH_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_text(const struct family *f, const struct ech_message *m, struct ech_str *out,
                     struct ech_chat_part *part)
{
    size_t start = 0, end = m->bytes;
    while (f->trims && start < end && is_blank(m->text[start]))
        start++;
    while (f->trims && end > start && is_blank(m->text[end - 1]))
        end--;
    size_t from = out->length;
    ech_str_add(out, m->text + start, end - start);
    if (part)
        *part = (struct ech_chat_part){from, out->length};
}

static void add_message(const struct family *f, const struct ech_message *m, struct ech_str *out,
                        struct ech_chat_part *part)
{
    ech_str_adds(out, f->before[m->role]);
    add_text(f, m, out, part);
    ech_str_adds(out, f->after[m->role]);
}

int ech_chat_render(enum ech_chat chat, const struct ech_message *messages, int64_t count,
                    struct ech_str *out, struct ech_chat_part *parts, struct ech_err *err)
{
    const struct family *f = &families[chat];
    if (chat == ECH_CHAT_NONE)
        return ech_fail(err, ECH_DATA,
                        "the model has no chat template: one text was expected, not a conversation");
    int code = check_turns(messages, count, err);
    if (code != ECH_OK)
        return code;
    int64_t i = 0;
    if (f->system_in_user && messages[0].role == ECH_ROLE_SYSTEM) {
        ech_str_adds(out, f->before[ECH_ROLE_USER]);
        add_message(f, &messages[0], out, parts);
        add_text(f, &messages[1], out, parts ? &parts[1] : NULL);
        ech_str_adds(out, f->after[ECH_ROLE_USER]);
        i = 2;
    }
    for (; i < count; i++)
        add_message(f, &messages[i], out, parts ? &parts[i] : NULL);
    ech_str_adds(out, f->opens);
    return ech_str_check(out, err);
}
