/* Conversations written as the publishers' templates write them. What is expected here was compared with
 * their templates run by the template language's own interpreter. */
#include "tests/harness.h"

#include "base/mem.h"
#include "text/chat.h"

static const char *const roles[] = {"system", "user", "assistant"};

/* "system:...|user:...|..." into messages. */
static int64_t parse(const char *text, struct ech_message *out)
{
    int64_t count = 0;
    while (*text) {
        size_t bytes = strcspn(text, "|"), name = strcspn(text, ":");
        int role = 0;
        while (strncmp(text, roles[role], name) != 0)
            role++;
        out[count++] = (struct ech_message){(enum ech_role)role, text + name + 1, bytes - name - 1};
        text += bytes + (text[bytes] == '|');
    }
    return count;
}

static void writes(const struct ech_chat_style *style, const char *conversation, const char *want)
{
    struct ech_message messages[16];
    struct ech_chat_part parts[16];
    struct ech_err err = ECH_ERR_NONE;
    struct ech_str out;
    ech_str_init(&out);
    int64_t count = parse(conversation, messages);
    if (ech_chat_render(style, messages, count, &out, parts, &err) != ECH_OK)
        fail_msg("%s: %s", ech_chat_name(style->chat), err.text);
    if (strcmp(out.data, want) != 0)
        fail_msg("%s:\n\"%s\", expected:\n\"%s\"", ech_chat_name(style->chat), out.data, want);
    for (int64_t i = 0; i < count; i++) { /* each part is its message's text, less white space round it */
        size_t bytes = parts[i].end - parts[i].start;
        const char *at = memmem(messages[i].text, messages[i].bytes, out.data + parts[i].start, bytes);
        assert_true(parts[i].end <= out.length && at);
        for (const char *c = messages[i].text; c < messages[i].text + messages[i].bytes; c++)
            assert_true((c >= at && c < at + bytes) || *c == ' ');
    }
    ech_str_fini(&out);
}

#define LONG  "system: Be brief. |user: Hi. |assistant: Yo. |user: Bye. "
#define SHORT "user: Hi. "

static const struct {
    enum ech_chat chat;
    const char *whole, *one;
} wanted[] = {
    {ECH_CHAT_CHATML,
     "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\n Hi. <|im_end|>\n<|im_start|>assistant\n "
     "Yo. "
     "<|im_end|>\n<|im_start|>user\n Bye. <|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>user\n Hi. <|im_end|>\n<|im_start|>assistant\n"},
    {ECH_CHAT_LLAMA2, "[INST] <<SYS>>\n Be brief. \n<</SYS>>\n\n Hi. [/INST] Yo. </s><s>[INST] Bye. [/INST]",
     "[INST] Hi. [/INST]"},
    {ECH_CHAT_LLAMA3,
     "<|start_header_id|>system<|end_header_id|>\n\nBe "
     "brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
     "Hi.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYo.<|eot_id|><|start_header_id|>user"
     "<|end_header_id|>\n\nBye.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
     "\n\n"},
    {ECH_CHAT_LLAMA31,
     "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 "
     "Jul 2024\n\n"
     "Be "
     "brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|><|start_header_id|>assistant"
     "<|end_header_id|>\n\nYo.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye.<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 "
     "Jul 2024\n\n"
     "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|><|start_header_id|>assistant"
     "<|end_header_id|>\n\n"},
    {ECH_CHAT_GEMMA,
     "<start_of_turn>user\n Be brief. "
     "\n\nHi.<end_of_turn>\n<start_of_turn>model\nYo.<end_of_turn>\n<start_of_turn>"
     "user\nBye.<end_of_turn>\n<start_of_turn>model\n",
     "<start_of_turn>user\nHi.<end_of_turn>\n<start_of_turn>model\n"},
    {ECH_CHAT_MISTRAL, "[INST]  Be brief. \n\n Hi.  [/INST] Yo. </s>[INST]  Bye.  [/INST]",
     "[INST]  Hi.  [/INST]"},
    {ECH_CHAT_MISTRAL7,
     "[SYSTEM_PROMPT] Be brief. [/SYSTEM_PROMPT][INST] Hi. [/INST] Yo. </s>[INST] Bye. [/INST]",
     "[INST] Hi. [/INST]"},
    {ECH_CHAT_PHI,
     "<|system|>\n Be brief. <|end|>\n<|user|>\n Hi. <|end|>\n<|assistant|>\n Yo. <|end|>\n<|user|>\n Bye. "
     "<|end|>\n"
     "<|assistant|>\n",
     "<|user|>\n Hi. <|end|>\n<|assistant|>\n"},
    {ECH_CHAT_PHI4,
     "<|im_start|>system<|im_sep|> Be brief. <|im_end|><|im_start|>user<|im_sep|> Hi. "
     "<|im_end|><|im_start|>assistant"
     "<|im_sep|> Yo. <|im_end|><|im_start|>user<|im_sep|> Bye. <|im_end|><|im_start|>assistant<|im_sep|>",
     "<|im_start|>user<|im_sep|> Hi. <|im_end|><|im_start|>assistant<|im_sep|>"},
    {ECH_CHAT_PHI4_MINI,
     "<|system|> Be brief. <|end|><|user|> Hi. <|end|><|assistant|> Yo. <|end|><|user|> Bye. "
     "<|end|><|assistant|>",
     "<|user|> Hi. <|end|><|assistant|>"},
};

static void families(void **state)
{
    (void)state;
    assert_int_equal(sizeof wanted / sizeof *wanted, ECH_CHATS - 1);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct ech_chat_style style = ech_chat_style(wanted[i].chat);
        assert_int_equal(style.chat, wanted[i].chat);
        writes(&style, LONG, wanted[i].whole);
        writes(&style, SHORT, wanted[i].one);
    }
}

/* Which family a template is of, by pieces of templates. */
static void told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } templates[] = {
        {NULL, "none"},
        {"", "none"},
        {"{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}", "none"},
        {"{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}", "none"},
        {"{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}", "chatml"},
        {"{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}", "phi4"},
        {"{{ '[INST] <<SYS>>\\n' + s + '\\n<</SYS>>\\n\\n' + m.content + ' [/INST]' }}", "llama2"},
        {"{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}", "llama3"},
        {"{{ '<|start_header_id|>' }}{{ 'Cutting Knowledge Date: December 2023\\n' }}", "llama3.1"},
        {"{{ '<start_of_turn>' + role + '\\n' + m.content + '<end_of_turn>\\n' }}", "gemma"},
        {"{{ '[INST] ' + m.content + ' [/INST]' }}", "mistral"},
        {"{{ '[SYSTEM_PROMPT]' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST]' + m.content + '[/INST]' }}",
         "mistral7"},
        {"{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}", "phi"},
        {"{{ '<|' + m.role + '|>' + '\\n' + m.content + '<|end|>' + '\\n' }}", "phi"},
        {"{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}", "phi4-mini"},
    };
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        assert_string_equal(ech_chat_name(ech_chat_style_read(templates[i].text).chat), templates[i].name);
}

/* Spellings of one family: its publishers differ in blanks and in where the system's text stands. */
static void spellings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *whole;
    } mistral[] = {
        {"{{ bos_token }}{{ '[INST] ' + m['content'] + ' [/INST]' }}{{ m['content'] + eos_token + ' ' }}",
         "[INST]  Be brief. \n\n Hi.  [/INST] Yo. </s> [INST]  Bye.  [/INST]"},
        {"{{ ' [INST] ' + s + '\\n\\n' + message['content'] + ' [/INST]' }}{{ ' ' + message['content'] + "
         "eos_token }}",
         " [INST]  Be brief. \n\n Hi.  [/INST]  Yo. </s> [INST]  Bye.  [/INST]"},
        {"{% if loop.last and system_message %}{{ \"[INST] \" + s + \"\\n\\n\" }}{% endif %}{{ c + "
         "\"[/INST]\" }}"
         "{{ \" \" + message[\"content\"]|trim + eos_token }}",
         "[INST]  Hi. [/INST] Yo.</s>[INST]  Be brief. \n\n Bye. [/INST]"},
        {"{% if loop.last and system_message %}{{ '[INST]' + s + '\\n\\n' }}{% endif %}{{ c + '[/INST]' }}{{ "
         "c + eos_token }}",
         "[INST] Hi. [/INST] Yo. </s>[INST] Be brief. \n\n Bye. [/INST]"},
        {"{{ '[SYSTEM_PROMPT] ' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST] ' + c + '[/INST]' }}{{ ' ' + message + "
         "eos_token }}",
         "[SYSTEM_PROMPT]  Be brief. [/SYSTEM_PROMPT][INST]  Hi. [/INST]  Yo. </s>[INST]  Bye. [/INST]"},
    };
    for (size_t i = 0; i < sizeof mistral / sizeof *mistral; i++) {
        struct ech_chat_style style = ech_chat_style_read(mistral[i].text);
        writes(&style, LONG, mistral[i].whole);
    }
}

/* A template that speaks for the system where nobody does; a job's own words take its place. */
static void standing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{{ '<|im_start|>system\\n' + m + '<|im_end|>\\n' }}{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' "
        "}}",
        "{{ '<|im_start|>system\n' }}{{ m }}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}",
    };
    for (int i = 0; i < 2; i++) {
        struct ech_chat_style style = ech_chat_style_read(texts[i]);
        writes(&style, SHORT,
               "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\n Hi. "
               "<|im_end|>\n<|im_start|>assistant\n");
        writes(&style, LONG, wanted[0].whole);
    }
    struct ech_chat_style style = ech_chat_style(ECH_CHAT_GEMMA);
    style.system = "No.";
    style.system_bytes = 3;
    writes(&style, SHORT, "<start_of_turn>user\nNo.\n\nHi.<end_of_turn>\n<start_of_turn>model\n");
    writes(&style, LONG, wanted[4].whole);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        enum ech_chat chat;
        const char *conversation, *says;
    } wrong[] = {
        {ECH_CHAT_NONE, "user:x", "no chat template"},
        {ECH_CHAT_CHATML, "", "without a user's message"},
        {ECH_CHAT_CHATML, "system:x", "without a user's message"},
        {ECH_CHAT_CHATML, "user:x|assistant:y", "the last message is the assistant's"},
        {ECH_CHAT_CHATML, "user:x|system:y|user:z", "message 2 is the system's"},
        {ECH_CHAT_GEMMA, "user:x|user:y", "message 2 is the user's, the assistant's was expected"},
        {ECH_CHAT_LLAMA2, "system:s|assistant:y|user:z",
         "message 2 is the assistant's, the user's was expected"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ech_chat_style style = ech_chat_style(wrong[i].chat);
        struct ech_message messages[8];
        struct ech_err err = ECH_ERR_NONE;
        struct ech_str out;
        ech_str_init(&out);
        int64_t count = parse(wrong[i].conversation, messages);
        assert_int_equal(ech_chat_render(&style, messages, count, &out, NULL, &err), ECH_DATA);
        if (!strstr(err.text, wrong[i].says))
            fail_msg("\"%s\", \"%s\" was expected", err.text, wrong[i].says);
        ech_str_fini(&out);
    }
    struct ech_chat_style chatml = ech_chat_style(ECH_CHAT_CHATML); /* takes turns in any order */
    writes(&chatml, "user:x|user:y",
           "<|im_start|>user\nx<|im_end|>\n<|im_start|>user\ny<|im_end|>\n<|im_start|>assistant\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(families), cmocka_unit_test(told),    cmocka_unit_test(spellings),
    cmocka_unit_test(standing), cmocka_unit_test(refuses),
};
ECH_TEST_MAIN(tests)
