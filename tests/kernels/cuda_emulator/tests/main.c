/* test_emulator NAME: one of the emulator's own tests; without a name all; --list names them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

static int failures;

struct seen {
    int count;
    enum ech_emu_kind kind;
    char kernel[128], source[256];
    unsigned block, thread;
    char text[4096];
};
static struct seen seen;

void expect(bool good, const char *fmt, ...)
{
    if (good)
        return;
    failures++;
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "expected: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
}

static void collect(void *data, const struct ech_emu_report *r)
{
    struct seen *s = data;
    if (s->count++ > 0)
        return;
    s->kind = r->kind;
    snprintf(s->kernel, sizeof s->kernel, "%s", r->kernel);
    snprintf(s->source, sizeof s->source, "%s", r->source);
    snprintf(s->text, sizeof s->text, "%s", r->text);
    s->block = r->block[0];
    s->thread = r->thread[0];
}

/* Does the line that the report names, or the next one of the same statement, carry "fault: NAME"? */
static bool line_is_marked(const char *source, const char *name)
{
    char file[256], path[512], line[512];
    const char *colon = strrchr(source, ':');
    if (!colon || colon - source >= (long)sizeof file)
        return false;
    snprintf(file, sizeof file, "%.*s", (int)(colon - source), source);
    snprintf(path, sizeof path, "%s/%s", ECH_EMU_TESTS, file);
    FILE *f = fopen(path, "r");
    int wanted = atoi(colon + 1);
    bool marked = false;
    for (int n = 1; f && fgets(line, sizeof line, f); n++) {
        char *mark = n == wanted || n == wanted + 1 ? strstr(line, "fault:") : NULL;
        char *word = mark ? strtok(mark + 6, " */\n") : NULL;
        for (; word; word = strtok(NULL, " */\n"))
            marked |= strcmp(word, name) == 0;
    }
    if (f)
        fclose(f);
    return marked;
}

struct fault {
    const char *name;
    void (*bad)(void), (*good)(void);
    enum ech_emu_kind kind;
    const char *kernel;
    int block, thread;
};

static void run_fault(const struct fault *f)
{
    memset(&seen, 0, sizeof seen);
    f->good();
    expect(seen.count == 0, "no report from the clean twin, but:\n%s", seen.text);
    memset(&seen, 0, sizeof seen);
    f->bad();
    expect(seen.count >= 1, "a report");
    if (seen.count == 0)
        return;
    expect(seen.kind == f->kind, "kind '%s', not '%s'", ech_emu_kind_name(f->kind),
           ech_emu_kind_name(seen.kind));
    expect(strcmp(seen.kernel, f->kernel) == 0, "kernel '%s', not '%s'", f->kernel, seen.kernel);
    expect(f->block < 0 || (unsigned)f->block == seen.block, "block %d, not %u", f->block, seen.block);
    expect(f->thread < 0 || (unsigned)f->thread == seen.thread, "thread %d, not %u", f->thread, seen.thread);
    expect(line_is_marked(seen.source, f->name), "a line marked 'fault: %s', not %s", f->name, seen.source);
    printf("%s", seen.text);
}

static const struct fault FAULT_TESTS[] = {
#define ROW(name, kind, kernel, block, thread) {#name, name##_bad, name##_good, kind, kernel, block, thread},
    FAULTS(ROW)
#undef ROW
};

static const struct {
    const char *name;
    void (*run)(void);
} FEATURE_TESTS[] = {
#define ROW(name) {#name, feature_##name},
    FEATURES(ROW)
#undef ROW
};

enum {
    FAULT_COUNT = sizeof FAULT_TESTS / sizeof FAULT_TESTS[0],
    FEATURE_COUNT = sizeof FEATURE_TESTS / sizeof FEATURE_TESTS[0]
};

static void run_feature(int i)
{
    memset(&seen, 0, sizeof seen);
    FEATURE_TESTS[i].run();
    expect(seen.count == 0, "no report, but:\n%s", seen.text);
}

static void run_one(int i, const char *name)
{
    int before = failures;
    settle();
    if (i < FAULT_COUNT)
        run_fault(&FAULT_TESTS[i]);
    else
        run_feature(i - FAULT_COUNT);
    expect(ech_emu_live_allocations() == 0, "nothing left allocated");
    printf("%s %s\n", failures == before ? "ok  " : "FAIL", name);
}

int main(int argc, char **argv)
{
    int ran = 0;
    ech_emu_on_report(collect, &seen);
    for (int i = 0; i < FAULT_COUNT + FEATURE_COUNT; i++) {
        const char *name = i < FAULT_COUNT ? FAULT_TESTS[i].name : FEATURE_TESTS[i - FAULT_COUNT].name;
        if (argc > 1 && strcmp(argv[1], "--list") == 0)
            puts(name);
        else if (argc < 2 || strcmp(argv[1], name) == 0)
            run_one(i, name);
        else
            continue;
        ran++;
    }
    if (!ran)
        fprintf(stderr, "no test named %s\n", argv[1]);
    return !ran ? 2 : failures ? 1 : 0;
}
