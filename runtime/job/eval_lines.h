/* Lines to be measured, one by one: of a text file, or the rows of a text column of a dataset. */
#ifndef ECH_JOB_EVAL_LINES_H
#define ECH_JOB_EVAL_LINES_H

#include "base/err.h"
#include "text/metrics.h"

struct ech_eval_lines;

/* `what`: a file of lines, a dataset with one text column, or DATASET:COLUMN.
 * Errors  ECH_NOINPUT: neither is there; ECH_CONFIG: no such column, or several and none named. */
int ech_eval_lines_open(const char *what, struct ech_eval_lines **out, struct ech_err *err);
void ech_eval_lines_close(struct ech_eval_lines *lines);
/* *got false: the end. Owner: the lines', until the next call.
 * Errors  ECH_DATA: a line is not UTF-8 (file and line, or dataset, column and row); ECH_IO. */
int ech_eval_lines_next(struct ech_eval_lines *lines, struct ech_line *out, bool *got, struct ech_err *err);
const char *ech_eval_lines_name(const struct ech_eval_lines *lines);
int64_t ech_eval_lines_read(const struct ech_eval_lines *lines); /* so far */

#endif
