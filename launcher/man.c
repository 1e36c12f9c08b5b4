/* The manual page: see man.h. */
#include "launcher/man.h"

#include "launcher/verbs.h"

#include <string.h>

/* Text with what troff would interpret made harmless; newlines as they are. */
static void put(struct ech_str *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool line_start = p == text || p[-1] == '\n';
        if (line_start && (*p == '.' || *p == '\''))
            ech_str_adds(out, "\\&");
        if (*p == '\\')
            ech_str_adds(out, "\\e");
        else if (*p == '-')
            ech_str_adds(out, "\\-");
        else
            ech_str_addc(out, *p);
    }
}

static void put_options(struct ech_str *out, const struct ech_option *options)
{
    for (; options && options->name; options++) {
        ech_str_adds(out, ".TP\n.B \\-\\-");
        put(out, options->name);
        if (options->value_name) {
            ech_str_addc(out, ' ');
            put(out, options->value_name);
        }
        ech_str_addc(out, '\n');
        put(out, options->doc);
        ech_str_addc(out, '\n');
    }
}

static void put_verb(struct ech_str *out, const struct ech_command *command)
{
    ech_str_adds(out, ".SS \"");
    put(out, command->name);
    ech_str_addc(out, ' ');
    put(out, command->usage);
    ech_str_adds(out, "\"\n");
    put(out, command->summary);
    ech_str_addc(out, '\n');
    put_options(out, command->options);
    if (command->example) {
        ech_str_adds(out, ".PP\nExample:\n.PP\n.nf\n.RS\n");
        put(out, command->example);
        ech_str_adds(out, "\n.RE\n.fi\n");
    }
}

static void put_exits(struct ech_str *out)
{
    static const int codes[] = {ECH_OK,  ECH_USAGE,  ECH_DATA, ECH_NOINPUT, ECH_UNAVAILABLE,
                                ECH_BUG, ECH_EXISTS, ECH_IO,   ECH_REQUEUE, ECH_CONFIG};
    ech_str_adds(out, ".SH \"EXIT STATUS\"\n");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ech_str_addf(out, ".TP\n.B %d\n", codes[i]);
        put(out, ech_exit_meaning(codes[i]));
        ech_str_addc(out, '\n');
    }
}

/* Name and meaning of every variable the launcher reads. */
static const char *const variables[][2] = {
    {"ECHELON_KEY__SUBKEY", "sets a key of the job file: ECHELON_RESOURCES__THREADS=2 is resources.threads"},
    {"ECHELON_RANK", "path of echelon-rank (default: beside echelon)"},
    {"ECH_LOG", "log levels, as in info,data:debug; error makes a good run silent"},
    {"ECH_SHM", "folder for the shared memory of a run (/dev/shm)"},
    {"ECH_STOP_GRACE", "seconds the ranks get to save their work when a run is stopped (30)"}};

static void put_variables(struct ech_str *out)
{
    ech_str_adds(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        ech_str_adds(out, ".TP\n.B ");
        put(out, variables[i][0]);
        ech_str_addc(out, '\n');
        put(out, variables[i][1]);
        ech_str_addc(out, '\n');
    }
}

int ech_man_print(const char *version, FILE *out, struct ech_err *err)
{
    struct ech_str text;
    ech_str_init(&text);
    ech_str_addf(&text, ".TH ECHELON 1 \"\" \"echelon %s\" \"Echelon\"\n", version);
    ech_str_adds(&text, ".SH NAME\nechelon \\- transformer inference and batch jobs over sharded datasets\n"
                        ".SH SYNOPSIS\n.B echelon\n.I verb\n[arguments]\n.SH VERBS\n");
    for (const struct ech_verb *v = ech_verbs; v->name; v++)
        put_verb(&text, v->command);
    put_exits(&text);
    put_variables(&text);
    ech_str_adds(&text, ".SH FILES\n.TP\n.I runs/<job>\\-<time>/\na run: its job, logs, events, spools, "
                        "result and report.html\n");
    int code = ech_str_check(&text, err);
    if (code == ECH_OK)
        fwrite(text.data, 1, text.length, out);
    ech_str_fini(&text);
    return code;
}
