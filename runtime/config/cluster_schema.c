/* The schema of cluster files: see cluster_schema.h. */
#include "config/cluster_schema.h"

#define OF(member)    offsetof(struct ech_cluster, member)
#define CLASS(member) offsetof(struct ech_node_class, member)
#define TIB           (1024.0 * 1024 * 1024 * 1024)

const struct ech_field ech_cluster_fields[] = {
    {"name", ECH_F_STRING, OF(name), .example = "alpha",
     .doc = "Name of the cluster; default: the file's name without ending"},
    {"launch", ECH_F_LIST, OF(launch), .example = "[ssh, -p, 2222]",
     .doc = "Command that starts a program on a node; the host's name and the program's words follow it. One "
            "text is split at blanks; no shell reads it. Not given: OMPI_MCA_plm_rsh_agent, else ssh"},
    {"mpi_prefix", ECH_F_PATH, OF(mpi_prefix), .example = "/opt/openmpi",
     .doc = "Where MPI lies on the nodes; not given: found there by PATH"},
    {"exclude", ECH_F_LIST, OF(exclude), .example = "[n07]", .doc = "Hosts left out, patterns too"},
    {0}};

const struct ech_field ech_node_class_fields[] = {
    {"hosts", ECH_F_LIST, CLASS(hosts), .example = "n[01-16]",
     .doc = "Names or patterns of the nodes; not given: the class is only counted (plans, simulations)"},
    {"count", ECH_F_INT, CLASS(count), .least = 0, .most = ECH_CLUSTER_NODES, .example = "16",
     .doc = "Number of nodes, where hosts are not named"},
    {"cores", ECH_F_AUTO, CLASS(cores), .fallback = "auto", .most = 65536,
     .doc = "Cores of a node; auto: what is found there"},
    {"memory", ECH_F_BYTES, CLASS(memory), .most = 1024 * TIB, .example = "256GiB",
     .doc = "Memory of a node; not given: what is found there"},
    {"devices", ECH_F_INT, CLASS(devices), .fallback = "0", .most = 64, .doc = "GPUs of a node"},
    {"domains", ECH_F_AUTO, CLASS(domains), .fallback = "auto", .most = 4096,
     .doc = "NUMA domains of a node; auto: what is found there"},
    {"ranks_per_node", ECH_F_AUTO, CLASS(ranks_per_node), .fallback = "auto", .most = 4096,
     .doc = "Processes a node; auto: what the job says, else one a GPU (device cuda), else cores / threads, "
            "else one a NUMA domain"},
    {"threads", ECH_F_AUTO, CLASS(threads), .fallback = "auto", .most = 4096,
     .doc = "Threads a rank; auto: what the job says, else cores / ranks"},
    {"speed", ECH_F_FLOAT, CLASS(speed), .fallback = "0", .most = 1e9,
     .doc = "Speed of a rank against the others', where it is known; 0: not known"},
    {"tokens_per_s", ECH_F_FLOAT, CLASS(tokens_per_s), .fallback = "0", .most = 1e15,
     .doc = "Tokens a second of a rank, where they are known; 0: not known"},
    {"launch", ECH_F_LIST, CLASS(launch), .example = "[ssh, -p, 2222]",
     .doc = "As launch above, for this class alone"},
    {0}};
