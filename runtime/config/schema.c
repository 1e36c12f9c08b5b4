/* The schema of struct ech_job: one row a key. The order is that of the reference file. */
#include "config/schema.h"

#include "config/precision.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct ech_job, member)

static const char *const stage_choices[] = {"none", "broadcast", "node", NULL};
static const char *const exists_choices[] = {"error", "replace", NULL};
static const char *const device_choices[] = {"auto", "cpu", "cuda", NULL};
static const char *const backend_choices[] = {"auto",      "avx512", "avx2", "openblas",
                                              "ref_exact", "cuda",   NULL};
/* enum ech_precision; int4 is a way to keep weights alone. */
static const char *const weights_choices[] = {"auto", "f32", "bf16", "f16", "int8", "int4", NULL};
static const char *const kv_choices[] = {"auto", "f32", "bf16", NULL};
static const char *const compute_choices[] = {"auto", "f32", "bf16", "f16", "int8", NULL};
static const char *const launcher_choices[] = {"mpirun", "srun", NULL}; /* enum ech_job_launcher */
static const char *const overrun_choices[] = {"refuse", "allow", NULL};
static const char *const numerics_choices[] = {"strict", "mixed", NULL};
static const char *const policy_choices[] = {"adaptive", "equal", NULL};

#define KIB  1024.0
#define TIB  (KIB * KIB * KIB * KIB)
#define YEAR (366 * 86400.0)

/* Before the options. */
static const struct ech_field head[] = {
    {"kind", ECH_F_STRING, AT(kind_name), .required = true, .affects = true, .example = "embed",
     .doc = "What the job does"},
    {"name", ECH_F_STRING, AT(name), .example = "reviews",
     .doc = "Name of the job, part of its run directory's name; default: the file's name without ending"},
    {"model.path", ECH_F_PATH, AT(model), .example = "models/all-MiniLM-L6-v2",
     .doc = "The model: a folder (Hugging Face, CTranslate2, Marian) or a file (.gguf, .npz, .bin)"},
    {"model.adapter", ECH_F_PATH, AT(adapter), .example = "adapters/legal",
     .doc = "Folder of a LoRA adapter (peft) that is merged into the model when it is loaded"},
    {"model.stage", ECH_F_CHOICE, AT(staging.how), .fallback = "none", .choices = stage_choices,
     .doc = "none: each node reads it; broadcast: rank 0 alone; node: that, and kept on the nodes"},
    {"model.folder", ECH_F_PATH, AT(staging.folder), .example = "/local/scratch",
     .doc = "Where staged files lie on a node; not given: $TMPDIR, or /tmp"},
    {"model.most", ECH_F_BYTES, AT(staging.most), .fallback = "64GiB", .most = 1024 * TIB,
     .doc = "Bytes of models that stage node keeps on a node; the longest unused go first"},
    {"input.dataset", ECH_F_PATH, AT(input.dataset), .example = "data/reviews",
     .doc = "Dataset to read (a folder with dataset.yaml)"},
    {"input.column", ECH_F_STRING, AT(input.column), .fallback = "text", .affects = true,
     .doc = "Column that is the input of a row"},
    {"input.template", ECH_F_STRING, AT(input.template_), .affects = true, .example = "{title} {text}",
     .doc = "Instead of column: text made of several columns; {{ and }} are braces"},
    {"input.verify", ECH_F_BOOL, AT(input.verify), .fallback = "true",
     .doc = "Compare the inputs with their hashes before any row runs"},
    {"output.dataset", ECH_F_PATH, AT(output.dataset), .required = true, .example = "out/reviews-vectors",
     .doc = "Dataset to write"},
    {"output.keep", ECH_F_LIST, AT(output.keep), .affects = true, .example = "[id]",
     .doc = "Columns of the input copied to the output"},
    {"output.exists", ECH_F_CHOICE, AT(output.exists), .fallback = "error", .choices = exists_choices,
     .doc = "What to do where the output is there already"},
    {"output.shard_bytes", ECH_F_BYTES, AT(output.shard_bytes), .fallback = "256MiB", .least = KIB,
     .most = TIB, .affects = true, .doc = "Size at which a new shard begins"},
};

/* After the options. */
static const struct ech_field tail[] = {
    {"resources.nodes", ECH_F_INT, AT(resources.nodes), .fallback = "1", .least = 1, .most = 100000,
     .doc = "Number of nodes"},
    {"resources.ranks_per_node", ECH_F_AUTO, AT(resources.ranks_per_node), .fallback = "auto", .most = 4096,
     .doc =
         "Processes a node; auto: usable cores / threads; where threads is auto too, one a NUMA domain, with "
         "device cuda one a GPU"},
    {"resources.threads", ECH_F_AUTO, AT(resources.threads), .fallback = "auto", .most = 4096,
     .doc = "Threads a rank; auto: the node's usable cores / ranks_per_node"},
    {"resources.device", ECH_F_CHOICE, AT(resources.device), .fallback = "auto", .choices = device_choices,
     .doc = "Where kernels run; auto: the processor (cuda must be asked for)"},
    {"resources.backend", ECH_F_CHOICE, AT(resources.backend), .fallback = "auto", .choices = backend_choices,
     .doc = "Kernels; a named one that cannot be had is an error"},
    {"resources.ranks_per_worker", ECH_F_AUTO, AT(resources.ranks_per_worker), .fallback = "auto",
     .most = 4096,
     .doc = "Ranks that run a model together, each some of its layers; auto: 1, more where memory forces it"},
    {"resources.time", ECH_F_TIME, AT(resources.time), .most = YEAR, .example = "1:30:00",
     .doc = "Walltime; the job stops in time and can be resumed; not given: no limit"},
    {"resources.memory", ECH_F_BYTES, AT(resources.memory), .most = 1024 * TIB, .example = "16GiB",
     .doc = "Memory of a node; a rank's budget is its share; not given: no limit"},
    {"resources.each", ECH_F_LIST, AT(resources.each), .example = "[\"gpu*=cuda\", \"rank 2-3=avx2/bf16\"]",
     .doc = "With numerics mixed: WHO=BACKEND[/PRECISION] of hosts or ranks; the first that fits decides"},
    {"resources.partition", ECH_F_STRING, AT(resources.partition), .example = "batch",
     .doc = "Partition of Slurm; not given: the site's default, else one whose limits fit"},
    {"resources.account", ECH_F_STRING, AT(resources.account), .example = "project7",
     .doc = "Account that Slurm charges"},
    {"resources.qos", ECH_F_STRING, AT(resources.qos), .example = "normal",
     .doc = "Quality of service of Slurm"},
    {"resources.constraint", ECH_F_STRING, AT(resources.constraint), .example = "big&ib",
     .doc = "Features that the nodes must have, as sbatch --constraint takes them"},
    {"resources.gres", ECH_F_STRING, AT(resources.gres), .example = "gpu:2",
     .doc = "Generic resources of a node, as sbatch --gres takes them"},
    {"resources.launcher", ECH_F_CHOICE, AT(resources.launcher), .fallback = "mpirun",
     .choices = launcher_choices,
     .doc =
         "What starts the ranks; srun (in a Slurm job): a rank's death ends the attempt and means a requeue"},
    {"resources.components", ECH_F_LIST, AT(resources.components),
     .example = "[nodes=1 ntasks-per-node=2 cpus-per-task=8 constraint=big]",
     .doc = "Further components of a heterogeneous Slurm job, options of sbatch each; for launcher srun"},
    {"precision.weights", ECH_F_CHOICE, AT(precision.weights), .fallback = "auto", .choices = weights_choices,
     .affects = true, .doc = "How weights are kept; auto: as compute asks, f32 where that is auto too"},
    {"precision.compute", ECH_F_CHOICE, AT(precision.compute), .fallback = "auto", .choices = compute_choices,
     .affects = true, .doc = "What products compute in; auto: f32 where the weights allow it"},
    {"precision.kv", ECH_F_CHOICE, AT(precision.kv), .fallback = "auto", .choices = kv_choices,
     .affects = true, .doc = "How kinds that write keep keys and values; auto: f32"},
    {"numerics", ECH_F_CHOICE, AT(numerics), .fallback = "strict", .choices = numerics_choices,
     .affects = true,
     .doc = "strict: all ranks compute the same bits; mixed: each row says in column numerics how it was "
            "computed"},
    {"balance.policy", ECH_F_CHOICE, AT(balance.policy), .fallback = "adaptive", .choices = policy_choices,
     .doc = "adaptive: by measured speed; equal: the same share for each rank"},
    {"balance.lease_rows", ECH_F_AUTO, AT(balance.lease_rows), .fallback = "auto", .most = 1e9,
     .doc = "Rows of the smallest lease"},
    {"balance.lease_rows_max", ECH_F_AUTO, AT(balance.lease_rows_max), .fallback = "auto", .most = 1e9,
     .doc = "Rows of the largest lease"},
    {"balance.probe", ECH_F_BOOL, AT(balance.probe), .fallback = "true",
     .doc = "Measure each rank's speed at the start"},
    {"max_errors", ECH_F_INT, AT(max_errors), .fallback = "1000", .most = 1e12,
     .doc = "Bad rows that are tolerated; beyond it the job stops with status 65"},
    {"retries", ECH_F_INT, AT(retries), .fallback = "0", .most = 1000,
     .doc = "How often to start again after a stop that can be resumed"},
    {"limits.heartbeat", ECH_F_TIME, AT(limits.heartbeat), .fallback = "10s", .least = 0.1, .most = 86400,
     .doc = "A rank that is silent for longer counts as dead"},
    {"limits.phase", ECH_F_TIME, AT(limits.phase), .fallback = "300s", .least = 0.1, .most = YEAR,
     .doc = "Deadline of a step that all ranks take together (open, verify, seal)"},
    {"limits.disk_full", ECH_F_TIME, AT(limits.disk_full), .fallback = "30s", .most = 86400,
     .doc = "How long a full disk is waited for before the job stops with status 74"},
    {"limits.spool_sync", ECH_F_TIME, AT(limits.spool_sync), .fallback = "2s", .most = 86400,
     .doc = "Results are on disk at the latest after this time"},
    {"limits.spool_sync_bytes", ECH_F_BYTES, AT(limits.spool_sync_bytes), .fallback = "64MiB", .least = KIB,
     .most = TIB, .doc = "Results are on disk at the latest after this many bytes"},
    {"limits.stop_margin", ECH_F_TIME, AT(limits.stop_margin), .fallback = "30s", .most = YEAR,
     .doc = "No new leases this long before the end of resources.time"},
    {"limits.overrun", ECH_F_CHOICE, AT(limits.overrun), .fallback = "refuse", .choices = overrun_choices,
     .doc = "A first attempt that cannot end in resources.time, outside Slurm and without retries; allow: "
            "--force"},
    {"slurm", ECH_F_LIST, AT(slurm), .example = "[mail-type=END, comment=nightly]",
     .doc = "Options of sbatch that have no key of their own, passed through by echelon submit"},
    {"runs", ECH_F_PATH, AT(runs), .fallback = "runs", .doc = "Folder of the run directories"},
};

enum { HEAD = sizeof head / sizeof head[0], TAIL = sizeof tail / sizeof tail[0] };

static const struct {
    const char *name, *doc;
} sections[] = {
    {"model", "The model; one word is its path (model: FOLDER)"},
    {"input", "What is read"},
    {"output", "What is written"},
    {"options", "Options of the kind"},
    {"resources", "What the job may use"},
    {"precision", "Arithmetic of the model; one word sets both (precision: bf16)"},
    {"balance", "How rows are shared out"},
    {"limits", "Times and sizes of the machinery; seldom changed"},
};

static const struct {
    const char *path, *value, *text; /* value NULL: the key itself */
} later[] = {
    {"after", NULL, "it belongs to a step (steps: [{name: ..., after: ...}])"},
    {"cluster", NULL, "a cluster file is named on the command line: --cluster C.yaml"},
    {"output.exists", "append", "exists append comes in a later version"},
    {"kind", "recommend", "kind recommend comes in a later version"},
    {"kind", "run", "kind run comes in a later version"},
};

/* ECHELON_ROOT: where it is installed, set by the environment module. ECHELON_RANK: the rank program.
 * ECHELON_MPIRUN: the site's mpirun. */
static const char *const other_env[] = {"ECHELON_ROOT", "ECHELON_RANK", "ECHELON_MPIRUN", NULL};

static int options_count(const struct ech_kind *kind)
{
    int n = 0;
    while (kind && kind->options[n].path)
        n++;
    return n;
}

int ech_schema_count(const struct ech_kind *kind)
{
    return HEAD + TAIL + options_count(kind);
}

const struct ech_field *ech_schema_at(const struct ech_kind *kind, int index)
{
    int options = options_count(kind);
    if (index < HEAD)
        return &head[index];
    if (index < HEAD + options)
        return &kind->options[index - HEAD];
    return &tail[index - HEAD - options];
}

int ech_schema_find(const struct ech_kind *kind, const char *path)
{
    for (int i = 0; i < ech_schema_count(kind); i++)
        if (strcmp(ech_schema_at(kind, i)->path, path) == 0)
            return i;
    return -1;
}

bool ech_schema_is_option(const struct ech_field *field)
{
    return strncmp(field->path, "options.", 8) == 0;
}

void *ech_schema_base(struct ech_job *job, const struct ech_field *field)
{
    return ech_schema_is_option(field) ? job->options : job;
}

const char *ech_schema_section_doc(const char *section)
{
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (strcmp(sections[i].name, section) == 0)
            return sections[i].doc;
    return NULL;
}

const char *ech_schema_word(const char *section, const char *word, const char *key)
{
    if (strcmp(section, "precision") != 0)
        return NULL;
    const char *compute = ech_precision_compute_of(word);
    if (strcmp(word, "auto") == 0 || (compute && strcmp(key, "kv") == 0))
        return "auto";
    return !compute || strcmp(key, "compute") == 0 ? compute : word;
}

const char *ech_schema_words(const char *section)
{
    return strcmp(section, "precision") == 0 ? "auto, f32, bf16, f16, int8, int4" : NULL;
}

const char *ech_schema_scalar(const char *section)
{
    return strcmp(section, "model") == 0 ? "model.path" : NULL;
}

bool ech_schema_is_section(const char *path)
{
    return ech_schema_section_doc(path) != NULL;
}

const char *ech_schema_later_value(const char *path, const char *value)
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (later[i].value && strcmp(later[i].path, path) == 0 && strcmp(later[i].value, value) == 0)
            return later[i].text;
    return NULL;
}

/* A path below a later key belongs to it ("steps.first"). */
const char *ech_schema_later_key(const char *path)
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        size_t length = strlen(later[i].path);
        if (!later[i].value && strncmp(later[i].path, path, length) == 0 &&
            (path[length] == '\0' || path[length] == '.'))
            return later[i].text;
    }
    return NULL;
}

static const char *last_word(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const struct ech_kind *ech_schema_other_kind(const struct ech_kind *kind, const char *path)
{
    for (const struct ech_kind *const *other = ech_kinds(); *other; other++)
        for (const struct ech_field *field = (*other)->options; *other != kind && field->path; field++)
            if (strcmp(last_word(field->path), last_word(path)) == 0)
                return *other;
    return NULL;
}

/* Names to compare a mistyped key with. */
enum pool { IN_SECTION, LAST_WORDS, WHOLE_PATHS };

static bool same_section(const char *a, const char *b)
{
    size_t length = (size_t)(last_word(a) - a);
    return length == (size_t)(last_word(b) - b) && memcmp(a, b, length) == 0;
}

static const char *nearest_in(const struct ech_kind *kind, const char *path, enum pool pool)
{
    enum { MOST = 128 };
    const char *names[MOST + 1], *paths[MOST];
    int n = 0;
    for (int i = 0; i < ech_schema_count(kind) && n < MOST; i++) {
        const char *name = ech_schema_at(kind, i)->path;
        if (pool == IN_SECTION && !same_section(name, path))
            continue;
        paths[n] = name;
        names[n++] = pool == WHOLE_PATHS ? name : last_word(name);
    }
    names[n] = NULL;
    const char *near = ech_nearest(pool == WHOLE_PATHS ? path : last_word(path), names);
    for (int i = 0; near && i < n; i++)
        if (names[i] == near)
            return paths[i];
    return NULL;
}

const char *ech_schema_nearest(const struct ech_kind *kind, const char *path)
{
    const char *near = nearest_in(kind, path, IN_SECTION);
    for (int i = 0; !near && i < ech_schema_count(kind); i++)
        if (strcmp(last_word(ech_schema_at(kind, i)->path), last_word(path)) == 0)
            near = ech_schema_at(kind, i)->path;
    if (!near && ech_schema_other_kind(kind, path))
        return NULL;
    for (size_t i = 0; !near && !strchr(path, '.') && i < sizeof sections / sizeof sections[0]; i++)
        if (ech_nearest(path, (const char *const[]){sections[i].name, NULL}))
            near = sections[i].name;
    if (!near)
        near = nearest_in(kind, path, LAST_WORDS);
    return near ? near : nearest_in(kind, path, WHOLE_PATHS);
}

bool ech_schema_env_name(const char *path, char *out, size_t bytes)
{
    size_t n = (size_t)snprintf(out, bytes, "ECHELON_");
    for (; *path; path++) {
        if (n + 3 > bytes)
            return false;
        if (*path == '.')
            out[n++] = '_';
        out[n++] = *path == '.' ? '_' : (char)toupper((unsigned char)*path);
    }
    out[n] = '\0';
    return true;
}

bool ech_schema_env_path(const char *name, char *out, size_t bytes)
{
    size_t n = 0;
    for (const char *p = name + strlen("ECHELON_"); *p; p++) {
        if (n + 2 > bytes)
            return false;
        bool level = p[0] == '_' && p[1] == '_';
        out[n++] = level ? '.' : (char)tolower((unsigned char)*p);
        p += level;
    }
    out[n] = '\0';
    return true;
}

bool ech_schema_env_other(const char *name)
{
    for (size_t i = 0; other_env[i]; i++)
        if (strcmp(other_env[i], name) == 0)
            return true;
    return false;
}
