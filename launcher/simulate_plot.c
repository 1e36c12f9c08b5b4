/* The drawing of `simulate`: see simulate.h. */
#include "launcher/simulate.h"
#include "launcher/svg.h"

#define WIDTH  640.0
#define LEFT   84.0
#define RIGHT  150.0
#define TOP    40.0
#define STEP   34.0
#define BOTTOM 40.0

static const char style[] =
    "<style>text{font:13px system-ui,sans-serif;fill:#333}.soft{fill:#777}rect{fill:#3b76af}"
    "line{stroke:#ddd}.best{stroke:#c44e52;stroke-width:2}.paper{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.soft{fill:#999}line{stroke:#444}.paper{fill:#1b1b1b}"
    ".best{stroke:#e07a7d}}</style>\n";

static double x_of(double seconds, double most)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (most > 0 ? seconds / most : 0);
}

static void put_axis(double most, double step, double bottom, struct ech_str *out)
{
    char label[32];
    for (double v = 0; step > 0 && v <= most * 1.0001; v += step) {
        double x = x_of(v, most);
        ech_str_addf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, TOP - 6, x, bottom);
        ech_str_addf(out, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s%s</text>\n",
                     x, bottom + 18, ech_svg_label(v, false, label, sizeof label), v > 0 ? "" : " s");
    }
}

static void put_bar(const struct ech_simulate_bar *bar, double y, double most, struct ech_str *out)
{
    const struct ech_sim_result *r = &bar->result;
    double x = x_of(r->makespan_s, most);
    ech_str_addf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, y + 16);
    ech_html_put(out, bar->name);
    ech_str_addf(out, "</text><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>", LEFT, y,
                 x - LEFT, STEP - 12);
    if (r->stopped)
        ech_str_addf(out, "<text x=\"%.1f\" y=\"%.1f\">limit: %lld rows</text>\n", x + 8, y + 16,
                     (long long)r->rows_sealed);
    else
        ech_str_addf(out, "<text x=\"%.1f\" y=\"%.1f\">%.1f s, x %.3f</text>\n", x + 8, y + 16, r->makespan_s,
                     r->makespan_s / r->optimum_s);
}

void ech_simulate_plot(const struct ech_simulate_bar *bars, int count, struct ech_str *out)
{
    double longest = 0, best = count ? bars[0].result.optimum_s : 0;
    for (int i = 0; i < count; i++)
        longest = bars[i].result.makespan_s > longest ? bars[i].result.makespan_s : longest;
    longest = best > longest ? best : longest;
    double step = ech_svg_step(longest, 5, false), most = 0;
    while (step > 0 && most < longest)
        most += step;
    double bottom = TOP + STEP * count, x = x_of(best, most);
    ech_str_addf(out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                 "aria-label=\"makespan of each policy beside the optimum\">\n%s",
                 WIDTH, bottom + BOTTOM, style);
    ech_str_addf(out, "<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n", WIDTH, bottom + BOTTOM);
    put_axis(most, step, bottom, out);
    for (int i = 0; i < count; i++)
        put_bar(&bars[i], TOP + STEP * i, most, out);
    ech_str_addf(out, "<line class=\"best\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, TOP - 10,
                 x, bottom);
    ech_str_addf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">optimum %.1f s</text>\n</svg>\n", x,
                 TOP - 16, best);
}
