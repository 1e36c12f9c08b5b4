/* The verb `eval`: quality in the field's own metrics. One row a sub-verb. */
#include "job/verbs.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/verb.h"
#include "config/precision.h"
#include "job/eval.h"
#include "job/eval_lines.h"
#include "text/metrics.h"

#include <string.h>

/* The settings a score was made with, in sacrebleu's own words. */
#define SACREBLEU      "2.6.0"
#define BLEU_SIGNATURE "nrefs:%d|case:mixed|eff:no|tok:13a|smooth:exp|version:" SACREBLEU
#define CHRF_SIGNATURE "nrefs:%d|case:mixed|eff:yes|nc:6|nw:0|space:no|version:" SACREBLEU

struct sides {
    struct ech_eval_lines *hypothesis, *references[ECH_REFERENCES_MOST];
    int count;
};

static void sides_close(struct sides *s)
{
    ech_eval_lines_close(s->hypothesis);
    for (int r = 0; r < s->count; r++)
        ech_eval_lines_close(s->references[r]);
}

static int sides_open(const struct ech_args *args, struct sides *s, struct ech_err *err)
{
    const char *const *references = ech_args_all(args, "reference");
    int code = ech_eval_lines_open(args->operands[0], &s->hypothesis, err);
    if (code == ECH_OK && !(references && references[0]))
        return ech_fail(err, ECH_USAGE, "%s: a --reference was expected", args->command->name);
    for (int r = 0; code == ECH_OK && references[r]; r++) {
        if (r == ECH_REFERENCES_MOST)
            return ech_fail(err, ECH_USAGE, "more than %d references", ECH_REFERENCES_MOST);
        code = ech_eval_lines_open(references[r], &s->references[r], err);
        s->count += code == ECH_OK;
    }
    return code;
}

static int short_side(const struct ech_eval_lines *side, const struct ech_eval_lines *other,
                      struct ech_err *err)
{
    return ech_fail(err, ECH_DATA, "%s ends after line %lld, %s goes on: as many lines were expected",
                    ech_eval_lines_name(side), (long long)ech_eval_lines_read(side),
                    ech_eval_lines_name(other));
}

/* The next line of every side; *more false where all end together. */
static int next_lines(struct sides *s, struct ech_line *hypothesis, struct ech_line *references, bool *more,
                      struct ech_err *err)
{
    int code = ech_eval_lines_next(s->hypothesis, hypothesis, more, err);
    for (int r = 0; code == ECH_OK && r < s->count; r++) {
        bool got;
        code = ech_eval_lines_next(s->references[r], &references[r], &got, err);
        if (code == ECH_OK && got != *more)
            code = got ? short_side(s->hypothesis, s->references[r], err)
                       : short_side(s->references[r], s->hypothesis, err);
    }
    return code;
}

static void print_human(const struct ech_metrics *m, int references, struct ech_str *out)
{
    struct ech_bleu b = ech_metrics_bleu(m);
    struct ech_chrf c = ech_metrics_chrf(m);
    ech_str_addf(out,
                 "BLEU  %.2f  %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld ref_len = %lld)\n",
                 b.score, b.precision[0], b.precision[1], b.precision[2], b.precision[3], b.brevity,
                 b.reference_tokens ? (double)b.hypothesis_tokens / (double)b.reference_tokens : 0,
                 (long long)b.hypothesis_tokens, (long long)b.reference_tokens);
    ech_str_addf(out, "chrF  %.2f\nlines %lld\n", c.score, (long long)ech_metrics_lines(m));
    ech_str_addf(out,
                 "signatures, as sacrebleu's:\n"
                 "  BLEU  " BLEU_SIGNATURE "\n"
                 "  chrF  " CHRF_SIGNATURE "\n",
                 references, references);
}

static void print_json(const struct ech_metrics *m, int references, struct ech_str *out)
{
    struct ech_bleu b = ech_metrics_bleu(m);
    struct ech_chrf c = ech_metrics_chrf(m);
    ech_str_addf(out, "{\"lines\":%lld,\"bleu\":{\"score\":%.6f,\"precisions\":[%.6f,%.6f,%.6f,%.6f],",
                 (long long)ech_metrics_lines(m), b.score, b.precision[0], b.precision[1], b.precision[2],
                 b.precision[3]);
    ech_str_addf(out, "\"bp\":%.6f,\"hyp_len\":%lld,\"ref_len\":%lld,", b.brevity,
                 (long long)b.hypothesis_tokens, (long long)b.reference_tokens);
    ech_str_addf(out,
                 "\"signature\":\"" BLEU_SIGNATURE "\"},"
                 "\"chrf\":{\"score\":%.6f,"
                 "\"signature\":\"" CHRF_SIGNATURE "\"}}\n",
                 references, c.score, references);
}

static int do_translation(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    struct sides s = {0};
    struct ech_metrics *m = NULL;
    struct ech_line hypothesis, references[ECH_REFERENCES_MOST];
    int code = sides_open(args, &s, err);
    if (code == ECH_OK)
        code = ech_metrics_create(&m, err);
    bool more = true;
    while (code == ECH_OK && more) {
        code = next_lines(&s, &hypothesis, references, &more, err);
        if (code == ECH_OK && more)
            code = ech_metrics_add(m, hypothesis, references, s.count, err);
    }
    if (code == ECH_OK && ech_metrics_lines(m) == 0)
        code = ech_fail(err, ECH_DATA, "%s: no lines", ech_eval_lines_name(s.hypothesis));
    if (code == ECH_OK)
        (ech_args_given(args, "json") ? print_json : print_human)(m, s.count, &call->text);
    ech_metrics_destroy(m);
    sides_close(&s);
    return code;
}

int ech_eval_precision(const char *name, int *out, struct ech_err *err)
{
    *out = ECH_PRECISION_AUTO;
    if (!name)
        return ECH_OK;
    for (int p = ECH_PRECISION_AUTO; p <= ECH_PRECISION_INT8; p++)
        if (strcmp(name, ech_precision_name(p)) == 0) {
            *out = p;
            return ECH_OK;
        }
    return ech_fail(err, ECH_USAGE, "--compute \"%.40s\": auto, f32, bf16, f16 or int8 was expected", name);
}

static const struct ech_option perplexity_options[] = {
    {"text", "FILE", false, "the text"},
    {"tokens", "N", false, "how many of its tokens, from the start (2048; 0: all)"},
    {"window", "N", false, "tokens read in one go (512)"},
    {"compute", "NAME", false, "what products compute in: auto, f32, bf16, int8"},
    {"threads", "N", false, "compute threads (all usable cores)"},
    {"json", NULL, false, "one JSON object"},
    {0}};
static const struct ech_option choice_options[] = {
    {"questions", "FILE", false, "JSON lines: {\"question\": text, \"choices\": [text, ...], \"answer\": 0}"},
    {"join", "TEXT", false, "between a question and a choice (a blank)"},
    {"context", "N", false, "most tokens of a question and a choice (the model's own, at most 4096)"},
    {"compute", "NAME", false, "what products compute in: auto, f32, bf16, int8"},
    {"threads", "N", false, "compute threads (all usable cores)"},
    {"json", NULL, false, "one JSON object"},
    {0}};
static const struct ech_option translation_options[] = {
    {"reference", "LINES", true, "what was expected, as HYPOTHESES is given; several: several references"},
    {"json", NULL, false, "one JSON object"},
    {0}};
static const struct ech_exit exits[] = {
    {ECH_OK, "measured"},
    {ECH_USAGE, NULL},
    {ECH_DATA, "the sides differ in their number of lines, or a line is not what it should be"},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, NULL},
    {ECH_CONFIG, NULL},
    {0}};

static const struct ech_verb_spec verbs[] = {
    {.name = "translation",
     .run = do_translation,
     .command = {.name = "echelon eval translation",
                 .usage = "HYPOTHESES --reference LINES [--json]",
                 .summary = "BLEU (13a tokens) and chrF of translations, the numbers that sacrebleu prints.\n"
                            "HYPOTHESES and LINES: a file of lines, a dataset with one text column, or "
                            "DATASET:COLUMN.",
                 .options = translation_options,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "echelon eval translation out/pt:translation --reference dev.pt",
                 .exits = exits}},
    {.name = "choice",
     .run = ech_eval_choice,
     .command = {.name = "echelon eval choice",
                 .usage = "MODEL --questions FILE [options]",
                 .summary =
                     "How often a language model gives the right one of several answers the highest "
                     "log-probability,\nin all and by character of the answer (acc and acc_norm of other "
                     "tools). \"answer\" is the number\nof a choice, from 0 on, or its text. FILE may be "
                     "DATASET:COLUMN, too.",
                 .options = choice_options,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example = "echelon eval choice models/gemma.gguf --questions arc-easy.jsonl",
                 .exits = exits}},
    {.name = "perplexity",
     .run = ech_eval_perplexity,
     .command = {.name = "echelon eval perplexity",
                 .usage = "MODEL --text FILE [options]",
                 .summary =
                     "How well a language model foretells a text: its tokens are cut into windows, the first "
                     "of each\ngives way to the beginning-of-text token, the others' negative "
                     "log-likelihood is averaged.",
                 .options = perplexity_options,
                 .operands_least = 1,
                 .operands_most = 1,
                 .example =
                     "echelon eval perplexity models/gemma.gguf --text wikitext2-test.txt --window 2048",
                 .exits = exits}},
};

static const struct ech_verb_group group = {.name = "echelon eval",
                                            .usage = "WHAT ...",
                                            .example = "echelon eval translation out.pt --reference dev.pt",
                                            .exits = exits,
                                            .verbs = verbs,
                                            .count = sizeof verbs / sizeof verbs[0]};

int ech_eval_verb(int argc, char **argv, FILE *out, struct ech_err *err)
{
    return ech_verb_group_run(&group, argc, argv, NULL, out, err);
}
