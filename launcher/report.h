/* report.html of a run: one file with its figures as text and inline drawings; nothing is loaded from
 * elsewhere. */
#ifndef ECH_LAUNCHER_REPORT_H
#define ECH_LAUNCHER_REPORT_H

#include "base/str.h"
#include "launcher/planned.h"
#include "launcher/view.h"

struct ech_report {
    const struct ech_run_view *view;
    enum ech_run_state state;
    const char *run_dir;
    const json_t *config;              /* [{key, value, origin}], NULL where job.yaml cannot be read */
    const char *version;               /* of the launcher */
    const struct ech_planned *planned; /* NULL: no plan is known */
    const char *advice;                /* lines of launcher/advice.h; NULL: none */
};
/* The whole page. A pure function. */
int ech_report_html(const struct ech_report *report, struct ech_str *out, struct ech_err *err);

/* The same figures as one JSON object. A pure function. */
int ech_report_json(const struct ech_report *report, struct ech_str *out, struct ech_err *err);

/* Read a run and write RUN/report.html. */
int ech_report_write(const char *run_dir, struct ech_err *err);

#endif
