/* Messages between node leaders and the coordinator: reports and replies as bytes. Little endian, this
 * machine's layout of int64; all nodes run the same program. Lengths are checked before they are believed. */
#ifndef ECH_JOB_WIRE_H
#define ECH_JOB_WIRE_H

#include "base/str.h"
#include "job/coord.h"

enum ech_tag { ECH_TAG_REPORT = 1, ECH_TAG_REPLY };

void ech_wire_put_report(const struct ech_report *report, struct ech_str *out);
/* Owner of report->done, dead, held: the caller, ech_wire_report_fini. ECH_BUG where it cannot be a report.
 */
int ech_wire_get_report(const void *data, size_t bytes, int nodes, int ranks, struct ech_report *out,
                        struct ech_err *err);
void ech_wire_report_fini(struct ech_report *report);

/* The reply and 4 bytes for each rank that died since the report. */
void ech_wire_put_reply(const struct ech_reply *reply, struct ech_str *out);
/* out->dead: borrowed from data, which is aligned as malloc does it. */
int ech_wire_get_reply(const void *data, size_t bytes, int ranks, struct ech_reply *out, struct ech_err *err);

#endif
