/* Chat templates: see chat.h. One row a family says what stands round each role's text. */
#include "text/chat.h"

#include <string.h>

enum { SYSTEM = 1 << ECH_ROLE_SYSTEM, USER = 1 << ECH_ROLE_USER, ASSISTANT = 1 << ECH_ROLE_ASSISTANT };

struct family {
    const char *name;
    const char *sign, *unless; /* in the text of a template of this family and of no earlier row; not in it */
    struct ech_chat_style style;
};

/* The order is that in which a template's signs are looked for (`order`), not that of the enum. */
static const struct family families[ECH_CHATS] = {
    [ECH_CHAT_NONE] = {.name = "none"},
    [ECH_CHAT_CHATML] = {.name = "chatml",
                         .sign = "<|im_start|>",
                         .style = {.before = {"<|im_start|>system\n", "<|im_start|>user\n",
                                              "<|im_start|>assistant\n"},
                                   .after = {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"},
                                   .opens = "<|im_start|>assistant\n",
                                   .ends = {"<|im_end|>"}}},
    [ECH_CHAT_LLAMA2] = {.name = "llama2",
                         .sign = "<<SYS>>",
                         .style = {.before = {"<<SYS>>\n", "[INST] ", " "},
                                   .after = {"\n<</SYS>>\n\n", " [/INST]", " </s><s>"},
                                   .opens = "",
                                   .ends = {"</s>"},
                                   .trims = USER | ASSISTANT,
                                   .joined = true,
                                   .joined_left = true,
                                   .alternates = true}},
    [ECH_CHAT_LLAMA3] = {.name = "llama3",
                         .sign = "<|start_header_id|>",
                         .style = {.before = {"<|start_header_id|>system<|end_header_id|>\n\n",
                                              "<|start_header_id|>user<|end_header_id|>\n\n",
                                              "<|start_header_id|>assistant<|end_header_id|>\n\n"},
                                   .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},
                                   .opens = "<|start_header_id|>assistant<|end_header_id|>\n\n",
                                   .ends = {"<|eot_id|>", "<|eom_id|>"},
                                   .trims = SYSTEM | USER | ASSISTANT}},
    [ECH_CHAT_LLAMA31] = {.name = "llama3.1",
                          .sign = "Cutting Knowledge Date: December 2023",
                          .style = {.before = {"<|start_header_id|>system<|end_header_id|>\n\n"
                                               "Cutting Knowledge Date: December 2023\n"
                                               "Today Date: 26 Jul 2024\n\n",
                                               "<|start_header_id|>user<|end_header_id|>\n\n",
                                               "<|start_header_id|>assistant<|end_header_id|>\n\n"},
                                    .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},
                                    .opens = "<|start_header_id|>assistant<|end_header_id|>\n\n",
                                    .ends = {"<|eot_id|>", "<|eom_id|>"},
                                    .trims = SYSTEM | USER | ASSISTANT,
                                    .system_always = true}},
    [ECH_CHAT_GEMMA] = {.name = "gemma",
                        .sign = "<start_of_turn>",
                        .style = {.before = {"", "<start_of_turn>user\n", "<start_of_turn>model\n"},
                                  .after = {"\n\n", "<end_of_turn>\n", "<end_of_turn>\n"},
                                  .opens = "<start_of_turn>model\n",
                                  .ends = {"<end_of_turn>"},
                                  .trims = USER | ASSISTANT,
                                  .joined = true,
                                  .alternates = true}},
    [ECH_CHAT_MISTRAL] = {.name = "mistral",
                          .sign = "[INST]",
                          .style = {.before = {"", "[INST] ", ""},
                                    .after = {"\n\n", " [/INST]", "</s>"},
                                    .opens = "",
                                    .ends = {"</s>"},
                                    .joined = true,
                                    .alternates = true}},
    [ECH_CHAT_MISTRAL7] = {.name = "mistral7",
                           .sign = "[SYSTEM_PROMPT]",
                           .style = {.before = {"[SYSTEM_PROMPT]", "[INST]", ""},
                                     .after = {"[/SYSTEM_PROMPT]", "[/INST]", "</s>"},
                                     .opens = "",
                                     .ends = {"</s>"},
                                     .alternates = true}},
    [ECH_CHAT_PHI] = {.name = "phi",
                      .sign = "<|end|>",
                      .unless = "<|message|>",
                      .style = {.before = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
                                .after = {"<|end|>\n", "<|end|>\n", "<|end|>\n"},
                                .opens = "<|assistant|>\n",
                                .ends = {"<|end|>"}}},
    [ECH_CHAT_PHI4] = {.name = "phi4",
                       .sign = "<|im_sep|>",
                       .style = {.before = {"<|im_start|>system<|im_sep|>", "<|im_start|>user<|im_sep|>",
                                            "<|im_start|>assistant<|im_sep|>"},
                                 .after = {"<|im_end|>", "<|im_end|>", "<|im_end|>"},
                                 .opens = "<|im_start|>assistant<|im_sep|>",
                                 .ends = {"<|im_end|>"}}},
    [ECH_CHAT_PHI4_MINI] = {.name = "phi4-mini",
                            .style = {.before = {"<|system|>", "<|user|>", "<|assistant|>"},
                                      .after = {"<|end|>", "<|end|>", "<|end|>"},
                                      .opens = "<|assistant|>",
                                      .ends = {"<|end|>"}}},
};

const char *ech_chat_name(enum ech_chat chat)
{
    return families[chat].name;
}

struct ech_chat_style ech_chat_style(enum ech_chat chat)
{
    struct ech_chat_style style = families[chat].style;
    style.chat = chat;
    return style;
}

/* --- what a template's text says --- */

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* A literal of the template's language, in either quotes: quoted(text, " [INST] ", "") is true where one
 * begins so; `behind` must follow its end. */
static bool quoted(const char *text, const char *literal, const char *behind)
{
    char both[2][64];
    for (int i = 0; i < 2; i++) {
        char quote = i ? '"' : '\'';
        size_t n = 0;
        both[i][n++] = quote;
        for (const char *c = literal; *c; c++)
            both[i][n++] = *c;
        if (*behind)
            both[i][n++] = quote;
        for (const char *c = behind; *c; c++)
            both[i][n++] = *c;
        both[i][n] = '\0';
    }
    return has(text, both[0]) || has(text, both[1]);
}

/* Publishers of these families differ in blanks, and in which turn the system's text stands. */
static void read_mistral(const char *text, struct ech_chat_style *s)
{
    s->before[ECH_ROLE_USER] = quoted(text, " [INST] ", "")  ? " [INST] "
                               : quoted(text, "[INST] ", "") ? "[INST] "
                                                             : "[INST]";
    s->after[ECH_ROLE_USER] = quoted(text, " [/INST]", "") ? " [/INST]" : "[/INST]";
    s->before[ECH_ROLE_ASSISTANT] =
        quoted(text, " ", " + message") || quoted(text, " ", " + content") ? " " : "";
    s->after[ECH_ROLE_ASSISTANT] =
        has(text, "eos_token + ' '") || has(text, "eos_token + \" \"") ? "</s> " : "</s>";
    if (quoted(text, "[SYSTEM_PROMPT] ", ""))
        s->before[ECH_ROLE_SYSTEM] = "[SYSTEM_PROMPT] ";
    s->joined_last = s->joined && has(text, "loop.last and system_message");
    if (has(text, "|trim + eos_token"))
        s->trims |= ASSISTANT;
}

/* Is a new line written behind the end of a turn? */
static bool breaks_line(const char *text)
{
    static const char *const ways[] = {"<|end|>\n", "<|end|>\\n", "<|end|>' + '\n", "<|end|>' + '\\n",
                                       "<|end|>\" + \"\\n"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (has(text, ways[i]))
            return true;
    return false;
}

/* A whole system turn in one literal is what is said where nobody else says anything. */
static void read_system(const char *text, struct ech_chat_style *s)
{
    static const char start[] = "<|im_start|>system", end[] = "<|im_end|>";
    for (const char *at = text; (at = strstr(at, start));) {
        at += sizeof start - 1;
        const char *from = at + (*at == '\n' ? 1 : strncmp(at, "\\n", 2) == 0 ? 2 : 0);
        size_t bytes = strcspn(from, "'\"{}\\<\n");
        if (from > at && bytes > 0 && strncmp(from + bytes, end, sizeof end - 1) == 0) {
            s->system = from;
            s->system_bytes = bytes;
            return;
        }
    }
}

struct ech_chat_style ech_chat_style_read(const char *text)
{
    static const enum ech_chat order[] = {ECH_CHAT_PHI4,     ECH_CHAT_CHATML,  ECH_CHAT_LLAMA2,
                                          ECH_CHAT_LLAMA31,  ECH_CHAT_LLAMA3,  ECH_CHAT_GEMMA,
                                          ECH_CHAT_MISTRAL7, ECH_CHAT_MISTRAL, ECH_CHAT_PHI};
    enum ech_chat chat = ECH_CHAT_NONE;
    for (size_t i = 0; text && chat == ECH_CHAT_NONE && i < sizeof order / sizeof *order; i++) {
        const struct family *f = &families[order[i]];
        if (has(text, f->sign) && !(f->unless && has(text, f->unless)))
            chat = order[i];
    }
    if (chat == ECH_CHAT_PHI && !breaks_line(text))
        chat = ECH_CHAT_PHI4_MINI;
    struct ech_chat_style style = ech_chat_style(chat);
    if (chat == ECH_CHAT_MISTRAL || chat == ECH_CHAT_MISTRAL7)
        read_mistral(text, &style);
    if (chat == ECH_CHAT_CHATML)
        read_system(text, &style);
    return style;
}

/* --- rendering --- */

static int check_turns(const struct ech_chat_style *style, const struct ech_message *messages, int64_t count,
                       struct ech_err *err)
{
    static const char *const names[] = {"system", "user", "assistant"};
    int64_t first = count > 0 && messages[0].role == ECH_ROLE_SYSTEM;
    for (int64_t i = first; i < count; i++) {
        enum ech_role role = messages[i].role, other = (i - first) % 2 ? ECH_ROLE_ASSISTANT : ECH_ROLE_USER;
        if (role == ECH_ROLE_SYSTEM || (style->alternates && role != other))
            return ech_fail(err, ECH_DATA, "message %lld is the %s's, the %s's was expected",
                            (long long)i + 1, names[role],
                            style->alternates ? names[other] : "user's or the assistant");
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

static void add_text(const struct ech_message *m, bool left, bool right, struct ech_str *out,
                     struct ech_chat_part *part)
{
    size_t start = 0, end = m->bytes;
    while (left && start < end && is_blank(m->text[start]))
        start++;
    while (right && end > start && is_blank(m->text[end - 1]))
        end--;
    size_t from = out->length;
    ech_str_add(out, m->text + start, end - start);
    if (part)
        *part = (struct ech_chat_part){from, out->length};
}

/* inside: the system's message where it stands in this turn, with its part. */
static void add_message(const struct ech_chat_style *s, const struct ech_message *m,
                        const struct ech_message *inside, struct ech_str *out, struct ech_chat_part *part,
                        struct ech_chat_part *inside_part)
{
    bool trims = s->trims >> m->role & 1;
    ech_str_adds(out, s->before[m->role]);
    if (inside) {
        ech_str_adds(out, s->before[ECH_ROLE_SYSTEM]);
        add_text(inside, s->trims & SYSTEM, s->trims & SYSTEM, out, inside_part);
        ech_str_adds(out, s->after[ECH_ROLE_SYSTEM]);
    }
    add_text(m, trims && !(inside && s->joined_left), trims, out, part);
    ech_str_adds(out, s->after[m->role]);
}

int ech_chat_render(const struct ech_chat_style *s, const struct ech_message *messages, int64_t count,
                    struct ech_str *out, struct ech_chat_part *parts, struct ech_err *err)
{
    if (s->chat == ECH_CHAT_NONE)
        return ech_fail(err, ECH_DATA,
                        "the model has no chat template: one text was expected, not a conversation");
    int code = check_turns(s, messages, count, err);
    if (code != ECH_OK)
        return code;
    const struct ech_message standing = {ECH_ROLE_SYSTEM, s->system ? s->system : "", s->system_bytes};
    bool given = messages[0].role == ECH_ROLE_SYSTEM;
    const struct ech_message *system = given                           ? &messages[0]
                                       : s->system || s->system_always ? &standing
                                                                       : NULL;
    struct ech_chat_part *system_part = given ? parts : NULL;
    int64_t host = s->joined_last ? count - 1 : given;
    if (system && !s->joined)
        add_message(s, system, NULL, out, system_part, NULL);
    for (int64_t i = given; i < count; i++)
        add_message(s, &messages[i], s->joined && i == host ? system : NULL, out, parts ? &parts[i] : NULL,
                    system_part);
    ech_str_adds(out, s->opens);
    return ech_str_check(out, err);
}
