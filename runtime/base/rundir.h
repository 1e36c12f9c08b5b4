/* The run directory: what `echelon run` makes, the ranks fill, and status, logs, report and resume read.
 *
 *   runs/<job>-<YYYYMMDD-HHMMSS>[-N]/
 *     job.yaml                 effective configuration with origins; absolute paths (launcher, first attempt)
 *     hosts, cluster.yaml      of --hosts and --cluster, where given: "name" a line, with "slots=N" where
 * that was said; node classes lock                     flock: one launcher at a time launch-<attempt>.json
 * {pid, host, ranks, started, command} (launcher) identity.json            what the run computes (rank 0,
 * first attempt); compared by every resume input.yaml               manifest of the input dataset at the
 * first attempt (rank 0); rows appended to it later are not the run's index.yaml               the same of a
 * retrieve's index plan.json                the plan of the newest attempt (rank 0) started-<attempt> empty:
 * a rank has started (each rank, before it looks for the others) mpirun-<attempt>.log     what mpirun and the
 * ranks said on stdout and stderr (launcher) nodes/<host>/events-<attempt>-<slot>.jsonl   one writer a file
 *                  log-<attempt>-<slot>            ech_log lines, info and above
 *                  spool-<attempt>-<slot>          results (job/spool.h)
 *                  word-<attempt>-<slot>           how far a rank was, of phases that last too long
 * (base/words.h) over-<attempt>           a phase of all ranks did not end: the attempt has no result
 * (watchdog) hosts-<attempt>          mpirun's host file, less the hosts left out (launcher; several hosts)
 *     result-<attempt>.json    the ranks' agreed end: {attempt, code, text, state, dataset, rows, errors,
 *                              seconds}; state: "sealed", "stopped" (75), "failed". Written by rank 0
 *                              (temporary file + rename) as the last act; absent: the attempt died.
 *     report.html              (launcher)
 *
 *   slot = rank. A sealed run has a result-N.json with state "sealed".
 *
 * Event types (who writes; members beyond the common ones):
 *
 *   start     every rank  {host, pid, threads, backend, numerics, cpu, version, cores, numa, memory_bound,
 *                         near_device}; cores: "0-3", or "not bound"; numa: -1 where they lie in several
 * domains; near_device: the GPU they were chosen for
 *
 *   phase     every rank  {name}: open, verify, memory, plan, probe, run, verify, seal
 *
 *   model     every rank  {packed_bytes, workspace_bytes, works}; works: it has a place in its node's memory
 *
 *   plan      rank 0      {rows, rows_done, tokens_estimated, ranks, nodes}; rows_done: of earlier attempts
 *
 *   probe     every rank  {tokens_per_s, few_tokens_per_s, weights_bytes_per_s, cached}: bound by computing
 *                         (many rows), by memory (few rows, which read all weights); cached: by an earlier
 * start
 *
 *   progress  every rank  each second: {rows, tokens, errors, leases, busy_s, speed, share, rss_bytes,
 *                         spool_bytes}, all counted since the attempt's start; speed: tokens/s while
 *                         computing; share: of all ranks' speed (0..1). Where leases ended since the one
 *                         before, spans: [[begun, done, rows, leases, copy], ...], at most 8; milliseconds
 * before the event; copy: 1 where another rank held these rows as well
 *
 *   lease     every rank  {first, rows}: the first claim only (its time is the start of the clock)
 *
 *   todo      rank 0      each second: {rows_done, rows, tokens_done, tokens, left_s}: of the whole job
 *
 *   dead      rank 0      {who, host, reason}; who: the rank that is dead
 *
 *   seal      rank 0      {shards, bytes, rows, seconds}
 *
 *   end       every rank  {code, text, cpu_s, rss_peak_bytes}
 */
#ifndef ECH_BASE_RUNDIR_H
#define ECH_BASE_RUNDIR_H

#include "base/err.h"

#define ECH_RUN_JOB      "job.yaml"
#define ECH_RUN_LOCK     "lock"
#define ECH_RUN_IDENTITY "identity.json"
#define ECH_RUN_PLAN     "plan.json"
#define ECH_RUN_INPUT    "input.yaml"
#define ECH_RUN_INDEX    "index.yaml"
#define ECH_RUN_REPORT   "report.html"
#define ECH_RUN_NODES    "nodes"
#define ECH_RUN_HOSTS    "hosts"
#define ECH_RUN_CLUSTER  "cluster.yaml"
#define ECH_RUN_STARTED  "started-%d"

/* RUN/name with printf arguments; owner: the caller, ech_free. NULL on failure. */
char *ech_run_path(struct ech_err *err, const char *run_dir, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Highest attempt that has left any trace in the directory (0: none). ECH_NOINPUT: not a run directory. */
int ech_run_attempts(const char *run_dir, int *attempts, struct ech_err *err);

struct ech_run_result {
    int attempt, code;
    char state[16]; /* "sealed", "stopped", "failed" */
    char text[1536];
    char dataset[4096];
    int64_t rows, errors;
    double seconds;
};
/* Keeps 16 KiB of the disk for the result of an attempt, so that it can tell of a disk that became full;
 * given back by ech_run_result_write. */
int ech_run_result_reserve(const char *run_dir, int attempt, struct ech_err *err);
int ech_run_result_write(const char *run_dir, const struct ech_run_result *result, struct ech_err *err);
/* ECH_NOINPUT where the attempt left none. */
int ech_run_result_read(const char *run_dir, int attempt, struct ech_run_result *out, struct ech_err *err);

#endif
