/* The style sheet of report.html: light and dark, wide and narrow. Colours b0..b7 (backgrounds) and s0..s7
 * (areas) are one palette in one order. */
#ifndef ECH_LAUNCHER_REPORT_STYLE_H
#define ECH_LAUNCHER_REPORT_STYLE_H

extern const char *const ech_report_style;

#endif
