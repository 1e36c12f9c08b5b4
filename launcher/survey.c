/* Asking the hosts of a run: see survey.h. */
#include "launcher/survey.h"

#include "launcher/gather.h"
#include "launcher/node_facts.h"
#include "launcher/remote.h"
#include "launcher/session.h"
#include "launcher/verbs.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LINE "{\"echelon_machine\":1"
enum { AT_ONCE = 64, SECONDS = 10, TOLD = 3, NUMBER_MOST = 1 << 20 };

static bool take(const json_t *line, const char *key, int64_t least, int64_t *out)
{
    const json_t *value = json_object_get(line, key);
    *out = json_is_integer(value) ? json_integer_value(value) : -1;
    return *out >= least && *out <= NUMBER_MOST;
}

static bool read_line(const char *text, size_t bytes, struct ech_survey_word *out)
{
    json_t *line = NULL;
    struct ech_survey_word word = {.answered = true};
    if (ech_json_parse("host", text, bytes, &line, NULL) != ECH_OK)
        return false;
    const json_t *identity = json_object_get(line, "identity");
    ech_node_clean(word.identity, sizeof word.identity,
                   json_is_string(identity) ? json_string_value(identity) : "");
    bool good = take(line, "cores", 1, &word.machine.cores) &&
                take(line, "domains", 1, &word.machine.domains) &&
                take(line, "devices", 0, &word.machine.devices);
    json_decref(line);
    if (good)
        *out = word;
    return good;
}

bool ech_survey_read(const char *text, size_t bytes, struct ech_survey_word *out)
{
    bool found = false;
    *out = (struct ech_survey_word){.answered = false};
    for (const char *p = text, *end = text + bytes; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t size = (size_t)((stop ? stop : end) - p);
        if (size > sizeof LINE && memcmp(p, LINE, sizeof LINE - 1) == 0)
            found = read_line(p, size, out) || found;
        p += size + 1;
    }
    return found;
}

/* Identities in order, those of one machine side by side in the order of the hosts. */
static int sort_identities(const struct ech_survey_word *words, size_t count, struct ech_host_index *out,
                           struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < count; i++)
        if (words[i].answered && words[i].identity[0])
            code = ech_host_index_add(out, words[i].identity, (int64_t)i, err);
    ech_host_index_sort(out);
    return code;
}

static void merge(struct ech_host *first, struct ech_host *other)
{
    ech_say("%s and %s are two names of one machine: it is used once, as %s", first->name, other->name,
            first->name);
    first->slots = first->said && other->said ? first->slots + other->slots
                   : other->said              ? other->slots
                                              : first->slots;
    first->said = first->said || other->said;
    other->name[0] = '\0';
}

int ech_survey_apply(struct ech_hosts *hosts, const struct ech_survey_word *words, struct ech_err *err)
{
    struct ech_host_index index = {0};
    size_t kept = 0, first = 0;
    for (size_t i = 0; i < hosts->count; i++)
        if (words[i].answered)
            hosts->items[i].found = words[i].machine;
    int code = sort_identities(words, hosts->count, &index, err);
    for (size_t i = 1; code == ECH_OK && i < index.count; i++)
        if (strcmp(index.items[i].name, index.items[first].name) == 0)
            merge(&hosts->items[index.items[first].value], &hosts->items[index.items[i].value]);
        else
            first = i;
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->items[i].name[0])
            hosts->items[kept++] = hosts->items[i];
    hosts->count = kept;
    ech_host_index_fini(&index);
    return code;
}

/* launch-words HOST [env LD_LIBRARY_PATH=...] echelon-rank --solo doctor --machine */
static int make_command(const struct ech_nodes *nodes, const char *launch, const char *rank, const char *host,
                        struct ech_argv *out, struct ech_err *err)
{
    static const char *const words[] = {"--solo", "doctor", "--machine"};
    int code = ech_remote_begin(launch, host, out, err);
    ech_remote_libraries(out, nodes->cluster ? nodes->cluster->mpi_prefix : NULL);
    ech_remote_add(out, rank);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        ech_argv_add(out, words[i]);
    return code == ECH_OK ? ech_argv_check(out, err) : code;
}

static void look_here(struct ech_survey_word *out)
{
    *out = (struct ech_survey_word){.answered = true, .machine = *ech_machine_here()};
    ech_machine_identity(out->identity, sizeof out->identity);
}

/* asks[k] is of host of[k]. */
static void read_answers(const struct ech_nodes *nodes, const struct ech_asking *asks, const size_t *of,
                         size_t count, struct ech_survey_word *words)
{
    size_t silent = 0;
    for (size_t k = 0; k < count; k++) {
        char line[120] = "";
        if (ech_survey_read(asks[k].text ? asks[k].text : "", asks[k].bytes, &words[of[k]]) ||
            ++silent > TOLD)
            continue;
        snprintf(line, sizeof line, "%.*s", (int)strcspn(asks[k].text ? asks[k].text : "", "\n"),
                 asks[k].text ? asks[k].text : "");
        ech_node_clean(line, sizeof line, line);
        ech_say("%s does not say what it has, it is taken to be like this host%s%s%s",
                nodes->hosts.items[of[k]].name, line[0] ? " (" : "", line, line[0] ? ")" : "");
    }
    if (silent > TOLD)
        ech_say("%zu more hosts do not say what they have", silent - TOLD);
}

static int ask_all(struct ech_nodes *nodes, const char *rank, struct ech_survey_word *words,
                   struct ech_err *err)
{
    const char *launch = nodes->launch.length ? nodes->launch.data : ech_cluster_own_launch();
    size_t count = 0, *of = ech_calloc(nodes->hosts.count, sizeof *of, err);
    struct ech_asking *asks = ech_calloc(nodes->hosts.count, sizeof *asks, err);
    int code = of && asks ? ECH_OK : ECH_UNAVAILABLE;
    for (size_t i = 0; code == ECH_OK && i < nodes->hosts.count; i++) {
        if (ech_host_is_here(nodes->hosts.items[i].name))
            look_here(&words[i]);
        else {
            of[count] = i;
            code = make_command(nodes, launch, rank, nodes->hosts.items[i].name, &asks[count++].argv, err);
        }
    }
    if (code == ECH_OK && ech_gather(asks, count, AT_ONCE, SECONDS, ech_session_is_signalled, err) == ECH_OK)
        read_answers(nodes, asks, of, count, words);
    else if (code == ECH_OK)
        ech_err_clear(err); /* a signal: whoever starts the ranks sees it, too */
    ech_gather_fini(asks, count);
    ech_free(asks);
    ech_free(of);
    return code;
}

int ech_survey(struct ech_nodes *nodes, struct ech_err *err)
{
    char *rank = NULL;
    struct ech_err why = ECH_ERR_NONE;
    if (nodes->hosts.count > ECH_SURVEY_MOST || ech_find_rank_program(&rank, &why) != ECH_OK)
        return ECH_OK;
    struct ech_survey_word *words = ech_calloc(nodes->hosts.count, sizeof *words, err);
    int code = words ? ask_all(nodes, rank, words, &why) : ECH_UNAVAILABLE;
    if (words && code != ECH_OK) { /* the launch command is not there: mpirun will say it in its turn */
        ech_say("%s", why.text);
        code = ECH_OK;
    } else if (words)
        code = ech_survey_apply(&nodes->hosts, words, err);
    ech_free(words);
    ech_free(rank);
    return code;
}
