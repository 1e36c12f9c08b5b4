/* A cluster file as typed structs: classes of nodes, what they have, how fast they are known to be, how
 * processes get there, which nodes are left out. Read by run, resume, plan, simulate, submit and doctor.
 * One table (cluster_schema.c) makes parsing, `config show`, the reference file and the JSON Schema. */
#ifndef ECH_CONFIG_CLUSTER_H
#define ECH_CONFIG_CLUSTER_H

#include "base/err.h"
#include "base/str.h"
#include "config/field.h"
#include "config/host_index.h"

#include <stdbool.h>

enum { ECH_CLUSTER_CLASSES = 256, ECH_CLUSTER_NODES = 1000000 };

struct ech_node_class {
    char *name;             /* the key below `classes` */
    struct ech_list hosts;  /* names, patterns spelled out ("n[01-03]": n01 n02 n03); empty: only counted */
    int64_t count;          /* nodes; the number of hosts where they are named */
    int64_t cores;          /* of a node; 0: what is found there */
    int64_t memory;         /* bytes of a node; 0: what is found there */
    int64_t devices;        /* GPUs of a node */
    int64_t domains;        /* NUMA domains of a node; 0: what is found there */
    int64_t ranks_per_node; /* 0: auto (what the job says, else a GPU or a NUMA domain each) */
    int64_t threads;        /* of a rank; 0: auto (cores / ranks) */
    double speed;           /* of a rank against the others, 1 = the reference; 0: not known */
    double tokens_per_s;    /* of a rank; 0: not known */
    struct ech_list launch; /* words of the command that starts a program on a node; the host and the program
                               follow it. Empty: the cluster's */
};

struct ech_cluster {
    char *name;              /* default: the file's name without ending */
    struct ech_list launch;  /* empty: ech_cluster_own_launch */
    char *mpi_prefix;        /* where MPI lies on the nodes, NULL: as here */
    struct ech_list exclude; /* hosts left out, patterns spelled out */
    struct ech_node_class *classes;
    int classes_count;                       /* >= 1, in the order of the file */
    struct ech_host_index by_host, left_out; /* of classes (value: which one) and exclude */
};

/* Read and check a file ("-": standard input). Hosts left out stay in their class (ech_cluster_excludes).
 * Owner   ech_cluster_destroy.
 * Errors  ECH_NOINPUT; ECH_CONFIG with file:line:column, all problems in the text. */
int ech_cluster_load(const char *path, struct ech_cluster **out, struct ech_err *err);
int ech_cluster_load_text(const char *name, const char *text, size_t bytes, struct ech_cluster **out,
                          struct ech_err *err);
void ech_cluster_destroy(struct ech_cluster *cluster);

/* The class of a host: by its name, or by the part before the first dot; the only class where that is counted
 * alone. NULL: no class names it. */
const struct ech_node_class *ech_cluster_class_of(const struct ech_cluster *cluster, const char *host);
bool ech_cluster_excludes(const struct ech_cluster *cluster, const char *host);
bool ech_cluster_names_hosts(const struct ech_cluster *cluster); /* false: all classes are only counted */
/* The launch command where no file names one: the user's own for Open MPI (OMPI_MCA_plm_rsh_agent), else ssh.
 */
const char *ech_cluster_own_launch(void);
/* Nodes of a class less those left out (a class that is only counted loses none). */
int64_t ech_cluster_nodes(const struct ech_cluster *cluster, const struct ech_node_class *node_class);

/* "n[01-03,7],m1" -> n01 n02 n03 n7 m1, appended in this order.
 * Errors  ECH_CONFIG says what is wrong with the pattern; ECH_UNAVAILABLE (memory). */
int ech_host_names_expand(const char *pattern, struct ech_list *out, struct ech_err *err);
void ech_host_names_fini(struct ech_list *hosts);

/* YAML that loads again (hosts are spelled out: up to the 100,000 values that a file may have); JSON of the
 * same. */
int ech_cluster_print(const struct ech_cluster *cluster, struct ech_str *out, struct ech_err *err);
int ech_cluster_print_json(const struct ech_cluster *cluster, struct ech_str *out, struct ech_err *err);
int ech_cluster_schema_json(struct ech_str *out, struct ech_err *err);
int ech_cluster_reference(struct ech_str *out, struct ech_err *err);

#endif
