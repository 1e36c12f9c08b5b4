/* Words for another host: see remote.h. */
#include "launcher/remote.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

int ech_remote_begin(const char *launch, const char *host, struct ech_argv *out, struct ech_err *err)
{
    char *words = ech_strdup(launch, err), *rest = NULL;
    ech_argv_init(out);
    if (!words)
        return ECH_UNAVAILABLE;
    char *word = strtok_r(words, " ", &rest), *program = word ? ech_find_program(word) : NULL;
    int code = ECH_OK;
    if (program)
        ech_argv_add(out, program);
    else
        code = ech_fail(err, ECH_UNAVAILABLE, "launch: %s is not found in PATH", word ? word : "no command");
    while (program && (word = strtok_r(NULL, " ", &rest)))
        ech_argv_add(out, word);
    ech_argv_add(out, host);
    ech_free(program);
    ech_free(words);
    return code;
}

void ech_remote_add(struct ech_argv *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,+@%-";
    struct ech_str text;
    if (word[0] && !word[strspn(word, plain)]) {
        ech_argv_add(out, word);
        return;
    }
    ech_str_init(&text);
    ech_str_addc(&text, '\'');
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            ech_str_adds(&text, "'\\''");
        else
            ech_str_addc(&text, *p);
    ech_str_addc(&text, '\'');
    if (ech_str_check(&text, NULL) == ECH_OK)
        ech_argv_add(out, text.data);
    else
        out->failed = true;
    ech_str_fini(&text);
}

void ech_remote_libraries(struct ech_argv *out, const char *mpi_prefix)
{
    const char *own = getenv("LD_LIBRARY_PATH");
    bool some = own && own[0];
    if (!mpi_prefix && !some)
        return;
    char *text = mpi_prefix ? ech_sprintf(NULL, "LD_LIBRARY_PATH=%s/lib%s%s", mpi_prefix, some ? ":" : "",
                                          some ? own : "")
                            : ech_sprintf(NULL, "LD_LIBRARY_PATH=%s", own);
    ech_argv_add(out, "env");
    if (text)
        ech_remote_add(out, text);
    out->failed = out->failed || !text;
    ech_free(text);
}
