/* A job as typed structs, filled from the schema (config/schema.c: the rows of these members). */
#ifndef ECH_CONFIG_JOB_H
#define ECH_CONFIG_JOB_H

#include "config/kind.h"

enum ech_exists { ECH_EXISTS_ERROR, ECH_EXISTS_REPLACE };
enum ech_backend {
    ECH_BACKEND_AUTO,
    ECH_BACKEND_AVX512,
    ECH_BACKEND_AVX2,
    ECH_BACKEND_OPENBLAS,
    ECH_BACKEND_REF_EXACT,
    ECH_BACKEND_CUDA
};
enum ech_device { ECH_DEVICE_AUTO, ECH_DEVICE_CPU, ECH_DEVICE_CUDA };
enum ech_numerics { ECH_NUMERICS_STRICT, ECH_NUMERICS_MIXED };
enum ech_staging_way { ECH_STAGING_NONE, ECH_STAGING_BROADCAST, ECH_STAGING_NODE };
enum ech_job_launcher { ECH_LAUNCHER_MPIRUN, ECH_LAUNCHER_SRUN };
enum ech_overrun { ECH_OVERRUN_REFUSE, ECH_OVERRUN_ALLOW };
enum ech_policy { ECH_POLICY_ADAPTIVE, ECH_POLICY_EQUAL };

struct ech_job {
    char *kind_name; /* kind */
    const struct ech_kind *kind;
    char *name;    /* default: the file's name without ending; [A-Za-z0-9._-]+ */
    char *model;   /* model.path */
    char *adapter; /* model.adapter; NULL: none */
    struct {
        int how;      /* enum ech_staging_way */
        char *folder; /* on each node; NULL: $TMPDIR or /tmp */
        int64_t most; /* bytes that are kept there */
    } staging;        /* model.stage, .folder, .most */
    struct {
        char *dataset, *column; /* column: default "text" */
        char *template_;        /* input.template: "{title} {text}"; instead of column */
        bool verify;            /* compare the inputs (index too) with their hashes first */
    } input;
    struct {
        char *dataset;
        struct ech_list keep; /* input columns copied to the output */
        int exists;           /* enum ech_exists */
        int64_t shard_bytes;  /* 256MiB */
    } output;
    void *options; /* struct ech_<kind>_options (config/kinds/<kind>.h) */
    struct {
        int64_t nodes,
            ranks_per_node; /* 1, auto (= usable cores / threads; auto threads: 1 a NUMA domain or GPU) */
        int64_t threads;    /* a rank; auto = the node's usable cores / ranks_per_node */
        int device;         /* enum ech_device */
        int backend;        /* enum ech_backend; cuda where the device is */
        int64_t ranks_per_worker; /* ranks that share one copy of the model; auto = as few as fit */
        double time;              /* walltime, 0: none */
        int64_t memory;           /* of a node, 0: none */
        struct ech_list each;     /* numerics mixed: how single ranks compute (config/each.h) */
        char *partition, *account, *qos, *constraint, *gres; /* for the scheduler; NULL: its default */
        int launcher;                                        /* enum ech_job_launcher */
        struct ech_list components; /* further ones of a heterogeneous Slurm job: options of sbatch */
    } resources;
    struct ech_list slurm; /* options of sbatch passed through: "name" or "name=value" */
    struct {
        int weights, compute; /* enum ech_precision; auto once loaded: as the model is stored */
        int kv;               /* choice: auto f32 bf16 */
    } precision;
    int numerics; /* enum ech_numerics */
    struct {
        int policy;             /* enum ech_policy */
        int64_t lease_rows;     /* rows of the smallest batch, auto */
        int64_t lease_rows_max; /* rows of the largest, auto */
        bool probe;             /* measure speeds at the start */
    } balance;
    int64_t max_errors; /* 1000 */
    int64_t retries;    /* 0 */
    struct {
        double heartbeat;         /* 10 s: a rank silent for longer is dead */
        double phase;             /* 300 s: deadline of open, verify, seal collectives */
        double disk_full;         /* 30 s: how long a full disk is waited for */
        double spool_sync;        /* 2 s */
        int64_t spool_sync_bytes; /* 64MiB */
        double stop_margin;       /* 30 s before `time`: no new leases */
        int overrun;              /* enum ech_overrun: a job that cannot end within `time` */
    } limits;
    char *runs; /* folder of run directories, default "runs" */
};

#endif
