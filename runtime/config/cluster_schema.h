/* The rows of a cluster file's keys: its own, and those of a class below `classes`. */
#ifndef ECH_CONFIG_CLUSTER_SCHEMA_H
#define ECH_CONFIG_CLUSTER_SCHEMA_H

#include "config/cluster.h"

extern const struct ech_field ech_cluster_fields[];    /* of struct ech_cluster; ended by path NULL */
extern const struct ech_field ech_node_class_fields[]; /* of struct ech_node_class; likewise */

#endif
