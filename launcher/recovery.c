/* doctor --selftest and its record: see recovery.h. */
#include "launcher/recovery.h"

#include "launcher/gather.h"
#include "launcher/child.h"
#include "launcher/verbs.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_BYTES = 65536, SECONDS = 45, VERSION_BYTES = 128 };

/* Folder of the record and its path; NULL: nowhere to keep it. Owner: the caller. */
static char *record_path(bool make)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char host[64] = "";
    if (!(cache && cache[0]) && !(home && home[0]))
        return NULL;
    gethostname(host, sizeof host - 1);
    char *folder = cache && cache[0] ? ech_sprintf(NULL, "%s/echelon", cache)
                                     : ech_sprintf(NULL, "%s/.cache/echelon", home);
    bool good = folder && (!make || ech_mkdir_all(folder, NULL) == ECH_OK);
    char *path = good ? ech_sprintf(NULL, "%s/recovery-%s.json", folder, host) : NULL;
    ech_free(folder);
    return path;
}

/* First line of mpirun --version. */
static bool mpi_version(char *mpirun, char *out, size_t bytes)
{
    char *argv[] = {mpirun, "--version", NULL};
    int status = 1;
    char *text = ech_child_output(argv, &status);
    bool good = text && status == 0;
    snprintf(out, bytes, "%.*s", good ? (int)strcspn(text, "\n") : 0, good ? text : "");
    ech_free(text);
    return good && out[0];
}

static void record(const char *mpi, bool survives)
{
    struct ech_str text;
    char *path = record_path(true);
    ech_str_init(&text);
    ech_json_add_str(&text, "mpi", mpi);
    ech_json_add_bool(&text, "survives", survives);
    ech_str_adds(&text, "}\n");
    if (!path || ech_str_check(&text, NULL) != ECH_OK ||
        ech_write_file(path, text.data, text.length, NULL) != ECH_OK)
        ech_say("the outcome cannot be kept: set XDG_CACHE_HOME to a folder that can be written");
    ech_str_fini(&text);
    ech_free(path);
}

static void command(const char *mpirun, const char *rank, struct ech_argv *out)
{
    static const char *const words[] = {"-n",
                                        "3",
                                        "--enable-recovery",
                                        "--oversubscribe",
                                        "--bind-to",
                                        "none",
                                        "--mca",
                                        "mpi_yield_when_idle",
                                        "1"};
    ech_argv_init(out);
    ech_argv_add(out, mpirun);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        ech_argv_add(out, words[i]);
    ech_argv_add(out, rank);
    ech_argv_add(out, "selftest");
}

static bool has(const struct ech_asking *ask, const char *words)
{
    return ask->text && strstr(ask->text, words);
}

/* mpirun's words without its rules, in one line. */
static void one_line(const struct ech_asking *ask, char *out, size_t bytes)
{
    size_t n = 0;
    out[0] = '\0';
    for (const char *p = ask->text ? ask->text : ""; *p;) {
        size_t length = strcspn(p, "\n");
        if (n < bytes && length && strspn(p, "-") < length)
            n += (size_t)snprintf(out + n, bytes - n, "%s%.*s", n ? " " : "", (int)length, p);
        p += length + (p[length] == '\n');
    }
}

int ech_recovery_try(enum ech_recovery *out, char *mpi, size_t mpi_bytes, struct ech_err *err)
{
    char *mpirun = NULL, *rank = NULL;
    struct ech_asking ask = {0};
    int code = ech_find_mpirun(&mpirun, err);
    if (code == ECH_OK)
        code = ech_find_rank_program(&rank, err);
    if (code == ECH_OK && !mpi_version(mpirun, mpi, mpi_bytes))
        code = ech_fail(err, ECH_UNAVAILABLE, "%s --version says nothing", mpirun);
    if (code == ECH_OK) {
        command(mpirun, rank, &ask.argv);
        code = ech_argv_check(&ask.argv, err);
    }
    if (code == ECH_OK)
        code = ech_gather(&ask, 1, 1, SECONDS, NULL, err);
    if (code == ECH_OK && !has(&ask, "selftest: started")) {
        char words[400];
        one_line(&ask, words, sizeof words);
        code = ech_fail(err, ECH_UNAVAILABLE, "three ranks cannot be started with %s --enable-recovery: %s",
                        mpirun, words);
    }
    if (code == ECH_OK) {
        bool survives = has(&ask, "selftest: survived");
        *out = survives ? ECH_RECOVERY_SURVIVES : ECH_RECOVERY_DIES;
        record(mpi, survives);
    }
    ech_gather_fini(&ask, 1);
    ech_free(mpirun);
    ech_free(rank);
    return code;
}

enum ech_recovery ech_recovery_recorded(void)
{
    enum ech_recovery found = ECH_RECOVERY_UNKNOWN;
    const char *mpi = NULL;
    char now[VERSION_BYTES], *mpirun = NULL, *path = record_path(false);
    bool survives = false;
    json_t *root = NULL;
    if (path && ech_json_load(path, RECORD_BYTES, &root, NULL) == ECH_OK &&
        ech_json_get_str(root, path, "mpi", true, &mpi, NULL) == ECH_OK &&
        ech_json_get_bool(root, path, "survives", true, &survives, NULL) == ECH_OK)
        found = survives ? ECH_RECOVERY_SURVIVES : ECH_RECOVERY_DIES;
    if (found == ECH_RECOVERY_DIES && (ech_find_mpirun(&mpirun, NULL) != ECH_OK ||
                                       !mpi_version(mpirun, now, sizeof now) || strcmp(now, mpi) != 0))
        found = ECH_RECOVERY_UNKNOWN;
    json_decref(root);
    ech_free(mpirun);
    ech_free(path);
    return found;
}

void ech_recovery_say(void)
{
    if (ech_recovery_recorded() == ECH_RECOVERY_DIES)
        ech_say("this MPI ends all ranks when one dies (doctor --selftest): a death means 75 + resume");
}
