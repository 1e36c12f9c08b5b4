/* Tails and lines: see tail.h. */
#include "launcher/tail.h"

#include <stdio.h>
#include <string.h>

void ech_tail_add(struct ech_tail *tail, const char *data, size_t bytes)
{
    if (bytes >= sizeof tail->data) {
        data += bytes - sizeof tail->data;
        bytes = sizeof tail->data;
    }
    size_t room = sizeof tail->data - tail->length;
    if (bytes > room) {
        size_t drop = bytes - room;
        memmove(tail->data, tail->data + drop, tail->length - drop);
        tail->length -= drop;
    }
    memcpy(tail->data + tail->length, data, bytes);
    tail->length += bytes;
}

/* What mpirun says about itself when a process has ended. */
static const char *const decoration[] = {"-----",
                                         "Primary job",
                                         "mpirun noticed",
                                         "mpirun detected",
                                         "mpirun: Forwarding",
                                         "mpirun: killing",
                                         "per user-direction",
                                         "a non-zero exit code",
                                         "the job to be terminated.",
                                         "  Process name:",
                                         "  Exit code:",
                                         NULL};

static bool useful(const char *line, size_t length)
{
    bool blank = true;
    for (size_t i = 0; i < length; i++)
        blank = blank && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r');
    for (int i = 0; decoration[i]; i++)
        if (length >= strlen(decoration[i]) && memcmp(line, decoration[i], strlen(decoration[i])) == 0)
            return false;
    return !blank && !memmem(line, length, "PMIX ERROR", strlen("PMIX ERROR"));
}

bool ech_line_useful(const char *line)
{
    return useful(line, strlen(line));
}

bool ech_line_lost_rank(const char *line, struct ech_lost_rank *out)
{
    struct ech_lost_rank lost = {0};
    const char *at = strstr(line, " noticed that process rank ");
    if (!at || sscanf(at, " noticed that process rank %d with PID %*d on node %63s exited on signal %d",
                      &lost.rank, lost.host, &lost.signal) != 3)
        return false;
    *out = lost;
    return true;
}

void ech_tail_useful(const struct ech_tail *tail, int most, struct ech_str *out)
{
    enum { LINES = 32 };
    struct {
        const char *text;
        size_t length;
    } kept[LINES];
    int count = 0;
    const char *at = tail->data, *end = tail->data + tail->length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        if (useful(at, length)) {
            kept[count % LINES].text = at;
            kept[count++ % LINES].length = length;
        }
        at += length + 1;
    }
    int show = most < LINES ? most : LINES;
    for (int i = count > show ? count - show : 0; i < count; i++) {
        ech_str_adds(out, "  ");
        ech_str_add(out, kept[i % LINES].text, kept[i % LINES].length);
        ech_str_addc(out, '\n');
    }
}

void ech_lines_add(struct ech_lines *lines, const char *data, size_t bytes,
                   void (*each)(const char *line, void *context), void *context)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != '\n') {
            if (lines->length + 1 < sizeof lines->line)
                lines->line[lines->length++] = data[i];
            continue;
        }
        lines->line[lines->length] = '\0';
        lines->length = 0;
        each(lines->line, context);
    }
}
