/* See print.h. */
#include "kernels/bench/print.h"

#include <string.h>

static const char *unit_of(const struct ech_line *line)
{
    bool integers = line->c.format == ECH_FMT_INT8 || line->c.format == ECH_FMT_INT4 ||
                    line->c.format == ECH_FMT_BLOCK_INT8;
    switch (line->rate) {
    case ECH_RATE_FLOP:
        return integers ? "Gop/s" : "GFLOP/s";
    case ECH_RATE_BYTES:
        return "GB/s";
    default:
        return "G elements/s";
    }
}

static bool measured(const struct ech_line *line)
{
    return line->seconds > 0;
}

/* "2 lanes": a queue and rows for each; "2": a team. */
static void put_threads(const struct ech_line *line, FILE *out)
{
    fprintf(out, "%d%s", line->threads, line->threads > 1 ? line->lanes ? " lanes" : " team" : "");
}

static void put_row(const struct ech_line *line, FILE *out)
{
    char what[200];
    fprintf(out, "| %s%s | ", ech_case_describe(&line->c, what, sizeof what),
            line->c.copies ? ", weights from memory" : "");
    put_threads(line, out);
    fprintf(out, " | %.4g %s%s | ", line->value, unit_of(line), line->disturbed ? " (disturbed)" : "");
    if (line->limit_value > 0)
        fprintf(out, "%.4g %s %s | %.1f %% | ", line->limit_value,
                line->limit                   ? ech_limit_unit(line->limit)
                : line->rate == ECH_RATE_FLOP ? "GFLOP/s"
                                              : "GB/s",
                line->limit_name, 100 * line->share);
    else
        fputs("| | ", out);
    if (line->speedup > 0)
        fprintf(out, "%.2f", line->speedup);
    fputs(" | ", out);
    if (line->peer > 0)
        fprintf(out, "%.4g | %.2f |\n", line->peer, line->value / line->peer);
    else
        fputs("| |\n", out);
}

static void put_markdown(const struct ech_bench_head *head, const struct ech_lines *lines, FILE *out)
{
    bool lacking = false;
    fprintf(out, "# Kernels: %s on %s\n\n", head->backend, head->processor);
    fprintf(out, "Medians of %d rounds, wall time, %d thread%s. ", head->rounds, head->threads,
            head->threads == 1 ? "" : "s");
    if (head->device)
        fputs("Limits: the device's own largest product and a pass over much memory, in the same run.\n",
              out);
    else
        fputs("Limits: probed between the rounds by as many threads; the median probe counts. A team is one "
              "queue with so many threads; lanes have a queue and rows each, as the engine's, and share the "
              "weights. Rows in caches are compared by the bytes they read and write. Disturbed: other "
              "programs "
              "took cores in every attempt at a round.\n",
              out);
    if (head->peer)
        fprintf(out, "Beside: %s; no bias there.\n", head->peer);
    fputs("\n| case | threads | rate | limit | share | speed-up | OpenBLAS | ratio |\n"
          "|---|---|---|---|---|---|---|---|\n",
          out);
    for (int i = 0; i < lines->count; i++)
        if (measured(&lines->line[i]))
            put_row(&lines->line[i], out);
        else
            lacking = true;
    if (lacking)
        fputs("\nNot supported by this backend:\n", out);
    for (int i = 0; i < lines->count; i++) {
        char what[200];
        bool twin = i > 0 && memcmp(&lines->line[i].c, &lines->line[i - 1].c, sizeof lines->line[i].c) == 0;
        if (!twin && lines->line[i].status == ECH_OP_UNSUPPORTED)
            fprintf(out, "- %s\n", ech_case_describe(&lines->line[i].c, what, sizeof what));
    }
}

static void put_json_text(const char *name, const char *text, FILE *out)
{
    fprintf(out, "\"%s\": \"", name);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text >= 0x20)
            fputc(*text, out);
    fputc('"', out);
}

static void put_json_line(const struct ech_line *line, FILE *out)
{
    char what[200];
    fputs("    {", out);
    put_json_text("case", ech_case_describe(&line->c, what, sizeof what), out);
    fputs(", ", out);
    put_json_text("operation", ech_case_op_name(line->c.op), out);
    fputs(", ", out);
    put_json_text("format", ech_ops_format_name(line->c.format), out);
    fprintf(out, ", \"rows\": %lld, \"outputs\": %lld, \"inner\": %lld", (long long)ech_case_rows(&line->c),
            (long long)line->c.outputs, (long long)line->c.inner);
    fprintf(out, ", \"threads\": %d, \"lanes\": %s, \"supported\": %s", line->threads,
            line->lanes ? "true" : "false", measured(line) ? "true" : "false");
    if (measured(line)) {
        fprintf(out, ", \"seconds\": %.6g, \"value\": %.6g, ", line->seconds, line->value);
        put_json_text("unit", unit_of(line), out);
        fprintf(out, ", \"disturbed\": %s", line->disturbed ? "true" : "false");
    }
    if (measured(line) && line->limit_value > 0) {
        fputs(", ", out);
        put_json_text("limit", line->limit_name, out);
        fprintf(out, ", \"limit_value\": %.6g, \"share\": %.4f", line->limit_value, line->share);
    }
    if (line->speedup > 0)
        fprintf(out, ", \"speedup\": %.3f", line->speedup);
    if (line->peer > 0)
        fprintf(out, ", \"openblas\": %.6g, \"ratio\": %.4f", line->peer, line->value / line->peer);
    fputc('}', out);
}

static void put_json(const struct ech_bench_head *head, const struct ech_lines *lines, FILE *out)
{
    fputs("{", out);
    put_json_text("processor", head->processor, out);
    fputs(", ", out);
    put_json_text("backend", head->backend, out);
    fputs(", ", out);
    put_json_text("peer", head->peer ? head->peer : "", out);
    fprintf(out, ", \"threads\": %d, \"rounds\": %d,\n  \"numerics\": {", head->threads, head->rounds);
    for (int f = 0, some = 0; f < ECH_FORMATS; f++)
        if (head->numerics[f]) {
            fputs(some++ ? ", " : "", out);
            put_json_text(ech_ops_format_name((enum ech_format)f), head->numerics[f], out);
        }
    fputs("},\n  \"lines\": [\n", out);
    for (int i = 0; i < lines->count; i++) {
        put_json_line(&lines->line[i], out);
        fputs(i + 1 < lines->count ? ",\n" : "\n", out);
    }
    fputs("  ]}\n", out);
}

void ech_print_lines(const struct ech_bench_head *head, const struct ech_lines *lines, bool json, FILE *out)
{
    if (json)
        put_json(head, lines, out);
    else
        put_markdown(head, lines, out);
}
