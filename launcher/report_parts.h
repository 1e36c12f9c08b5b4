/* Sections of the report's page that have files of their own, and what they share. Pure. */
#ifndef ECH_LAUNCHER_REPORT_PARTS_H
#define ECH_LAUNCHER_REPORT_PARTS_H

#include "launcher/report.h"

/* First lease to last row, 0: nothing was computed. */
double ech_report_makespan(const struct ech_view_sum *sum);
/* Seconds from the first lease of all to this rank's last row; 0: none. */
double ech_report_finish(const struct ech_rank_view *rank, const struct ech_view_sum *sum);

void ech_report_put_ranks(const struct ech_report *report, struct ech_str *out);  /* plan beside actual */
void ech_report_put_leases(const struct ech_report *report, struct ech_str *out); /* the time line */

#endif
