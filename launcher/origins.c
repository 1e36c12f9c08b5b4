/* Origins: see origins.h. */
#include "launcher/origins.h"

#include "base/num.h"
#include "base/rundir.h"

#include <stdio.h>
#include <string.h>

/* The comment at the end of a line: behind its last "  # ". NULL: none. */
static const char *comment_of(const char *line, size_t length)
{
    static const char mark[] = "  # ";
    for (size_t at = length; at-- > 0;)
        if (length - at >= sizeof mark - 1 && memcmp(line + at, mark, sizeof mark - 1) == 0)
            return line + at + sizeof mark - 1;
    return NULL;
}

static const char *line_of(const char *text, int64_t number)
{
    while (--number > 0 && text) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return text;
}

const char *ech_origin_first(const char *saved, const char *origin, char *out, size_t bytes)
{
    static const char own[] = ECH_RUN_JOB ":";
    int64_t number = 0;
    const char *line = NULL, *comment = NULL;
    if (strncmp(origin, own, sizeof own - 1) == 0 && ech_parse_int(origin + sizeof own - 1, &number) &&
        number > 0)
        line = line_of(saved, number);
    size_t length = line ? strcspn(line, "\n") : 0;
    if (line)
        comment = comment_of(line, length);
    if (comment)
        snprintf(out, bytes, "%.*s", (int)(length - (size_t)(comment - line)), comment);
    else
        snprintf(out, bytes, "%s", origin);
    return out;
}

bool ech_origin_is_default(const char *saved, const char *section, const char *key)
{
    static const char word[] = "default";
    bool inside = false;
    size_t name = strlen(section), length;
    for (; *saved; saved += length + (saved[length] == '\n')) {
        length = strcspn(saved, "\n");
        if (*saved != ' ')
            inside = length == name + 1 && memcmp(saved, section, name) == 0 && saved[name] == ':';
        size_t indent = strspn(saved, " ");
        if (!inside || indent == 0 || strncmp(saved + indent, key, strlen(key)) != 0 ||
            saved[indent + strlen(key)] != ':')
            continue;
        const char *comment = comment_of(saved, length);
        return comment && saved + length == comment + sizeof word - 1 &&
               memcmp(comment, word, sizeof word - 1) == 0;
    }
    return false;
}

void ech_origins_restore(const char *saved, const char *printed, struct ech_str *out)
{
    while (*printed) {
        size_t length = strcspn(printed, "\n");
        const char *comment = comment_of(printed, length);
        size_t before = comment ? (size_t)(comment - printed) : length;
        char origin[512], first[512];
        ech_str_add(out, printed, before);
        if (comment) {
            snprintf(origin, sizeof origin, "%.*s", (int)(length - before), comment);
            ech_str_adds(out, ech_origin_first(saved, origin, first, sizeof first));
        }
        ech_str_addc(out, '\n');
        printed += length + (printed[length] == '\n');
    }
}
