/* Drawings: see svg.h. */
#include "launcher/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The drawing's own units; the page scales it. */
#define WIDTH  480.0
#define HEIGHT 220.0
#define LEFT   64.0
#define RIGHT  8.0
#define TOP    10.0
#define BOTTOM 24.0

static void put_char(struct ech_str *out, unsigned char c)
{
    switch (c) {
    case '&':
        ech_str_adds(out, "&amp;");
        return;
    case '<':
        ech_str_adds(out, "&lt;");
        return;
    case '>':
        ech_str_adds(out, "&gt;");
        return;
    case '"':
        ech_str_adds(out, "&quot;");
        return;
    case '\'':
        ech_str_adds(out, "&#39;");
        return;
    default:
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            ech_str_adds(out, "\xEF\xBF\xBD");
        else
            ech_str_addc(out, (char)c);
    }
}

void ech_html_put(struct ech_str *out, const char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0) {
        int64_t bad = ech_utf8_invalid_at(text, bytes);
        size_t good = bad < 0 ? bytes : (size_t)bad;
        for (size_t i = 0; i < good; i++)
            put_char(out, (unsigned char)text[i]);
        if (bad >= 0)
            ech_str_adds(out, "\xEF\xBF\xBD");
        good += bad >= 0;
        text += good;
        bytes -= good;
    }
}

double ech_svg_step(double most, int ticks, bool bytes)
{
    if (!(most > 0) || !isfinite(most))
        return 0;
    double least = most / ticks;
    if (bytes)
        return exp2(ceil(log2(least) - 1e-9));
    double unit = pow(10, floor(log10(least) + 1e-9)), digit = least / unit;
    return unit * (digit <= 1 + 1e-9 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

const char *ech_svg_label(double value, bool bytes, char *out, size_t size)
{
    static const char *const si[] = {"", "k", "M", "G", "T"};
    static const char *const binary[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    double base = bytes ? 1024 : 1000;
    int unit = 0;
    while (value >= base * 0.9999 && unit < 4) {
        value /= base;
        unit++;
    }
    snprintf(out, size, "%.4g%s", value, bytes ? binary[unit] : si[unit]);
    return out;
}

static double highest(const struct ech_plot *p)
{
    double most = 0;
    for (int i = 0; i < p->points; i++) {
        double sum = 0;
        for (int s = 0; s < p->series; s++)
            sum += p->values[s * p->points + i];
        most = sum > most ? sum : most;
    }
    return most;
}

static double x_of(const struct ech_plot *p, int i)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * i / (p->points > 1 ? p->points - 1 : 1);
}

static double y_of(double value, double most)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (most > 0 ? value / most : 0);
}

static void put_axes(const struct ech_plot *p, double most, double step, struct ech_str *out)
{
    char label[32];
    for (double v = 0; step > 0 && v <= most * 1.0001; v += step) {
        double y = y_of(v, most);
        ech_str_addf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", LEFT, y,
                     WIDTH - RIGHT, y);
        ech_str_addf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                     LEFT - 5, y + 4, ech_svg_label(v, p->bytes, label, sizeof label));
    }
    /* Ticks of time in seconds, minutes or hours. */
    double unit = p->seconds >= 3 * 3600 ? 3600 : p->seconds >= 180 ? 60 : 1;
    const char *name = unit > 60 ? "h" : unit > 1 ? "min" : "s";
    double t_step = ech_svg_step(p->seconds / unit, 5, false);
    for (double t = 0; t_step > 0 && t <= p->seconds / unit * 1.0001; t += t_step) {
        double x = LEFT + (WIDTH - LEFT - RIGHT) * t * unit / p->seconds;
        bool last = t + t_step > p->seconds / unit * 1.0001;
        ech_str_addf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%g%s%s</text>", x,
                     HEIGHT - 7, t > 0 ? last && x > WIDTH - 40 ? "end" : "middle" : "start", t,
                     last ? " " : "", last ? name : "");
    }
}

/* The band of one series: along its top, back along the top of the one below. */
static void put_band(const struct ech_plot *p, int series, double most, struct ech_str *out)
{
    double last = 0;
    ech_str_addf(out, "<path class=\"s%d\" d=\"", series % ECH_SVG_SERIES);
    for (int way = 0; way < 2; way++)
        for (int k = 0; k < p->points; k++) {
            int i = way ? p->points - 1 - k : k;
            double sum = 0;
            for (int s = 0; s < series + 1 - way; s++)
                sum += p->values[s * p->points + i];
            ech_str_addf(out, "%c%.1f %.1f", way || k ? 'L' : 'M', x_of(p, i), y_of(sum, most));
        }
    for (int i = 0; i < p->points; i++)
        last += p->values[series * p->points + i];
    char mean[32];
    ech_str_adds(out, "Z\"><title>");
    ech_html_put(out, p->names[series]);
    ech_str_addf(out, ": mean %s</title></path>",
                 ech_svg_label(last / p->points, p->bytes, mean, sizeof mean));
}

static void put_legend(const struct ech_plot *p, struct ech_str *out)
{
    if (p->series < 2)
        return;
    ech_str_adds(out, "<p class=\"legend\">");
    for (int s = 0; s < p->series; s++) {
        ech_str_addf(out, "<span><i class=\"b%d\"></i>", s % ECH_SVG_SERIES);
        ech_html_put(out, p->names[s]);
        ech_str_adds(out, "</span> ");
    }
    ech_str_adds(out, "</p>\n");
}

void ech_svg_stacked(const struct ech_plot *p, struct ech_str *out)
{
    double most = highest(p), step = ech_svg_step(most, 5, p->bytes);
    double top = step > 0 ? ceil(most / step - 1e-9) * step : 1;
    ech_str_addf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    ech_html_put(out, p->label);
    ech_str_adds(out, "\">");
    put_axes(p, top, step, out);
    for (int s = 0; s < p->series; s++)
        put_band(p, s, top, out);
    ech_str_addf(out, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/></svg>\n", LEFT,
                 HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM);
    put_legend(p, out);
}
